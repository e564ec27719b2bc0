//! The file sink against the contract of sinks, against damage, and against consumers who move files away.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use tempfile::TempDir;

use super::*;
use crate::contract::{self, SinkRig};

/// What a loss of power would leave of files and folders, by path.
static SYNCED: Mutex<BTreeMap<PathBuf, u64>> = Mutex::new(BTreeMap::new());

/// Told by the sink whenever it syncs.
pub fn synced(path: &Path, length: u64) {
    SYNCED.lock().unwrap().insert(path.to_owned(), length);
}

#[derive(Debug, Default)]
struct Hands(AtomicI64);

impl Clock for Hands {
    fn wall_us(&self) -> i64 {
        self.0.load(Relaxed)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

struct Rig {
    folder: TempDir,
    roll: Roll,
    clock: Arc<Hands>,
}

impl Rig {
    fn new(size: u64) -> Self {
        let roll = Roll { every: Duration::from_secs(60), size };
        Self { folder: tempfile::tempdir().unwrap(), roll, clock: Arc::default() }
    }

    fn sink(&self) -> FileSink {
        let path = self.folder.path().to_owned();
        FileSink::new(Options { name: "out".into(), path, roll: self.roll, accept_repeats: false }, self.clock.clone())
    }

    async fn recovered(&self, epoch: u64, held: &[u8]) -> Result<FileSink> {
        let mut sink = self.sink();
        sink.recover(writer(), epoch, held).await?;
        Ok(sink)
    }

    /// A sink of another name, job or partition in the same folder.
    async fn other(&self, name: &str, job: &str, partition: &str) -> FileSink {
        let mut sink = self.sink();
        sink.options.name = name.into();
        sink.recover(Writer { job: job.into(), partition: partition.into(), ..writer() }, 0, b"").await.unwrap();
        sink
    }

    fn files(&self) -> Vec<String> {
        names(self.folder.path())
    }

    fn lines(&self) -> usize {
        self.files()
            .iter()
            .map(|name| std::fs::read_to_string(self.folder.path().join(name)).unwrap().lines().count())
            .sum()
    }

    fn staged(&self) -> Vec<String> {
        names(&self.folder.path().join("_pelton/staging"))
    }
}

fn names(path: &Path) -> Vec<String> {
    let entries = path.read_dir().unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_file());
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn writer() -> Writer {
    Writer {
        job: "job".into(),
        partition: "s/0".into(),
        generation: 1,
        fence: 1,
        permit: crate::permit::Permit::unlimited(),
        set_back: None,
    }
}

impl SinkRig for Rig {
    fn reset(&mut self) -> Pending<'_, Result<()>> {
        self.folder = tempfile::tempdir().unwrap();
        Box::pin(std::future::ready(Ok(())))
    }

    fn open(&mut self) -> Pending<'_, Result<Box<dyn Sink>>> {
        Box::pin(std::future::ready(Ok(Box::new(self.sink()) as Box<dyn Sink>)))
    }

    fn shown(&mut self) -> Pending<'_, Result<Vec<serde_json::Value>>> {
        let mut rows = Vec::new();
        for name in self.files() {
            let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap();
            rows.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
        }
        Box::pin(std::future::ready(Ok(rows)))
    }
}

#[tokio::test]
async fn keeps_the_contract_of_sinks_whatever_the_size_of_a_file() {
    for size in [1, 100, 300, 1 << 20] {
        assert_eq!(contract::sink(&mut Rig::new(size)).await, Ok(()), "size {size}");
    }
}

#[tokio::test]
async fn a_file_is_held_until_it_is_old_or_the_run_ends() {
    let rig = Rig::new(1 << 20);
    let mut sink = rig.recovered(0, b"").await.unwrap();
    sink.write(&contract::rows(0..2)).await.unwrap();
    let young = sink.prepare(1).await.unwrap();
    assert!(young.token.is_none() && !young.held.is_empty());
    rig.clock.0.store(60_000_000, Relaxed);
    let old = sink.prepare(2).await.unwrap();
    sink.commit(&old.token.unwrap()).await.unwrap();
    assert_eq!(rig.files(), ["job.out.s%2F0.000000000001-0000.jsonl"]);
    sink.write(&contract::rows(2..4)).await.unwrap();
    sink.close();
    let last = sink.prepare(3).await.unwrap();
    assert!(last.held.is_empty());
    sink.commit(&last.token.unwrap()).await.unwrap();
    assert_eq!(rig.files().len(), 2);
    assert!(rig.staged().is_empty());
}

#[tokio::test]
async fn many_held_rows_are_staged_and_a_longer_file_is_cut_to_what_is_known() {
    let rig = Rig::new(1 << 30);
    let mut sink = rig.recovered(0, b"").await.unwrap();
    sink.write(&contract::rows(0..10_000)).await.unwrap();
    let held = sink.prepare(1).await.unwrap().held;
    assert!(held.len() < HELD, "{}", held.len());
    sink.write(&contract::rows(10_000..20_000)).await.unwrap();
    sink.prepare(2).await.unwrap();
    let mut sink = rig.recovered(1, &held).await.unwrap();
    sink.close();
    let token = sink.prepare(2).await.unwrap().token.unwrap();
    sink.commit(&token).await.unwrap();
    let text = std::fs::read_to_string(rig.folder.path().join(&rig.files()[0])).unwrap();
    assert_eq!((text.lines().count(), text.lines().last().unwrap()), (10_000, r#"{"key":"k0","n":9999}"#));
}

#[tokio::test]
async fn consumers_may_move_files_away_but_a_staged_file_that_is_gone_is_said() {
    let rig = Rig::new(1);
    let mut sink = rig.recovered(0, b"").await.unwrap();
    sink.write(&contract::rows(0..2)).await.unwrap();
    let token = sink.prepare(1).await.unwrap().token.unwrap();
    sink.commit(&token).await.unwrap();
    rig.files().iter().for_each(|name| std::fs::remove_file(rig.folder.path().join(name)).unwrap());
    sink.commit(&token).await.unwrap();
    sink.write(&contract::rows(2..4)).await.unwrap();
    let token = sink.prepare(2).await.unwrap().token.unwrap();
    std::fs::remove_file(rig.folder.path().join("_pelton/staging").join(&rig.staged()[0])).unwrap();
    let failed = sink.commit(&token).await.unwrap_err();
    assert!(failed.kind() == Kind::State && failed.to_string().contains("staged file is gone"), "{failed}");
}

#[tokio::test]
async fn a_state_behind_the_folder_is_refused_unless_repeats_are_accepted() {
    let rig = Rig::new(1);
    let mut sink = rig.recovered(0, b"").await.unwrap();
    sink.write(&contract::rows(0..1)).await.unwrap();
    let token = sink.prepare(1).await.unwrap().token.unwrap();
    sink.commit(&token).await.unwrap();
    let failed = rig.recovered(0, b"").await.err().unwrap();
    assert!(failed.kind() == Kind::State && failed.to_string().contains("epoch 1"), "{failed}");
    let mut again = rig.sink();
    again.options.accept_repeats = true;
    again.recover(writer(), 0, b"").await.unwrap();
    let mut sink = rig.recovered(0, b"").await.unwrap();
    sink.write(&contract::rows(5..6)).await.unwrap();
    show(&mut sink, 1).await;
    let names = ["job.out.s%2F0.000000000001-0000.jsonl", "job.out.s%2F0.again1-000000000001-0000.jsonl"];
    assert_eq!((rig.files(), rig.lines()), (names.map(str::to_owned).to_vec(), 2), "no name is used twice");
}

/// Ends the epoch and shows what it promised.
async fn show(sink: &mut FileSink, epoch: u64) {
    let token = sink_token(sink, epoch).await;
    sink.commit(&token).await.unwrap();
}

async fn sink_token(sink: &mut FileSink, epoch: u64) -> Token {
    sink.prepare(epoch).await.unwrap().token.unwrap()
}

#[tokio::test]
async fn a_held_file_that_was_shown_since_is_not_shown_again_by_a_state_that_went_back() {
    for rows in [2, 10_000] {
        let rig = Rig::new(1 << 30);
        let mut sink = rig.recovered(0, b"").await.unwrap();
        sink.write(&contract::rows(0..rows)).await.unwrap();
        let held = sink.prepare(1).await.unwrap().held;
        sink.write(&contract::rows(rows..rows + 2)).await.unwrap();
        sink.close();
        show(&mut sink, 2).await;
        let mut back = rig.sink();
        back.options.accept_repeats = true;
        back.recover(writer(), 1, &held).await.unwrap();
        back.write(&contract::rows(rows..rows + 2)).await.unwrap();
        back.close();
        show(&mut back, 2).await;
        assert_eq!(rig.files().len(), 2);
        // of few rows nothing was on disk, so they come again; of many it was, and they are known to be shown
        let repeated = if rows == 2 { 4 } else { 2 };
        assert_eq!(rig.lines() as u64, rows + 2 + repeated);
    }
}

#[tokio::test]
async fn sinks_jobs_and_partitions_in_one_folder_leave_each_other_alone() {
    let rig = Rig::new(1);
    let writers = [
        ("out", "job", "x"),
        ("in", "job", "x"),
        ("out", "other", "x"),
        ("out", "job", "x-000000000005"),
        ("b.x", "a", "x"),
        ("x", "a.b", "x"),
    ];
    let mut sinks = Vec::new();
    for (name, job, partition) in writers {
        let mut sink = rig.other(name, job, partition).await;
        sink.write(&contract::rows(0..1)).await.unwrap();
        let token = sink_token(&mut sink, 1).await;
        sinks.push((sink, token));
    }
    // whoever comes back aborts what it had not promised, and nothing else
    rig.other("out", "job", "x").await;
    assert_eq!(rig.staged().len(), writers.len() - 1);
    for (sink, token) in sinks.iter_mut().skip(1) {
        sink.commit(token).await.unwrap();
    }
    assert_eq!((rig.files().len(), rig.lines()), (writers.len() - 1, writers.len() - 1));
    assert_eq!(writers.len() - 1, names(&rig.folder.path().join("_pelton")).len(), "a record each");
}

#[tokio::test]
async fn only_the_files_of_one_sink_of_one_job_are_set_aside() {
    let rig = Rig::new(1);
    for (name, job) in [("out", "job"), ("out", "other"), ("more", "job")] {
        let mut sink = rig.other(name, job, "x").await;
        sink.write(&contract::rows(0..1)).await.unwrap();
        show(&mut sink, 1).await;
    }
    rig.other("out", "job", "y").await;
    let aside = set_aside(rig.folder.path(), "job", "out", "before-1").unwrap().unwrap();
    assert_eq!(names(&aside), ["job.out.x.000000000001-0000.jsonl", "job.out.x.json"]);
    assert_eq!(rig.files(), ["job.more.x.000000000001-0000.jsonl", "other.out.x.000000000001-0000.jsonl"]);
    assert_eq!(set_aside(rig.folder.path(), "job", "out", "before-2").unwrap(), None);
    assert_eq!(set_aside(&rig.folder.path().join("nix"), "job", "out", "before-2").unwrap(), None);
    rig.other("out", "job", "x").await;
}

#[tokio::test]
async fn what_the_manifest_knows_of_a_held_file_survives_a_loss_of_power() {
    let rig = Rig::new(1 << 30);
    // a folder that is new, and whose parents are
    let home = tempfile::tempdir_in(rig.folder.path()).unwrap();
    let path = home.path().join("a/b");
    let mut sink = rig.sink();
    sink.options.path = path.clone();
    sink.recover(writer(), 0, b"").await.unwrap();
    let staging = path.join("_pelton/staging");
    let mut rows = 0;
    while names(&staging).is_empty() {
        sink.write(&contract::rows(rows..rows + 1_000)).await.unwrap();
        rows += 1_000;
    }
    let held = sink.prepare(1).await.unwrap().held;
    assert!(held.len() < HELD, "the end is in the manifest, {} bytes", held.len());
    for name in names(&staging) {
        let known = SYNCED.lock().unwrap().get(&staging.join(&name)).copied().unwrap_or(0);
        std::fs::OpenOptions::new().write(true).open(staging.join(&name)).unwrap().set_len(known).unwrap();
    }
    for folder in [home.path(), &home.path().join("a"), &path, &path.join("_pelton"), &staging] {
        assert!(SYNCED.lock().unwrap().contains_key(folder), "{} was not synced", folder.display());
    }
    let mut sink = rig.sink();
    sink.options.path = path.clone();
    sink.recover(writer(), 1, &held).await.unwrap();
    sink.close();
    show(&mut sink, 2).await;
    let shown = names(&path);
    let text = std::fs::read_to_string(path.join(&shown[0])).unwrap();
    assert_eq!(text.lines().count() as u64, rows);
}

#[tokio::test]
async fn damage_is_named() {
    let rig = Rig::new(1);
    let mut sink = rig.recovered(0, b"").await.unwrap();
    sink.write(&contract::rows(0..1)).await.unwrap();
    let mut token = sink.prepare(1).await.unwrap().token.unwrap();
    let staged = rig.folder.path().join("_pelton/staging").join(&rig.staged()[0]);
    std::fs::write(staged, "short").unwrap();
    assert!(sink.commit(&token).await.unwrap_err().to_string().contains("has 5 bytes"));
    token.staged["files"][0]["name"] = "../x".into();
    assert!(sink.commit(&token).await.unwrap_err().to_string().contains("outside"));
    assert_eq!(rig.recovered(0, b"no line").await.err().unwrap().kind(), Kind::State);
    let held = br#"{"epoch":1,"number":9,"length":5,"since_us":0}"#;
    let gone = rig.recovered(1, &[&held[..], b"\n"].concat()).await.err().unwrap();
    assert!(gone.to_string().contains("staged file is gone"), "{gone}");
    std::fs::write(rig.folder.path().join("_pelton/job.out.s%2F0.json"), "{").unwrap();
    assert!(rig.recovered(1, b"").await.err().unwrap().to_string().contains("damaged"));
}

#[tokio::test]
async fn an_owner_that_wakes_up_writes_to_nobodys_file() {
    let folder = tempfile::tempdir().unwrap();
    let options = |size| Options {
        name: "out".into(),
        path: folder.path().to_owned(),
        roll: Roll { every: Duration::from_secs(3600), size },
        accept_repeats: false,
    };
    let clock = crate::clock::SystemClock::shared();
    let (mut old, mut new) = (FileSink::new(options(1 << 20), clock.clone()), FileSink::new(options(1 << 20), clock));
    old.recover(writer(), 0, b"").await.unwrap();
    old.write(&contract::rows(0..3000)).await.unwrap();
    let held = old.prepare(1).await.unwrap().held;
    // the old owner is stopped; the new one goes on with the file that was held, and seals it
    new.recover(Writer { fence: 2, ..writer() }, 1, &held).await.unwrap();
    new.write(&contract::rows(3000..3010)).await.unwrap();
    // the old one wakes up in the middle of its next epoch
    old.write(&contract::rows(5000..9000)).await.unwrap();
    old.prepare(2).await.unwrap();
    new.close();
    let token = new.prepare(2).await.unwrap().token.unwrap();
    old.write(&contract::rows(9000..12000)).await.unwrap();
    old.close();
    old.prepare(3).await.unwrap();
    new.commit(&token).await.unwrap();
    let shown: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let files: Vec<_> = shown.iter().filter(|path| path.is_file()).collect();
    let text = std::fs::read_to_string(files[0]).unwrap();
    assert_eq!((files.len(), text.lines().count()), (1, 3010));
    assert!(
        text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_i64().unwrap() < 3010)
    );
}

fn set_back(nonce: u64, to: u64, from: u64) -> Writer {
    Writer { set_back: Some(crate::sink::SetBack { times: 1, nonce, to, from }), ..writer() }
}

#[tokio::test]
async fn after_a_savepoint_was_restored_no_name_is_used_twice_and_what_was_staged_since_goes() {
    let rig = Rig::new(1 << 20);
    let mut sink = rig.recovered(0, b"").await.unwrap();
    sink.write(&contract::rows(0..2)).await.unwrap();
    // the savepoint is made here: two rows are held, in a file that has no bytes on disk
    let held = sink.prepare(1).await.unwrap().held;
    sink.write(&contract::rows(2..4)).await.unwrap();
    rig.clock.0.store(60_000_000, Relaxed);
    show(&mut sink, 2).await;
    sink.write(&contract::rows(4..10_000)).await.unwrap();
    sink.prepare(3).await.unwrap();
    assert_eq!((rig.lines(), rig.staged().len()), (4, 1));
    for _ in 0..2 {
        let mut sink = rig.sink();
        sink.recover(set_back(7, 1, 3), 4, &held).await.unwrap();
        assert_eq!(rig.staged(), Vec::<String>::new(), "what was begun since the savepoint is gone");
    }
    let mut sink = rig.sink();
    sink.recover(set_back(7, 1, 3), 4, &held).await.unwrap();
    sink.write(&contract::rows(2..5)).await.unwrap();
    sink.close();
    show(&mut sink, 5).await;
    let names = ["job.out.s%2F0.000000000001-0000.jsonl", "job.out.s%2F0.again1-000000000001-0000.jsonl"];
    assert_eq!((rig.files(), rig.lines()), (names.map(str::to_owned).to_vec(), 4 + 5), "old results stay as they are");
    // the next owner knows of it, and another time begins another series
    let mut sink = rig.sink();
    sink.recover(set_back(7, 1, 3), 5, b"").await.unwrap();
    assert_eq!(sink.next.series, 1);
    sink.recover(set_back(8, 1, 5), 6, b"").await.unwrap();
    assert_eq!(sink.next.series, 2);
    assert_eq!(shown(rig.folder.path(), "job", "out", "s/0").unwrap(), Some(5));
    assert_eq!(shown(rig.folder.path(), "job", "out", "s/1").unwrap(), None);
}

#[tokio::test]
async fn a_held_file_that_was_shown_since_the_savepoint_is_not_shown_again() {
    let rig = Rig::new(1 << 30);
    let mut sink = rig.recovered(0, b"").await.unwrap();
    sink.write(&contract::rows(0..10_000)).await.unwrap();
    let held = sink.prepare(1).await.unwrap().held;
    sink.write(&contract::rows(10_000..10_001)).await.unwrap();
    sink.close();
    show(&mut sink, 2).await;
    let mut sink = rig.sink();
    sink.recover(set_back(7, 1, 2), 3, &held).await.unwrap();
    sink.write(&contract::rows(10_000..10_001)).await.unwrap();
    sink.close();
    show(&mut sink, 4).await;
    assert_eq!((rig.files().len(), rig.lines()), (2, 10_002), "only what came after the savepoint comes again");
}
