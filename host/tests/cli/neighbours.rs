//! A plugin that does harm in one partition, and what the partitions beside it notice of that in the same worker.
//!
//! The rule: times are printed, never judged; that every row of the neighbour comes is judged. `PELTON_NEIGHBOUR_SECONDS` measures for longer.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use pelton::clock::{Clock, SystemClock};

use super::{
    pelton,
    swap::{Running, wait_for},
};
use crate::service::{Service, service};

fn job(doing: &str, more: &str) -> String {
    let guest = PathBuf::from(std::env::var_os("PELTON_GUESTS").expect("the plugins are built by `cargo xtask test`"));
    let plugin = guest.join("hostile_plugin.wasm").display().to_string();
    format!(
        r#"
pelton: v1
job: neighbours
{more}
sources:
  numbers: {{ kinesis: {{ stream: clicks, start: trim_horizon }}, format: {{ json: {{ fields: {{ text: text }} }} }} }}
steps:
  step: {{ from: numbers, transform: {{ plugin: {plugin}, config: {{ do: {doing}, text: x }}, on_error: drop }} }}
sinks:
  out: {{ from: step, file: {{ path: out, roll: {{ every: 100ms }} }} }}
checkpoint: {{ every: 100ms }}
"#
    )
}

/// Puts a text into the first or the second shard.
async fn put(service: &Service, shard: u8, text: &str) {
    let hash = if shard == 0 { "0".to_owned() } else { (1_u128 << 127).to_string() };
    let put = service.client.put_record().stream_name("clicks").partition_key(text).explicit_hash_key(hash);
    put.data(format!(r#"{{"text":"{text}"}}"#).into_bytes().into()).send().await.unwrap();
}

/// The texts of all rows in files that were not read yet.
fn fresh(folder: &Path, read: &mut BTreeSet<PathBuf>) -> Vec<String> {
    let Ok(files) = fs::read_dir(folder.join("out")) else { return Vec::new() };
    let files =
        files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
    let new: Vec<PathBuf> = files.filter(|path| read.insert(path.clone())).collect();
    let texts: String = new.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let text = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        row["text"].as_str().unwrap().to_owned()
    };
    texts.lines().map(text).collect()
}

/// Puts 50 records a second into the second shard, and into the first now and then one that does harm: how long each of the second took
/// until it could be read, sorted.
async fn delays(service: &Service, folder: &Path, seconds: u64, harm: bool) -> Vec<Duration> {
    let clock = SystemClock::new();
    let (mut read, mut put_at, mut delays) = (BTreeSet::new(), Vec::new(), Vec::new());
    fresh(folder, &mut read);
    let count = usize::try_from(seconds * 50).unwrap();
    while delays.len() < count {
        let now = clock.elapsed();
        if put_at.len() < count && now >= Duration::from_millis(20) * u32::try_from(put_at.len()).unwrap() {
            put(service, 1, &format!("n{}{harm}", put_at.len())).await;
            if harm && put_at.len() % 100 == 50 {
                put(service, 0, "x").await;
            }
            put_at.push(now);
        }
        let number = |text: &str| text.strip_suffix(&harm.to_string())?.strip_prefix('n')?.parse::<usize>().ok();
        delays.extend(fresh(folder, &mut read).iter().filter_map(|text| Some(clock.elapsed() - put_at[number(text)?])));
        assert!(now < Duration::from_secs(seconds * 3 + 60), "{} of {count} rows have come", delays.len());
        // paces: the stream
        pelton::clock::sleep(Duration::from_millis(5)).await;
    }
    delays.sort_unstable();
    delays
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_takes_all_it_can_get_holds_up_no_other_partition() {
    let seconds = std::env::var("PELTON_NEIGHBOUR_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let service = service(Duration::from_secs(300), false, 2).await;
    let kept = tempfile::tempdir().unwrap();
    let folder = kept.path();
    fs::write(folder.join("job.yaml"), job("loop_on", "")).unwrap();
    let endpoint = format!("http://{}", service.emulator.addr());
    let running = Running::start_with(folder, &["run", "job.yaml", "--endpoint", &endpoint, "--accept-rejects"]);
    put(&service, 1, "first").await;
    wait_for("the first row", || !fresh(folder, &mut BTreeSet::new()).is_empty()).await;
    let quiet = delays(&service, folder, seconds, false).await;
    let beside = delays(&service, folder, seconds, true).await;
    let at = |sorted: &[Duration], part: f64| sorted[((sorted.len() - 1) as f64 * part) as usize];
    for (name, sorted) in [("alone", &quiet), ("beside a plugin that never ends", &beside)] {
        println!("{name}: {} rows, p50 {:.0?}, p99 {:.0?}", sorted.len(), at(sorted, 0.5), at(sorted, 0.99));
    }
    running.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_whose_step_fails_is_left_alone_for_a_while_and_the_others_go_on() {
    let service = service(Duration::from_secs(300), false, 2).await;
    let kept = tempfile::tempdir().unwrap();
    let folder = kept.path();
    fs::write(folder.join("job.yaml"), job("trap_on", "on_failure: back_off").replace("drop", "stop")).unwrap();
    let endpoint = format!("http://{}", service.emulator.addr());
    let mut command = pelton(folder, &["run", "job.yaml", "--endpoint", &endpoint]);
    let log = fs::File::create(folder.join("said")).unwrap();
    let running = Running::of(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    let said = || fs::read_to_string(folder.join("said")).unwrap();
    put(&service, 0, "x").await;
    wait_for("the first failures", || said().matches("its step has failed, it begins again").count() >= 2).await;
    // the other partition goes on, and takes what comes
    put(&service, 1, "beside").await;
    wait_for("the row beside", || fresh(folder, &mut BTreeSet::new()).contains(&"beside".to_owned())).await;
    running.end();
}
