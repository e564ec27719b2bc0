//! `pelton schema check`, `diff` and `evolve`: verdicts on schemas in files, and against the versions of a subject.

use std::{fs, path::PathBuf};

use clap::Args;
use pelton_schema::{
    AvroSchema, Mode, Verdict,
    diff::{self, Change},
    evolve::{Edit, evolve as evolved, kind},
};
use serde_json::json;

use super::{Place, config, mode, no, parsed, text_of, versions};
use crate::{
    cli::{Output, line},
    error::Result,
};

/// Say whether a new version may follow the old ones.
#[derive(Debug, Args)]
pub struct Check {
    /// the new version
    new: PathBuf,
    /// the old versions, oldest first
    #[arg(long, value_name = "FILE", num_args = 1..)]
    against: Vec<PathBuf>,
    /// compare with the versions of this subject instead
    #[arg(long, conflicts_with = "against", requires = "registry")]
    subject: Option<String>,
    #[command(flatten)]
    place: Place,
    /// the mode that decides; default: what the registry says, else backward
    #[arg(long, value_parser = mode)]
    mode: Option<Mode>,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// An old version and how it is called.
type Old = (String, AvroSchema);

fn old_versions(arguments: &Check) -> Result<(Vec<Old>, Option<Mode>)> {
    let Some(subject) = &arguments.subject else {
        let read = |path: &PathBuf| {
            let name = path.display().to_string();
            AvroSchema::parse(&text_of(path)?, &[])
                .map(|schema| (name.clone(), schema))
                .map_err(|bad| config(format!("{name}: {bad}")))
        };
        return Ok((arguments.against.iter().map(read).collect::<Result<_>>()?, None));
    };
    let registry = arguments.place.needed()?;
    let level = crate::cli::runtime()?.block_on(registry.mode(subject))?;
    let old = versions(&registry, subject)?;
    Ok((old.iter().map(|(number, version)| (format!("version {number}"), (*version.schema).clone())).collect(), level))
}

/// Runs `pelton schema check`.
pub fn check(arguments: &Check) -> Result<()> {
    let new = parsed(&arguments.new.display().to_string(), &text_of(&arguments.new)?)?;
    let (old, level) = old_versions(arguments)?;
    let decides = arguments.mode.or(level).unwrap_or_default();
    let schemas: Vec<&AvroSchema> = old.iter().map(|(_, schema)| schema).collect();
    let verdicts: Vec<(Mode, Verdict)> = Mode::ALL.iter().map(|mode| (*mode, mode.check(&new, &schemas))).collect();
    let verdict = decides.check(&new, &schemas);
    match arguments.format {
        Output::Json => {
            let modes: serde_json::Map<_, _> =
                verdicts.iter().map(|(mode, verdict)| (mode.to_string(), json!(verdict.is_compatible()))).collect();
            let reasons: Vec<_> = verdict
                .violations()
                .iter()
                .map(|one| json!({ "against": old[one.old].0, "direction": one.direction, "mismatches": one.mismatches }))
                .collect();
            line(
                json!({ "mode": decides, "compatible": verdict.is_compatible(), "modes": modes, "violations": reasons }),
            );
        }
        Output::Text => print(&verdicts, &verdict, decides, &old),
    }
    if verdict.is_compatible() { Ok(()) } else { Err(no(format!("the mode `{decides}` does not let it in"))) }
}

fn print(verdicts: &[(Mode, Verdict)], verdict: &Verdict, decides: Mode, old: &[Old]) {
    if old.is_empty() {
        line("there is no older version: every mode takes it");
    }
    for (mode, one) in verdicts {
        let mark = if *mode == decides { "  <- decides" } else { "" };
        line(format_args!("{:<14}{}{mark}", mode.to_string(), if one.is_compatible() { "yes" } else { "no" }));
    }
    for violation in verdict.violations() {
        let (name, _) = &old[violation.old];
        let who = match violation.direction {
            pelton_schema::Direction::Backward => format!("the new version cannot read what {name} wrote"),
            pelton_schema::Direction::Forward => format!("{name} cannot read what the new version writes"),
        };
        line(format_args!("\n{who}:"));
        violation.mismatches.iter().for_each(|mismatch| line(format_args!("- {mismatch}")));
    }
}

/// List what has changed.
#[derive(Debug, Args)]
pub struct Diff {
    /// the old version
    old: PathBuf,
    /// the new version
    new: PathBuf,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// Runs `pelton schema diff`.
pub fn diff(arguments: &Diff) -> Result<()> {
    let read = |path: &PathBuf| {
        AvroSchema::parse(&text_of(path)?, &[]).map_err(|bad| config(format!("{}: {bad}", path.display())))
    };
    let changes = diff::changes(&read(&arguments.old)?, &read(&arguments.new)?);
    match arguments.format {
        Output::Json => line(json!(changes)),
        Output::Text => table(&changes),
    }
    Ok(())
}

/// Changes as a table.
pub fn table(changes: &[Change]) {
    if changes.is_empty() {
        return line("nothing that Avro knows has changed");
    }
    let width = changes.iter().map(|change| change.path.chars().count()).max().unwrap_or(0).max(5);
    line(format_args!("{:<width$}  {:<10}  change", "place", "breaks"));
    for change in changes {
        let breaks: Vec<String> = change.breaks.iter().map(ToString::to_string).collect();
        let breaks = match breaks.len() {
            0 => "-".to_owned(),
            1 => breaks[0].clone(),
            _ => "both".to_owned(),
        };
        line(format_args!("{:<width$}  {breaks:<10}  {}", change.path, change.what));
    }
}

/// Make the next version.
#[derive(Debug, Args)]
pub struct Evolve {
    /// the version that it comes from
    schema: PathBuf,
    /// a new field: NAME:TYPE, NAME:TYPE=DEFAULT (the default as JSON); TYPE? may be null
    #[arg(long, value_name = "FIELD")]
    add: Vec<String>,
    /// a field that goes
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
    /// a field that is called otherwise: OLD=NEW
    #[arg(long, value_name = "OLD=NEW")]
    rename: Vec<String>,
    /// a field that gets another type: NAME:TYPE
    #[arg(long, value_name = "FIELD")]
    retype: Vec<String>,
    /// a new symbol of an enum: FIELD=SYMBOL
    #[arg(long, value_name = "FIELD=SYMBOL")]
    symbol: Vec<String>,
    /// the mode that has to take it
    #[arg(long, value_parser = mode, default_value = "backward")]
    mode: Mode,
    /// write it here; default: standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn halves<'a>(text: &'a str, sign: char, form: &str) -> Result<(&'a str, &'a str)> {
    text.split_once(sign).ok_or_else(|| config(format!("`{text}` is not of the form {form}")))
}

fn edits(arguments: &Evolve) -> Result<Vec<Edit>> {
    let bad = |failed: pelton_schema::SchemaError| config(failed.to_string());
    let mut edits = Vec::new();
    for field in &arguments.add {
        let (path, rest) = halves(field, ':', "NAME:TYPE or NAME:TYPE=DEFAULT")?;
        let (of, default) = rest.split_once('=').map_or((rest, None), |(of, default)| (of, Some(default)));
        let default = default.map(|text| {
            serde_json::from_str(text)
                .map_err(|_| config(format!("the default `{text}` is no JSON: a text is \"text\"")))
        });
        edits.push(Edit::Add { path: path.to_owned(), kind: kind(of).map_err(bad)?, default: default.transpose()? });
    }
    for field in &arguments.rename {
        let (path, to) = halves(field, '=', "OLD=NEW")?;
        edits.push(Edit::Rename { path: path.to_owned(), to: to.to_owned() });
    }
    for field in &arguments.retype {
        let (path, of) = halves(field, ':', "NAME:TYPE")?;
        edits.push(Edit::Retype { path: path.to_owned(), kind: kind(of).map_err(bad)? });
    }
    for field in &arguments.symbol {
        let (path, symbol) = halves(field, '=', "FIELD=SYMBOL")?;
        edits.push(Edit::Symbol { path: path.to_owned(), symbol: symbol.to_owned() });
    }
    edits.extend(arguments.remove.iter().map(|path| Edit::Remove { path: path.clone() }));
    if edits.is_empty() {
        return Err(config("there is nothing to change: say --add, --remove, --rename, --retype or --symbol"));
    }
    Ok(edits)
}

/// Runs `pelton schema evolve`.
pub fn evolve(arguments: &Evolve) -> Result<()> {
    let text = text_of(&arguments.schema)?;
    let name = arguments.schema.display();
    let next = evolved(&text, &edits(arguments)?).map_err(|bad| config(format!("{name}: {bad}")))?;
    let old = AvroSchema::parse(&text, &[]).map_err(|bad| config(format!("{name}: {bad}")))?;
    let new = parsed("the next version", &next.to_string())?;
    if let Verdict::Broken(violations) = arguments.mode.check(&new, &[&old]) {
        let mut reasons: Vec<String> =
            violations.iter().flat_map(|one| &one.mismatches).map(|one| format!("- {one}")).collect();
        reasons.dedup();
        return Err(no(format!("the mode `{}` does not take it:\n{}", arguments.mode, reasons.join("\n"))));
    }
    if arguments.mode == Mode::Disabled {
        return Err(no("the mode `disabled` takes no next version"));
    }
    let pretty = format!("{next:#}\n");
    match &arguments.out {
        Some(path) => {
            fs::write(path, pretty).map_err(|bad| config(format!("{} cannot be written: {bad}", path.display())))?
        }
        None => line(pretty.trim_end()),
    }
    Ok(())
}
