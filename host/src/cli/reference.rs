//! The page of commands, written from what the command line itself knows.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command, CommandFactory};

use super::Cli;

/// `docs/reference/cli.md`.
pub fn reference() -> String {
    let mut page = String::from(
        "# Commands\n\nWritten from the command line's own help; a test compares (`UPDATE=1` writes it anew).\n\n\
         Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 a step or a test failed, 65 records are \
         lost, 69 something outside does not answer, 70 a defect of ours, 74 the state cannot be used, 75 another owner has taken over, 78 a \
         wrong job file or setting.\n",
    );
    let mut root = Cli::command();
    root.build();
    describe(&root, "pelton", &mut page);
    page
}

fn describe(command: &Command, name: &str, page: &mut String) {
    let shown = |inner: &&Command| inner.get_name() != "help" && !inner.is_hide_set();
    let inner: Vec<&Command> = command.get_subcommands().filter(shown).collect();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    if inner.is_empty() {
        write!(page, "\n## {name}\n\n{about}.\n").expect("writing to a string does not fail");
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").split_whitespace().collect::<Vec<_>>().join(" ");
        write!(page, "\n```sh\n{usage}\n```\n").expect("writing to a string does not fail");
        arguments(command, page);
    }
    for inner in inner {
        describe(inner, &format!("{name} {}", inner.get_name()), page);
    }
}

fn arguments(command: &Command, page: &mut String) {
    let shown: Vec<&Arg> =
        command.get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version")).collect();
    if shown.is_empty() {
        return;
    }
    page.push_str("\n| argument | what it does | default |\n|---|---|---|\n");
    for arg in shown {
        let values = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string);
        let values = values.collect::<Vec<_>>().join(" ");
        let flag = !matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
        let name = match arg.get_long() {
            Some(long) if flag => format!("--{long}"),
            Some(long) if arg.is_require_equals_set() => format!("--{long}[={values}]"),
            Some(long) => format!("--{long} {values}"),
            None => values,
        };
        let possible: Vec<String> = match flag {
            true => Vec::new(),
            false => arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect(),
        };
        let possible = if possible.is_empty() { String::new() } else { format!(" ({})", possible.join(", ")) };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let default = arg.get_default_values().iter().map(|value| value.to_string_lossy());
        let default: Vec<String> =
            default.filter(|value| !flag && !value.is_empty()).map(|value| format!("`{value}`")).collect();
        writeln!(page, "| `{name}` | {help}{possible} | {} |", default.join(" "))
            .expect("writing to a string does not fail");
    }
}
