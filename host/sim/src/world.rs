//! The world of one run: virtual time, chance, the services that outlive workers, and what was seen.
//!
//! The rule: everything that happens is noted, with its time; two runs of one seed note the same, which their hash shows.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pelton::{lease::memory::MemoryLeases, objects::memory::MemoryObjects};
use pelton_emulator::store::{Millis, Rules, Store};
use tokio::time::Instant;

use super::{
    dice::Dice,
    faults::Faults,
    monitor::Monitor,
    outside::{schemas::Schemas, sinks::Shown},
    scenario::Scenario,
};

/// Virtual time begins here, milliseconds since 1970.
pub const EPOCH_MS: u64 = 1_700_000_000_000;
/// The one stream.
pub const STREAM: &str = "events";
/// Lines of the story that are kept.
const STORY: usize = 60_000;

/// One run.
pub struct World {
    /// the service
    pub kinesis: Store,
    /// the consumer of all workers
    pub consumer_arn: String,
    /// the store of manifests and state
    pub objects: MemoryObjects,
    /// the lease table
    pub leases: MemoryLeases,
    /// what must hold of manifests, tokens and blocks at every moment
    pub monitor: Mutex<Monitor>,
    /// what sinks have shown
    pub shown: Mutex<Shown>,
    /// the schema registry
    pub schemas: Mutex<Schemas>,
    start: Instant,
    scenario: Scenario,
    noted: Mutex<Noted>,
}

struct Noted {
    dice: Dice,
    faults: Faults,
    quiet: bool,
    hash: u64,
    story: VecDeque<String>,
    fired: BTreeMap<&'static str, u64>,
    broken: Vec<String>,
    /// a service, and until when nobody reaches it
    away: Option<(Service, Duration)>,
}

/// What workers call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// objects
    Store,
    /// lease rows
    Leases,
    /// destinations
    Sinks,
    /// what makes results visible there
    Commits,
    /// the stream
    Stream,
    /// schemas
    Registry,
}

impl Service {
    fn of(call: &str) -> Self {
        match call {
            "create" | "read" | "list" | "delete" => Self::Store,
            "commit" => Self::Commits,
            "stage" | "abort" | "PutRecords" => Self::Sinks,
            "ListShards" | "SubscribeToShard" => Self::Stream,
            "schema" => Self::Registry,
            _ => Self::Leases,
        }
    }
}

/// The lock, whoever panicked while holding it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// A world with one stream of so many shards.
    pub fn new(mut dice: Dice, faults: Faults, shards: u32, scenario: Scenario) -> Self {
        let rules = Rules {
            subscription: Duration::from_secs(5 + dice.below(40)),
            takeover_after: Duration::from_secs(5),
            call_interval: Duration::from_secs(1),
            scalings_a_day: None,
        };
        let kinesis = Store::in_memory(rules);
        kinesis.create_stream(EPOCH_MS, STREAM, shards).expect("the stream is new");
        let consumer = kinesis.register_consumer(EPOCH_MS, STREAM, "sim").expect("the consumer is new");
        let noted = Noted {
            dice,
            faults,
            quiet: false,
            hash: 0xcbf2_9ce4_8422_2325,
            story: VecDeque::new(),
            fired: BTreeMap::new(),
            broken: Vec::new(),
            away: None,
        };
        Self {
            kinesis,
            consumer_arn: consumer.arn,
            objects: MemoryObjects::default(),
            leases: MemoryLeases::default(),
            monitor: Mutex::default(),
            shown: Mutex::default(),
            schemas: Mutex::default(),
            start: Instant::now(),
            scenario,
            noted: Mutex::new(noted),
        }
    }

    /// Whether manifests are seen, because they go over the network.
    pub fn has_monitor(&self) -> bool {
        self.scenario.is_fleet()
    }

    /// Whether records are Avro.
    pub fn has_schemas(&self) -> bool {
        self.scenario == Scenario::Schemas
    }

    /// Virtual time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Milliseconds since 1970 by the clock of the services.
    pub fn now_ms(&self) -> Millis {
        EPOCH_MS + self.elapsed().as_millis() as u64
    }

    /// Something happened.
    pub fn note(&self, line: impl Into<String>) {
        let at = self.elapsed().as_micros();
        let line = format!("{:>5}.{:06} {}", at / 1_000_000, at % 1_000_000, line.into());
        let mut noted = lock(&self.noted);
        for byte in line.bytes() {
            noted.hash = (noted.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if noted.story.len() == STORY {
            noted.story.pop_front();
        }
        noted.story.push_back(line);
    }

    /// An invariant does not hold.
    pub fn broken(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(format!("BROKEN: {what}"));
        lock(&self.noted).broken.push(what);
    }

    /// Whether an invariant was broken.
    pub fn is_broken(&self) -> bool {
        !lock(&self.noted).broken.is_empty()
    }

    /// Throws the dice.
    pub fn dice<T>(&self, throw: impl FnOnce(&mut Dice) -> T) -> T {
        throw(&mut lock(&self.noted).dice)
    }

    /// Whether a fault happens now; it is counted.
    pub fn strikes(&self, kind: &'static str) -> bool {
        let mut noted = lock(&self.noted);
        let rate = if noted.quiet { 0 } else { noted.faults.rate(kind) };
        let strikes = noted.dice.chance(rate);
        if strikes {
            *noted.fired.entry(kind).or_default() += 1;
        }
        strikes
    }

    /// Whether something that is no fault happens now, so often of a million; it is counted, and ends with the faults.
    pub fn happens(&self, what: &'static str, rate: u64) -> bool {
        let mut noted = lock(&self.noted);
        let happens = !noted.quiet && noted.dice.chance(rate);
        if happens {
            *noted.fired.entry(what).or_default() += 1;
        }
        happens
    }

    /// Something that is no fault has happened.
    pub fn counted(&self, what: &'static str) {
        *lock(&self.noted).fired.entry(what).or_default() += 1;
    }

    /// A service is out of reach for a while.
    pub fn outage(&self) {
        let kinds = if self.has_schemas() { 7 } else { 5 };
        let service = match self.dice(|dice| dice.below(kinds)) {
            0 => Service::Store,
            1 => Service::Leases,
            2 => Service::Sinks,
            3 => Service::Commits,
            4 => Service::Stream,
            _ => Service::Registry,
        };
        let time = self.dice(|dice| dice.between(Duration::from_secs(1), Duration::from_secs(15)));
        self.note(format!("{service:?} is away for {time:?}"));
        let until = self.elapsed() + time;
        lock(&self.noted).away = Some((service, until));
    }

    /// Whether the service of this call is out of reach.
    pub fn is_away(&self, call: &str) -> bool {
        let now = self.elapsed();
        lock(&self.noted).away.is_some_and(|(service, until)| now < until && service == Service::of(call))
    }

    /// From now on nothing goes wrong any more.
    pub fn calm(&self) {
        let mut noted = lock(&self.noted);
        noted.quiet = true;
        noted.away = None;
        drop(noted);
        self.note("faults end");
    }

    /// Whether nothing goes wrong any more.
    pub fn is_calm(&self) -> bool {
        lock(&self.noted).quiet
    }

    /// What was noted: hash, story, faults that fired, what was broken.
    pub fn seen(&self) -> (u64, Vec<String>, BTreeMap<&'static str, u64>, Vec<String>) {
        let noted = lock(&self.noted);
        (noted.hash, noted.story.iter().cloned().collect(), noted.fired.clone(), noted.broken.clone())
    }
}
