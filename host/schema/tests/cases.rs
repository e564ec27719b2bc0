//! Cases as folders: `writer.avsc` (the old version), `reader.avsc` (the new one), what Avro for Java says in `java.json`, and what we
//! say in `expected.txt`; `older/` holds what came before, for modes that look further. `UPDATE=1` writes what we say.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use pelton_schema::{AvroSchema, Mode, Verdict, compat::can_read, mismatches};
use serde_json::Value as Json;

fn folders(below: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(below);
    let mut all: Vec<PathBuf> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|bad| panic!("{}: {bad}", path.display()))
}

fn schema(path: &Path) -> AvroSchema {
    AvroSchema::parse(&text(path), &[]).unwrap_or_else(|bad| panic!("{}: {bad}", path.display()))
}

fn history(folder: &Path) -> Vec<AvroSchema> {
    let mut older: Vec<(u32, AvroSchema)> = fs::read_dir(folder.join("older"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().parse().unwrap(), schema(&path)))
        .collect();
    older.sort_by_key(|(number, _)| *number);
    older.into_iter().map(|(_, schema)| schema).collect()
}

/// What we say of a case, as `expected.txt` has it.
fn said(older: &[AvroSchema], writer: &AvroSchema, reader: &AvroSchema) -> String {
    let old: Vec<&AvroSchema> = older.iter().chain([writer]).collect();
    let mut out = String::new();
    for mode in Mode::ALL {
        let word = match mode.check(reader, &old) {
            Verdict::Compatible => "yes",
            Verdict::Closed => "closed",
            Verdict::Broken(_) => "no",
        };
        writeln!(out, "{:<13}{word}", mode.to_string()).unwrap();
    }
    for (title, list) in [
        ("the new version reads the old one", mismatches(reader, writer)),
        ("the old version reads the new one", mismatches(writer, reader)),
    ] {
        writeln!(out, "\n{title}: {}", if list.is_empty() { "yes" } else { "" }).unwrap();
        list.iter().for_each(|mismatch| writeln!(out, "- {mismatch}").unwrap());
    }
    out.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Where we differ from Avro for Java on purpose: why stands in `about.txt`.
const EXPLAINED: [&str; 2] = ["field-alias-is-its-own-name", "recursion-cached-in-failed-branch"];

#[test]
fn every_case_has_the_verdict_and_the_words_that_are_written_down() {
    let update = std::env::var_os("UPDATE").is_some();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for folder in folders("cases") {
        let (writer, reader, older) =
            (schema(&folder.join("writer.avsc")), schema(&folder.join("reader.avsc")), history(&folder));
        let java: Json = serde_json::from_str(&text(&folder.join("java.json"))).unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap();
        count += 1;
        for (key, ours) in [("backward", can_read(&reader, &writer)), ("forward", can_read(&writer, &reader))] {
            if (java[key].as_bool() == Some(ours)) == (EXPLAINED.contains(&name) && key == "backward") {
                wrong.push(format!("{name}: {key} is {ours} here, and {} by Avro for Java", java[key]));
            }
        }
        let old: Vec<&AvroSchema> = older.iter().chain([&writer]).collect();
        for (mode, theirs) in java["modes"].as_object().into_iter().flatten() {
            let ours = Mode::parse(mode).unwrap().check(&reader, &old).is_compatible();
            if theirs.as_bool() != Some(ours) {
                wrong.push(format!("{name}: {mode} is {ours} here, and {theirs} by Avro for Java"));
            }
        }
        let (ours, file) = (said(&older, &writer, &reader), folder.join("expected.txt"));
        if update {
            fs::write(&file, &ours).unwrap();
        } else if text(&file) != ours {
            wrong.push(format!("{name}: expected.txt is not what is said now:\n{ours}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 150, "{count} cases");
}

#[test]
fn what_is_no_schema_is_refused_with_its_place() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for folder in folders("bad") {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let ours = match AvroSchema::parse_strict(&text(&folder.join("schema.avsc")), &[]) {
            Ok(_) => "accepted\n".to_owned(),
            Err(bad) => format!("{bad}\n"),
        };
        let file = folder.join("expected.txt");
        if update {
            fs::write(&file, &ours).unwrap();
        } else if text(&file) != ours {
            wrong.push(format!("{name}: expected.txt is not what is said now: {ours}"));
        }
        if ours == "accepted\n" {
            wrong.push(format!("{name} is accepted"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_only_looks_odd_is_accepted() {
    let strict = |path: PathBuf| {
        AvroSchema::parse_strict(&text(&path), &[]).err().map(|bad| format!("{}: {bad}", path.display()))
    };
    let wrong: Vec<String> =
        folders("lenient").iter().filter_map(|folder| strict(folder.join("schema.avsc"))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
