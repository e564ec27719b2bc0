//! State directories that must not be used: each is refused with words, and nothing in it is changed.
//!
//! `damage` of a case names what is done to the state of a finished run before the job is run again.

use std::{
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use pelton::{
    checkpoint::ledger::local,
    state::{Delta, StateStore, key, rocksdb::RocksStore},
};

use super::{cases, expect};

const JOB: &str = r#"
pelton: v1
job: kept
sources:
  in: { file: { path: in.jsonl }, format: { json: { fields: { n: int64 } } } }
sinks:
  out: { from: in, file: { path: out } }
"#;

fn run(folder: &Path, state: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
    command.args(["run", "job.yaml", "--until-caught-up", "--state-dir", state]);
    command.current_dir(folder).output().unwrap()
}

/// Does what the case says. What it gives back is held while the job is run again.
fn damage(what: &str, state: &Path) -> Option<RocksStore> {
    let db = state.join("db");
    match what {
        "held" => return Some(RocksStore::open(state).unwrap()),
        "newer" => std::fs::write(state.join("FORMAT"), "2\n").unwrap(),
        "format_damaged" => std::fs::write(state.join("FORMAT"), "one\n").unwrap(),
        "format_gone" => std::fs::remove_file(state.join("FORMAT")).unwrap(),
        "no_database" => {
            std::fs::remove_dir_all(&db).unwrap();
            std::fs::write(&db, "this is a file").unwrap();
        }
        "database_damaged" => std::fs::write(db.join("CURRENT"), "MANIFEST-999999\n").unwrap(),
        "emptied" => {
            std::fs::remove_dir_all(state).unwrap();
            std::fs::create_dir(state).unwrap();
        }
        "manifest_newer" => rewrite_manifest(state, |bytes| bytes[0] = 200),
        "manifest_flipped" => rewrite_manifest(state, |bytes| bytes[40] ^= 1),
        "manifest_cut" => rewrite_manifest(state, |bytes| bytes.truncate(9)),
        "a_file" => {
            std::fs::remove_dir_all(state).unwrap();
            std::fs::write(state, "this is a file").unwrap();
        }
        other => panic!("`{other}` is no damage"),
    }
    None
}

fn rewrite_manifest(state: &Path, change: impl Fn(&mut Vec<u8>)) {
    let store: Arc<dyn StateStore> = Arc::new(RocksStore::open(state).unwrap());
    let number = local::newest(&*store, "all").unwrap().unwrap().number;
    let row = key::meta("all", "manifest", number);
    let mut bytes = store.get(&row).unwrap().unwrap();
    change(&mut bytes);
    let mut delta = Delta::default();
    delta.put(row, bytes);
    store.write(&[delta], pelton::state::Flush::Now).unwrap();
}

#[test]
fn a_state_that_must_not_be_used_is_refused_with_words() {
    for case in cases("state") {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("job.yaml"), JOB).unwrap();
        std::fs::write(folder.path().join("in.jsonl"), "{\"n\":1}\n{\"n\":2}\n").unwrap();
        let first = run(folder.path(), "state");
        assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
        let what = std::fs::read_to_string(case.join("damage")).unwrap();
        let held = damage(what.trim(), &folder.path().join("state"));
        let again = run(folder.path(), "state");
        drop(held);
        let said = String::from_utf8_lossy(&again.stderr);
        let said = said.replace(&folder.path().display().to_string(), "HERE");
        let words: Vec<&str> = said.lines().filter(|line| line.starts_with("pelton:")).collect();
        expect(&case, &format!("exit code {}\n{}\n", again.status.code().unwrap_or(-1), words.join("\n")));
    }
}
