//! The pages against the binary: every command line is one that it knows, with its flags, and every whole job file is good.
//!
//! Left to others: what the commands print (their own tests).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

/// Pages whose blocks marked `sh` are checked.
const PAGES: &[&str] = &["README.md", "docs/guide", "examples", "plugins", "host/src/cli/new/templates", "sdk"];

fn pages(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let mut inside: Vec<PathBuf> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        inside.sort();
        inside.iter().for_each(|path| pages(path, found));
    } else if path.extension().is_some_and(|end| end == "md") {
        found.push(path.to_owned());
    }
}

/// The words of each line in a block marked `sh` that begins with `pelton`, with its number.
fn commands(page: &str) -> Vec<(usize, Vec<String>)> {
    let (mut inside, mut found) = (false, Vec::new());
    for (index, line) in page.lines().enumerate() {
        match line.trim_start().strip_prefix("```") {
            Some(kind) => inside = !inside && kind.starts_with("sh"),
            None if inside => {
                let line = line.split(" #").next().unwrap_or_default();
                let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
                if words.first().is_some_and(|word| word == "pelton") {
                    found.push((index + 1, words));
                }
            }
            None => {}
        }
    }
    found
}

/// What `--help` of a command says; none where there is no such command.
fn help(path: &[String], known: &mut BTreeMap<Vec<String>, Option<String>>) -> Option<String> {
    let ask = || {
        let asked = Command::new(env!("CARGO_BIN_EXE_pelton")).args(path).arg("--help").output().unwrap();
        asked.status.success().then(|| String::from_utf8_lossy(&asked.stdout).into_owned())
    };
    known.entry(path.to_vec()).or_insert_with(ask).clone()
}

/// Whether a help lists a command of this name.
fn lists(help: &str, name: &str) -> bool {
    let rows = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    rows.filter_map(|row| row.split_whitespace().next()).any(|command| command == name)
}

/// Every page, as its path in the repository and its text.
fn all_pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
    let mut found = Vec::new();
    PAGES.iter().map(|page| root.join(page)).filter(|path| path.exists()).for_each(|path| pages(&path, &mut found));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&root).unwrap().display().to_string(), text)
    };
    found.into_iter().map(read).collect()
}

/// What is wrong with a command line.
fn mistake(words: &[String], known: &mut BTreeMap<Vec<String>, Option<String>>) -> Option<String> {
    let (mut path, mut said) = (Vec::new(), help(&[], known)?);
    for word in words.iter().skip(1).take_while(|word| !word.starts_with('-')) {
        if path.is_empty() || lists(&said, word) {
            path.push(word.clone());
            let Some(more) = help(&path, known) else {
                return Some(format!("there is no command `{}`", path.join(" ")));
            };
            said = more;
        }
    }
    let mut flags = words.iter().filter(|word| word.starts_with("--")).filter_map(|word| word.split('=').next());
    let missing = flags.find(|flag| !matches!(*flag, "--help" | "--version") && !said.contains(*flag))?;
    Some(format!("`{}` has no flag `{missing}`", path.join(" ")))
}

#[test]
fn every_command_of_the_pages_is_known() {
    let (mut known, mut wrong, mut count) = (BTreeMap::new(), Vec::new(), 0);
    for (page, text) in all_pages() {
        for (line, words) in commands(&text) {
            count += 1;
            let place = format!("{page}:{line}: {}", words.join(" "));
            wrong.extend(mistake(&words, &mut known).map(|mistake| format!("{place}: {mistake}")));
        }
    }
    assert!(wrong.is_empty(), "{} commands are not as the binary has them:\n{}\n", wrong.len(), wrong.join("\n"));
    assert!(count > 10, "only {count} commands were found: are the blocks still marked `sh`?");
}

#[test]
fn every_whole_job_file_of_the_pages_is_good() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guide");
    std::fs::create_dir_all(&folder).unwrap();
    let mut count = 0;
    for (page, text) in all_pages() {
        for (_, rest) in text.match_indices("```yaml\npelton: v1").map(|(at, _)| (at, &text[at + 8..])) {
            let job = folder.join(format!("job-{count}.yaml"));
            std::fs::write(&job, rest.split("```").next().unwrap()).unwrap();
            let checked = Command::new(env!("CARGO_BIN_EXE_pelton")).arg("check").arg(&job).output().unwrap();
            assert!(checked.status.success(), "a job of {page}: {}", String::from_utf8_lossy(&checked.stderr));
            count += 1;
        }
    }
    assert!(count > 0, "no job file was found: are the blocks still marked `yaml`?");
}
