//! `docs/reference/schema-modes.md` against the code: the verdicts on the cases in `host/tests/cases/modes`, and the limits.
//!
//! A case is a folder with `old.avsc` and `new.avsc`, and `first.avsc` where a version before them counts; its name is a row of the page.
//! `UPDATE=1` writes what stands between the two marks of the page. Left to others: whether a verdict is right (`host/schema/tests`, with
//! Avro for Java as the judge).

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use pelton_schema::{AvroSchema, Mode, Rule, Verdict, diff::changes};

const BEGIN: &str = "<!-- from here on made of host/tests/cases/modes; UPDATE=1 writes it -->\n";
const END: &str = "<!-- up to here -->\n";
const TWO: [Mode; 3] = [Mode::Backward, Mode::Forward, Mode::Full];
const ALL: [Mode; 6] = [Mode::Backward, Mode::BackwardAll, Mode::Forward, Mode::ForwardAll, Mode::Full, Mode::FullAll];
/// Those that a mode can break; each has an example.
const RULES: [Rule; 7] =
    [Rule::Type, Rule::Name, Rule::MissingDefault, Rule::Ambiguous, Rule::Symbols, Rule::Size, Rule::Branch];

/// Versions, oldest first; the last one is new.
struct Case {
    name: String,
    versions: Vec<AvroSchema>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> PathBuf {
    root().join("../docs/reference/schema-modes.md")
}

fn schema(path: &Path) -> Option<AvroSchema> {
    let text = fs::read_to_string(path).ok()?;
    Some(AvroSchema::parse_strict(&text, &[]).unwrap_or_else(|bad| panic!("{}: {bad}", path.display())))
}

fn cases() -> Vec<Case> {
    let entries = fs::read_dir(root().join("tests/cases/modes")).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let mut found = Vec::new();
    for folder in folders {
        let name = folder.file_name().unwrap().to_str().unwrap().replace('-', " ");
        let files = ["first.avsc", "old.avsc", "new.avsc"];
        let versions: Vec<AvroSchema> = files.iter().filter_map(|file| schema(&folder.join(file))).collect();
        assert!(versions.len() >= 2, "{name}: a case needs old.avsc and new.avsc");
        found.push(Case { name, versions });
    }
    found
}

impl Case {
    fn group(&self) -> &str {
        self.name.split(' ').next().unwrap()
    }

    fn verdict(&self, mode: Mode) -> Verdict {
        let (new, old) = self.versions.split_last().unwrap();
        let old: Vec<&AvroSchema> = old.iter().collect();
        mode.check(new, &old)
    }

    fn word(&self, mode: Mode) -> &'static str {
        if self.verdict(mode).is_compatible() { "yes" } else { "no" }
    }

    fn modes(&self) -> &'static [Mode] {
        if self.versions.len() > 2 { &ALL } else { &TWO }
    }

    /// What `pelton schema diff` says from version to version.
    fn changes(&self) -> String {
        let mut steps: Vec<String> = Vec::new();
        for pair in self.versions.windows(2) {
            let mut told: Vec<String> = Vec::new();
            for change in changes(&pair[0], &pair[1]) {
                let place = if change.path.is_empty() { String::new() } else { format!("`{}`: ", change.path) };
                told.push(format!("{place}{}", change.what));
            }
            steps.push(if told.is_empty() { "nothing that Avro knows".to_owned() } else { told.join("; ") });
        }
        steps.join(", then ")
    }

    /// The first mismatch of a rule, and in which direction.
    fn example(&self, rule: Rule) -> Option<String> {
        let verdict = self.verdict(Mode::Full);
        verdict.violations().iter().find_map(|violation| {
            let mismatch = violation.mismatches.iter().find(|mismatch| mismatch.rule == rule)?;
            Some(format!("{}, {} | {}", self.name, violation.direction, cell(&mismatch.to_string())))
        })
    }
}

/// A text that may stand in a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn made(cases: &[Case]) -> String {
    let (mut out, mut group) = (String::new(), "");
    for case in cases {
        if case.group() != group {
            group = case.group();
            let names: Vec<String> = case.modes().iter().map(|mode| format!("`{mode}`")).collect();
            writeln!(out, "\n### {group}\n\n| case | what changes | {} |", names.join(" | ")).unwrap();
            writeln!(out, "|---|---|{}", "---|".repeat(names.len())).unwrap();
        }
        let words: Vec<&str> = case.modes().iter().map(|mode| case.word(*mode)).collect();
        writeln!(out, "| {} | {} | {} |", case.name, cell(&case.changes()), words.join(" | ")).unwrap();
    }
    writeln!(out, "\n### In words\n\n| rule | case | what is said |\n|---|---|---|").unwrap();
    for rule in RULES {
        let example = cases.iter().find_map(|case| case.example(rule));
        let example = example.unwrap_or_else(|| panic!("no case breaks the rule {}", rule.name()));
        writeln!(out, "| `{}` | {example} |", rule.name()).unwrap();
    }
    out.push('\n');
    out
}

#[test]
fn the_page_says_what_each_mode_says_of_each_case() {
    let cases = cases();
    for case in &cases {
        assert_eq!((case.word(Mode::None), case.word(Mode::Disabled)), ("yes", "no"), "{}", case.name);
        if case.versions.len() == 2 {
            let short = TWO.map(|mode| case.word(mode));
            let long = [Mode::BackwardAll, Mode::ForwardAll, Mode::FullAll].map(|mode| case.word(mode));
            assert_eq!(short, long, "{}", case.name);
        }
    }
    let made = made(&cases);
    let text = fs::read_to_string(page()).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(page(), format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
    } else {
        assert!(found == made, "docs/reference/schema-modes.md is not what is said now (UPDATE=1 writes it):\n{made}");
    }
}

/// The last cell of a row is `FILE`: `TEXT`, and the text stands in the file.
#[test]
fn the_limits_of_the_page_are_those_of_the_code() {
    let text = fs::read_to_string(page()).unwrap();
    let mut count = 0;
    for line in text.lines().filter(|line| line.starts_with("| ") && line.contains("`: `")) {
        let place = line.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap();
        let Some((file, said)) = place.split_once("`: `") else { continue };
        let (file, said) = (file.trim_start_matches('`'), said.trim_end_matches('`'));
        if !file.ends_with(".rs") {
            continue;
        }
        let code = fs::read_to_string(root().join("..").join(file)).unwrap_or_default();
        assert!(code.contains(said), "{file} does not say `{said}`, and docs/reference/schema-modes.md does");
        count += 1;
    }
    assert!(count > 20, "only {count} limits were found: does the last column still name files?");
}
