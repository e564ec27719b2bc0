//! What becomes of a fleet whose store fails it: away for longer than a lease, emptied, on a full disk. Workers say so, lose nothing, show
//! nothing twice, and go on by themselves where nobody has to decide.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use pelton::{
    clock::{self, Clock, SystemClock},
    error::Kind,
};
use pelton_emulator::{Running, store::Entry};

use super::{
    Bucket, FOLDER,
    workers::{Fleet, emulator, flush, log, wait_for_windows},
};
use crate::{
    chaos::{
        load::{Load, Put, START_MS, Shape},
        verdict::{judge_fleet, progress, sorted_lines},
    },
    objects::proxy::Wire,
};

/// Longer than six leases.
const AWAY: Duration = Duration::from_secs(7);

/// Waits until the log of a fleet holds these words.
async fn wait_for_words(fleet: &Fleet, words: &str) {
    for _ in 0..300 {
        if fleet.whole_log().contains(words) {
            return;
        }
        clock::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody says `{words}` within 30 s\n{}", fleet.log());
}

/// Waits until some windows were fired.
async fn wait_for_some(fleet: &Fleet, folder: &Path) {
    let put: Vec<Put> = Vec::new();
    for _ in 0..300 {
        if progress(&folder.join("out"), &put).0 >= 20 {
            return;
        }
        clock::sleep(Duration::from_millis(100)).await;
    }
    panic!("the fleet shows nothing within 30 s\n{}", fleet.log());
}

/// Records that the job drops, so many kilobytes of them: what they leave behind is memory or nothing.
fn junk(emulator: &Running, kilobytes: usize) {
    let now = u64::try_from(SystemClock::new().wall_us() / 1000).unwrap();
    for number in 0..kilobytes / 20 {
        let (ad, pad) = (format!("ad{}", number % 60), "x".repeat(20_000));
        let data = serde_json::json!({ "ad": ad, "amount": 0, "at": START_MS, "pad": pad }).to_string();
        let entry = Entry { data: data.into(), partition_key: ad, explicit_hash_key: None };
        emulator.store().put_records(now, "events", vec![entry]).unwrap();
    }
}

/// Megabytes that a process has in memory.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

fn largest(fleet: &Fleet) -> u64 {
    fleet.workers.iter().map(|worker| resident(worker.id())).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_for_longer_than_a_lease_is_waited_for() {
    let Some(bucket) = Bucket::start().await else { return };
    for wire in [Wire::Cut, Wire::Silent] {
        away(&bucket, wire).await;
        bucket.server.empty();
    }
}

async fn away(bucket: &Bucket, wire: Wire) {
    let emulator = emulator(3).await;
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("http://{}", emulator.addr());
    let load = Load::start(&endpoint, Shape::PerShard).await;
    let mut fleet = Fleet::new(folder.path(), &endpoint, &bucket.store(), 2);
    wait_for_some(&fleet, folder.path()).await;
    let before = largest(&fleet);
    bucket.proxy.set(wire);
    junk(&emulator, 100_000);
    // paces: the time for which the store is away
    clock::sleep(AWAY).await;
    let during = largest(&fleet);
    println!("  {wire:?}: {before} MB before, {during} MB while the store was away");
    assert!(fleet.workers.iter_mut().all(|worker| worker.try_wait().unwrap().is_none()), "{}", fleet.log());
    bucket.proxy.set(Wire::Whole);
    let put = load.stop().await;
    flush(&emulator);
    wait_for_windows(&fleet, &put).await;
    let said = fleet.whole_log();
    fleet.end().await;
    judge_fleet(&folder.path().join("out"), &endpoint, &put).await;
    if wire == Wire::Cut {
        assert!(said.contains("nothing is durable until it answers"), "nobody says that the store is away");
    }
    assert!(during < before + 64, "{during} MB are in use while the store is away, {before} MB were before");
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_emptied_is_never_begun_anew_in_silence() {
    let emulator = emulator(3).await;
    let folder = tempfile::tempdir().unwrap();
    let (out, endpoint) = (folder.path().join("out"), format!("http://{}", emulator.addr()));
    let load = Load::start(&endpoint, Shape::PerShard).await;
    let fleet = Fleet::new(folder.path(), &endpoint, FOLDER, 2);
    wait_for_some(&fleet, folder.path()).await;
    // parents that are sealed may have no row any more: they, too, must not begin anew
    load.split_once().await;
    wait_for_words(&fleet, "partition=\"events/shardId-000000000004\"").await;
    let put = load.stop().await;
    fleet.end().await;
    let (shown, files) = (sorted_lines(&out), names(&out));
    fs::remove_dir_all(folder.path().join("store")).unwrap();
    flush(&emulator);

    let mut fleet = Fleet::new(folder.path(), &endpoint, FOLDER, 2);
    for worker in 0..2 {
        let ended = wait_for_exit(&mut fleet, worker).await;
        assert_eq!(ended, Some(i32::from(Kind::State.exit_code())), "{}", fleet.log());
    }
    assert!(fleet.log().contains("knows nothing of it: it is another one, or it was emptied"), "{}", fleet.log());
    assert_eq!(sorted_lines(&out), shown, "something was shown");
    assert!(!folder.path().join("store/fleet").exists(), "something was written into the wrong store");

    let mut fleet = Fleet::new(folder.path(), &endpoint, FOLDER, 0);
    let worker = fleet.start_with(&["--accept-repeats"]);
    fleet.workers.push(worker);
    wait_for_again(&fleet, &out, &files, &put).await;
    fleet.end().await;
    // from now on the rows of the lease table say how far the new store is
    fs::remove_file(folder.path().join("log")).unwrap();
    let fleet = Fleet::new(folder.path(), &endpoint, FOLDER, 2);
    // paces: the time in which a worker claims its partitions
    clock::sleep(Duration::from_secs(2)).await;
    fleet.end().await;
    assert!(!log(folder.path()).contains("has committed epoch"), "{}", log(folder.path()));
    emulator.stop().await;
}

fn names(out: &Path) -> BTreeSet<OsString> {
    fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

/// Waits until every window was shown anew, in files that were not there before.
async fn wait_for_again(fleet: &Fleet, out: &Path, before: &BTreeSet<OsString>, put: &[Put]) {
    let again = tempfile::tempdir().unwrap();
    for _ in 0..600 {
        for name in names(out).difference(before) {
            fs::copy(out.join(name), again.path().join(name)).unwrap();
        }
        let (fired, all) = progress(again.path(), put);
        if fired >= all {
            return;
        }
        clock::sleep(Duration::from_millis(100)).await;
    }
    panic!("the job does not begin again\n{}", fleet.log());
}

/// A file system of a few megabytes; none, with words, where this user may not mount one.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf, megabytes: u32) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(&at);
        if !mount.output().is_ok_and(|done| done.status.success()) {
            eprintln!("skipped: this user may not mount a small disk at {}", at.display());
            return None;
        }
        Some(Self(at))
    }

    /// Nothing more goes onto it.
    fn fill(&self) {
        let junk = vec![0; 1 << 16];
        let mut file = fs::File::create(self.0.join("junk")).unwrap();
        while std::io::Write::write_all(&mut file, &junk).is_ok() {}
    }

    fn clear(&self) {
        fs::remove_file(self.0.join("junk")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_a_full_disk_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(folder.path().join("store"), 64) else { return };
    let emulator = emulator(3).await;
    let endpoint = format!("http://{}", emulator.addr());
    let load = Load::start(&endpoint, Shape::PerShard).await;
    let mut fleet = Fleet::new(folder.path(), &endpoint, FOLDER, 2);
    wait_for_some(&fleet, folder.path()).await;
    disk.fill();
    wait_for_words(&fleet, "No space left on device (os error 28): nothing is durable until it answers").await;
    // paces: the time for which the disk is full
    clock::sleep(Duration::from_secs(3)).await;
    assert!(fleet.workers.iter_mut().all(|worker| worker.try_wait().unwrap().is_none()), "{}", fleet.log());
    disk.clear();
    let put = load.stop().await;
    flush(&emulator);
    wait_for_windows(&fleet, &put).await;
    fleet.end().await;
    judge_fleet(&folder.path().join("out"), &endpoint, &put).await;
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_own_disk_is_full_leaves_its_work_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(folder.path().join("small"), 64) else { return };
    let emulator = emulator(3).await;
    let endpoint = format!("http://{}", emulator.addr());
    let load = Load::start(&endpoint, Shape::PerShard).await;
    let mut fleet = Fleet::new(folder.path(), &endpoint, FOLDER, 0);
    fleet.workers.push(fleet.start_with(&["--state-dir", "small"]));
    wait_for_some(&fleet, folder.path()).await;
    fleet.workers.push(fleet.start());
    disk.fill();
    let ended = wait_for_exit(&mut fleet, 0).await;
    assert_eq!(ended, Some(i32::from(Kind::State.exit_code())), "{}", fleet.log());
    assert!(fleet.log().contains("pelton: ") && fleet.log().contains("No space left on device"), "{}", fleet.log());
    let put = load.stop().await;
    flush(&emulator);
    wait_for_windows(&fleet, &put).await;
    disk.clear();
    // the other one has everything, and goes on to write to the old log
    fs::remove_file(folder.path().join("log")).unwrap();
    fleet.workers[0] = fleet.start_with(&["--state-dir", "small"]);
    wait_for_words(&fleet, "this worker runs it from now on").await;
    fleet.end().await;
    judge_fleet(&folder.path().join("out"), &endpoint, &put).await;
    emulator.stop().await;
}

async fn wait_for_exit(fleet: &mut Fleet, worker: usize) -> Option<i32> {
    for _ in 0..300 {
        if let Some(status) = fleet.workers[worker].try_wait().unwrap() {
            return status.code();
        }
        clock::sleep(Duration::from_millis(100)).await;
    }
    panic!("the worker does not end within 30 s\n{}", fleet.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_table_that_refuses_for_longer_than_a_lease_is_waited_for() {
    let emulator = emulator(3).await;
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("http://{}", emulator.addr());
    let load = Load::start(&endpoint, Shape::PerShard).await;
    let mut fleet = Fleet::new(folder.path(), &endpoint, FOLDER, 2);
    wait_for_some(&fleet, folder.path()).await;
    for (fault, words) in [("access-denied", "AccessDeniedException"), ("expired-credentials", "renew the credentials")]
    {
        let rules = ["UpdateItem", "Scan"].map(|call| format!("{call}:{fault}").parse().unwrap());
        emulator.faults().replace(rules.into());
        wait_for_words(&fleet, words).await;
        // paces: the time for which the table refuses, three leases
        clock::sleep(Duration::from_secs(3)).await;
        assert!(fleet.workers.iter_mut().all(|worker| worker.try_wait().unwrap().is_none()), "{}", fleet.log());
        emulator.faults().replace(Vec::new());
        // paces: leases are taken again
        clock::sleep(Duration::from_secs(2)).await;
    }
    let put = load.stop().await;
    flush(&emulator);
    wait_for_windows(&fleet, &put).await;
    fleet.end().await;
    judge_fleet(&folder.path().join("out"), &endpoint, &put).await;
    emulator.stop().await;
}
