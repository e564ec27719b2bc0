//! Kill loops: a whole job under a paced load from Kinesis is killed with SIGKILL, at named points of the commit protocol and at
//! random moments, and what it delivered must be what an uninterrupted job and a naive computation say.
//!
//! `PELTON_KILLS` is the number of kills (30 without it), `PELTON_SEED` repeats the plan of a campaign; `cargo xtask chaos --kills N`
//! sets them. Left to others: what is put (`load`), the process (`victim`), whether the results are right (`verdict`).

pub mod load;
pub mod verdict;
mod victim;

use std::time::Duration;

use load::{Load, Shape};
use pelton::{
    checkpoint::kill::{POINTS, SEAL_POINTS},
    clock,
};
use pelton_emulator::{Options, Running, start};
use victim::{Ending, Victim};

/// A run of the job from an empty state to the end of its input suffers so many kills.
const KILLS_A_RUN: usize = 15;
/// A run that commits fewer epochs proves too little.
const LEAST_EPOCHS: u64 = 20;
/// A named point that is not passed in this time is not waited for any longer: the process is killed where it is.
const PATIENCE: Duration = Duration::from_secs(8);

/// One kill of the plan.
#[derive(Clone, Copy, Debug)]
enum Kill {
    /// at the nth passing of a named point
    At(&'static str, u64),
    /// after so many milliseconds
    After(u64),
    /// SIGTERM after so many milliseconds: the epoch ends and the process exits with 0
    Asked(u64),
}

/// A small generator, so that a seed repeats the plan: xorshift64*.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// Random moments; in a plan that has room for them every point once before, where it can be passed: those of a start with their first passing, those of an epoch with a later one. A token is
/// recovered only after a kill before it was published, so that pair stands together.
fn plan(kills: usize, dice: &mut Dice) -> Vec<Kill> {
    let named = |point: &&'static str| match *point {
        "before-job-record" | "after-job-record" | "before-claim" | "after-claim" | "recovered" => Kill::At(point, 1),
        "before-publish" | "between-tokens" | "after-publish" => Kill::At(point, 2 + dice.below(4)),
        point => Kill::At(point, 2 + dice.below(12)),
    };
    let points = if kills < POINTS.len() { &[] } else { POINTS };
    let mut plan: Vec<Kill> = points.iter().filter(|point| **point != "recovered-token").map(named).collect();
    if let Some(place) = plan.iter().position(|kill| matches!(kill, Kill::At("before-publish", _))) {
        plan.insert(place + 1, Kill::At("recovered-token", 1));
    }
    while plan.len() < kills {
        let after = 150 + dice.below(2_500);
        plan.push(if dice.below(10) == 0 { Kill::Asked(after) } else { Kill::After(after) });
    }
    plan
}

/// What a campaign saw.
#[derive(Debug, Default)]
struct Seen {
    kills: usize,
    points: std::collections::BTreeSet<&'static str>,
    epochs: u64,
    records: usize,
    windows: usize,
}

async fn emulator() -> Running {
    let options = Options {
        streams: vec![("events".into(), 3), ("results".into(), 2), ("whole".into(), 2)],
        subscription: Duration::from_secs(2),
        takeover_after: Duration::from_millis(100),
        call_interval: Duration::from_millis(20),
        ..Options::default()
    };
    start(options).await.unwrap()
}

/// Kills one job again and again while the load goes on, lets it finish, and judges.
async fn run(plan: &[Kill], shape: Shape, seen: &mut Seen) {
    let emulator = emulator().await;
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("http://{}", emulator.addr());
    let victim = Victim::new(folder.path(), &endpoint, shape);
    let load = Load::start(&endpoint, shape).await;
    for (number, kill) in plan.iter().enumerate() {
        let ended = match number * 6 / plan.len().max(6) {
            2 => load.split_once().await.then_some("before-seal"),
            4 => load.merge_once().await.then_some("after-seal"),
            _ => None,
        };
        // a partition is sealed only in the life that reads the end of its shard
        let kill = match ended {
            Some(point) if shape == Shape::PerShard => &Kill::At(point, 1),
            _ => kill,
        };
        let ending = match kill {
            Kill::At(point, hit) => {
                let ending = victim.killed_at(point, *hit, PATIENCE).await;
                seen.points.extend((ending == Ending::AtPoint).then_some(point));
                ending
            }
            Kill::After(ms) => victim.killed_after(Duration::from_millis(*ms)).await,
            Kill::Asked(ms) => victim.asked_after(Duration::from_millis(*ms)).await,
        };
        println!("  {kill:?}: {ending:?}");
        seen.kills += 1;
    }
    // paces: epochs under load after the last kill
    clock::sleep(Duration::from_secs(3)).await;
    let put = load.stop().await;
    victim.finish("job.yaml").await;
    victim.finish("whole.yaml").await;
    let epochs = victim.epochs();
    assert!(epochs >= LEAST_EPOCHS, "only {epochs} epochs were committed under {} records", put.len());
    let windows = verdict::judge(folder.path(), &endpoint, &put, shape).await;
    println!("  {} records, {epochs} epochs, {windows} windows: exact", put.len());
    seen.epochs += epochs;
    seen.records += put.len();
    seen.windows += windows;
    emulator.stop().await;
}

pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}`, no number")))
}

async fn campaign(kills: usize, shape: Shape) -> Seen {
    let seed = number("PELTON_SEED").unwrap_or_else(pelton::random::bits) | 1;
    println!("PELTON_SEED={seed}");
    let plan = plan(kills, &mut Dice(seed));
    let mut seen = Seen::default();
    for (number, part) in plan.chunks(KILLS_A_RUN).enumerate() {
        println!("run {} of {}", number + 1, plan.len().div_ceil(KILLS_A_RUN));
        run(part, shape, &mut seen).await;
    }
    println!("{seen:?}");
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_under_load_nothing_is_lost_or_repeated() {
    let kills = usize::try_from(number("PELTON_KILLS").unwrap_or(30)).unwrap();
    let seen = campaign(kills, Shape::One).await;
    if kills >= POINTS.len() {
        let missed: Vec<_> = POINTS.iter().filter(|point| !seen.points.contains(*point)).collect();
        assert!(missed.is_empty(), "no kill fired at {missed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_with_a_partition_per_shard_nothing_is_lost_or_repeated() {
    let kills = usize::try_from(number("PELTON_SHARD_KILLS").unwrap_or(10)).unwrap();
    let seen = campaign(kills, Shape::PerShard).await;
    assert!(SEAL_POINTS.iter().all(|point| seen.points.contains(point)), "no kill around a seal: {:?}", seen.points);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_with_late_records_the_last_firing_of_each_window_is_right() {
    let kills = usize::try_from(number("PELTON_LATE_KILLS").unwrap_or(5)).unwrap();
    campaign(kills, Shape::Late).await;
}
