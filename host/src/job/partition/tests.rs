//! The rules of the commit protocol, each with a test that fails when the rule is broken: the real loop of a partition over a store, a
//! source and sinks that write down what was asked of them, in one journal.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::watch;

use super::{Ending, Holding, Partition, Parts, Settings, intake::Input, locality::Locality};
use crate::{
    checkpoint::{
        MOST_UNCOMMITTED,
        committer::Committer,
        epoch::Outlet,
        ledger::{LocalLedger, local},
        manifest::{self, JobRecord, Manifest},
    },
    clock::SystemClock,
    decode::{self, Encoding, FieldPath, Format, Kind as FieldKind, WantedField},
    error::{Error, Kind, Result},
    job::{
        flow::{self, Action, Flow, Node},
        live::Live,
    },
    record::{Batch, Cells, RawBatch, Records, RowReject, Sequence, ShardId},
    sink::{
        Prepared, Promise, Sink, Token, Writer,
        memory::{MemorySink, Shown},
    },
    source::{Event, From, Pending, Position, Reader, Shard, Source, Start, memory::MemorySource},
    state::{Delta, Flush, HashRange, Row, StateStore, key, memory::MemoryStore},
    transform::{LocalPending, Outputs, Step},
    window::event_time::TimeRule,
};

/// What happened, in order.
#[derive(Clone, Debug, PartialEq)]
enum Entry {
    /// a manifest became durable; with it, how many records the state has counted
    Wrote {
        manifest: Box<Manifest>,
        counted: u64,
    },
    /// the store refused a write
    Refused,
    Recovered {
        sink: &'static str,
        epoch: u64,
    },
    Prepared {
        sink: &'static str,
        epoch: u64,
    },
    Committed {
        sink: &'static str,
        epoch: u64,
    },
    /// a commit was asked for and failed
    Failed {
        sink: &'static str,
        epoch: u64,
    },
    Opened(From),
}

#[derive(Clone, Default)]
struct Journal(Arc<(Mutex<Vec<Entry>>, Condvar)>);

impl Journal {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.0.lock().unwrap()
    }

    fn add(&self, entry: Entry) {
        self.entries().push(entry);
        self.0.1.notify_all();
    }

    /// Whether the entry comes within a moment: how a test catches somebody who does not wait.
    fn comes(&self, wanted: impl Fn(&Entry) -> bool) -> bool {
        let entries = self.entries();
        let moment = Duration::from_millis(20);
        let waited = self.0.1.wait_timeout_while(entries, moment, |entries| !entries.iter().any(&wanted)).unwrap();
        !waited.1.timed_out()
    }

    fn manifests(&self) -> Vec<(Manifest, u64)> {
        let entries = self.entries();
        let wrote = |entry: &Entry| match entry {
            Entry::Wrote { manifest, counted } => Some(((**manifest).clone(), *counted)),
            _ => None,
        };
        entries.iter().filter_map(wrote).collect()
    }

    fn place(&self, wanted: impl Fn(&Entry) -> bool) -> Option<usize> {
        self.entries().iter().position(wanted)
    }
}

/// A store that survives the partitions of a test.
struct JournalStore {
    rows: MemoryStore,
    journal: Journal,
    /// writes that go well before one fails; negative: all do
    left: AtomicI64,
}

impl StateStore for JournalStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.rows.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>> {
        self.rows.scan(from, to, limit)
    }

    fn write(&self, deltas: &[Delta], flush: Flush) -> Result<()> {
        if self.left.load(Ordering::SeqCst) == 0 {
            self.journal.add(Entry::Refused);
            return Err(Error::new(Kind::State, "the disk is full"));
        }
        self.left.fetch_sub(1, Ordering::SeqCst);
        let rows = deltas.iter().flat_map(Delta::iter);
        let manifest = rows.filter_map(|(row, value)| Some((key::meta_parts(row)?, value?))).last();
        let manifest: Manifest = manifest::decode("the manifest", manifest.unwrap().1).unwrap();
        let epoch = manifest.epoch;
        // rule 5: who publishes without waiting for this write is seen by it
        self.journal.comes(|entry| matches!(entry, Entry::Committed { epoch: published, .. } if *published == epoch));
        self.rows.write(deltas, flush)?;
        let counted = self.rows.get(&count_row())?.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
        self.journal.add(Entry::Wrote { manifest: Box::new(manifest), counted });
        Ok(())
    }
}

/// A sink with tokens whose commits fail as often as a test says.
struct JournalSink {
    name: &'static str,
    sink: MemorySink,
    journal: Journal,
    failures: Arc<AtomicU64>,
}

impl Sink for JournalSink {
    fn promise(&self) -> Promise {
        self.sink.promise()
    }

    fn recover(&mut self, writer: Writer, epoch: u64, held: &[u8]) -> Pending<'_, Result<()>> {
        self.journal.add(Entry::Recovered { sink: self.name, epoch });
        self.sink.recover(writer, epoch, held)
    }

    fn write<'a>(&'a mut self, batch: &'a Batch) -> Pending<'a, Result<Vec<RowReject>>> {
        self.sink.write(batch)
    }

    fn prepare(&mut self, epoch: u64) -> Pending<'_, Result<Prepared>> {
        self.journal.add(Entry::Prepared { sink: self.name, epoch });
        self.sink.prepare(epoch)
    }

    fn go_on(&mut self, generation: u64) {
        self.sink.go_on(generation);
    }

    fn commit<'a>(&'a mut self, token: &'a Token) -> Pending<'a, Result<()>> {
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            self.journal.add(Entry::Failed { sink: self.name, epoch: token.epoch });
            return Box::pin(std::future::ready(Err(Error::new(Kind::Unavailable, "the sink is away"))));
        }
        self.journal.add(Entry::Committed { sink: self.name, epoch: token.epoch });
        self.sink.commit(token)
    }
}

struct JournalSource(MemorySource, Journal);

impl Source for JournalSource {
    fn stream(&self) -> &str {
        self.0.stream()
    }

    fn shards(&self) -> Pending<'_, Result<Vec<Shard>>> {
        self.0.shards()
    }

    fn open<'a>(&'a self, shard: &'a ShardId, from: From) -> Pending<'a, Result<Box<dyn Reader>>> {
        self.1.add(Entry::Opened(from.clone()));
        self.0.open(shard, from)
    }
}

/// Counts the records that came through, as state.
struct Counter(u64);

fn count_row() -> Vec<u8> {
    key::state("count", key::Kind::Window, [0; 16], b"", 0, b"")
}

impl Step for Counter {
    fn process<'a>(&'a mut self, input: Batch, out: &'a mut Outputs) -> LocalPending<'a, Result<()>> {
        self.0 += input.len() as u64;
        out.batches.push((0, input));
        Box::pin(async { Ok(()) })
    }

    fn freeze(&mut self, delta: &mut Delta) {
        delta.put(count_row(), self.0.to_be_bytes().to_vec());
    }

    fn restore(&mut self, store: &Arc<dyn StateStore>, _: HashRange, _: Option<i64>) -> Result<()> {
        self.0 = store.get(&count_row())?.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
        Ok(())
    }
}

/// Hands on what it gets.
struct Pass;

impl Step for Pass {
    fn process<'a>(&'a mut self, input: Batch, out: &'a mut Outputs) -> LocalPending<'a, Result<()>> {
        out.batches.push((0, input));
        Box::pin(async { Ok(()) })
    }
}

const BATCHES: u64 = 12;
const RECORDS: u64 = 10;

fn batch(number: u64) -> RawBatch {
    let numbers = number * RECORDS + 1..=(number + 1) * RECORDS;
    let data: Vec<String> = numbers.clone().map(|n| n.to_string()).collect();
    let cells: Cells = data.iter().map(String::as_bytes).collect();
    let records = Records {
        stream: "s".into(),
        shard: ShardId::new("shard"),
        sequence: numbers.clone().map(Sequence::from_u64).collect(),
        sub_sequence: vec![0; data.len()],
        partition_key: cells.clone(),
        arrival_us: numbers.map(|n| n as i64).collect(),
    };
    RawBatch { records: Arc::new(records), data: cells }
}

/// What outlives a partition: its store, what its sinks showed, and the journal.
struct World {
    store: Arc<JournalStore>,
    shown: [Shown; 2],
    failures: [Arc<AtomicU64>; 2],
    journal: Journal,
}

fn reader(place: usize) -> flow::Reader {
    flow::Reader { place, port: 0 }
}

const SINKS: [&str; 2] = ["first", "second"];

impl World {
    fn new() -> Self {
        let journal = Journal::default();
        let store = JournalStore { rows: MemoryStore::default(), journal: journal.clone(), left: AtomicI64::new(-1) };
        Self { store: Arc::new(store), shown: Default::default(), failures: Default::default(), journal }
    }

    fn input(&self) -> Input {
        let shard = Shard { id: ShardId::new("shard"), parents: Vec::new(), hash_range: (0, u128::MAX) };
        let source = MemorySource::new("s", vec![(shard, (0..BATCHES).map(batch).collect())]);
        let payload = WantedField { path: FieldPath::new("payload"), kind: FieldKind::Text, optional: false };
        Input {
            name: "in".into(),
            source: Arc::new(JournalSource(source, self.journal.clone())),
            decoder: decode::decoder(&Format::from(Encoding::Text), &[payload]).unwrap(),
            time: TimeRule { column: None, out_of_order_us: 0, max_ahead_us: i64::MAX, idle: None },
            start: Start::TrimHorizon,
            feeds: vec![reader(0)],
            locality: Locality::default(),
        }
    }

    fn parts(&self) -> (Parts, JoinHandle<()>) {
        let node = |name: &str, action, inputs: Vec<usize>, outputs: Vec<Vec<flow::Reader>>| Node {
            name: name.into(),
            action,
            inputs,
            reads: 1,
            outputs,
        };
        let nodes = vec![
            node("pass", Action::Step(Box::new(Pass)), vec![], vec![vec![reader(1)]]),
            node("count", Action::Step(Box::new(Counter(0))), vec![0], vec![vec![reader(2), reader(3)]]),
            node("first", Action::Sink(0), vec![1], vec![]),
            node("second", Action::Sink(1), vec![1], vec![]),
        ];
        let outlet = |number: usize| Outlet {
            name: SINKS[number].into(),
            sink: Box::new(JournalSink {
                name: SINKS[number],
                sink: MemorySink::new(SINKS[number], self.shown[number].clone()),
                journal: self.journal.clone(),
                failures: self.failures[number].clone(),
            }),
        };
        let live = Arc::new(Live::default());
        let (committer, thread) = Committer::start(self.store.clone()).unwrap();
        let ledger = Arc::new(LocalLedger::new(self.store.clone(), committer));
        let parts = Parts {
            inputs: vec![self.input()],
            flow: Flow::new(nodes, live.clone()),
            outlets: vec![outlet(0), outlet(1)],
            dead_letters: None,
            store: self.store.clone(),
            ledger,
            holding: Holding::alone(),
            clock: SystemClock::shared(),
            live,
        };
        (parts, thread)
    }

    /// A life of the partition in which every event ends an epoch.
    async fn live(&self) -> Result<Ending> {
        self.live_on(self.parts()).await
    }

    async fn live_on(&self, (parts, thread): (Parts, JoinHandle<()>)) -> Result<Ending> {
        let settings = Settings {
            name: "all".into(),
            one_shard: false,
            closed: false,
            every: Duration::ZERO,
            bytes: u64::MAX,
            until_caught_up: true,
            accept_rejects: false,
            adopt_row: false,
            on_error: BTreeMap::new(),
            most_state: BTreeMap::new(),
            capsules: None,
        };
        let record = JobRecord {
            job: "job".into(),
            generation: 1,
            starts: BTreeMap::from([("in".into(), (Start::TrimHorizon, Vec::new()))]),
            ..JobRecord::default()
        };
        let first = Manifest { generation: 1, ..Manifest::default() };
        let (_stop, stopped) = watch::channel(false);
        let ended = match Partition::claim(settings, record, first, parts).await {
            Ok(partition) => partition.run(stopped, crate::job::swap::Swaps::none()).await,
            Err(failed) => Err(failed),
        };
        thread.join().unwrap();
        ended
    }

    /// A life that ends like a crash: the write after so many others fails.
    async fn crash_after(&self, writes: i64) {
        self.store.left.store(writes, Ordering::SeqCst);
        assert!(self.live().await.is_err(), "the failed write must end the partition");
        self.store.left.store(-1, Ordering::SeqCst);
    }

    fn shown(&self, sink: usize) -> Vec<u64> {
        let number = |row: &(_, Vec<u8>)| {
            let row: serde_json::Value = serde_json::from_slice(&row.1).unwrap();
            row["payload"].as_str().unwrap().parse().unwrap()
        };
        self.shown[sink].rows().iter().map(number).collect()
    }

    fn everything_once(&self) {
        for (number, sink) in SINKS.iter().enumerate() {
            assert_eq!(self.shown(number), (1..=BATCHES * RECORDS).collect::<Vec<_>>(), "sink {sink}");
        }
    }
}

/// A shard in which nothing comes: its position moves so many times, then it is caught up.
struct Quiet(u64);

impl Source for Quiet {
    fn stream(&self) -> &str {
        "s"
    }

    fn shards(&self) -> Pending<'_, Result<Vec<Shard>>> {
        let shard = Shard { id: ShardId::new("shard"), parents: Vec::new(), hash_range: (0, u128::MAX) };
        Box::pin(std::future::ready(Ok(vec![shard])))
    }

    fn open<'a>(&'a self, _: &'a ShardId, _: From) -> Pending<'a, Result<Box<dyn Reader>>> {
        Box::pin(std::future::ready(Ok(Box::new(Self(self.0)) as Box<dyn Reader>)))
    }
}

impl Reader for Quiet {
    fn next(&mut self) -> Pending<'_, Result<Event>> {
        self.0 = self.0.saturating_sub(1);
        let position = Position { record: None, continuation: Some(self.0.to_string()), as_of_us: 0 };
        Box::pin(std::future::ready(Ok(Event::Progress { position, behind_ms: self.0 })))
    }
}

#[tokio::test]
async fn a_position_that_moves_while_nothing_comes_is_not_worth_an_epoch_each_time() {
    let world = World::new();
    let (mut parts, thread) = world.parts();
    parts.inputs[0].source = Arc::new(Quiet(30));
    world.live_on((parts, thread)).await.unwrap();
    let written: Vec<u64> = world.journal.manifests().iter().map(|(manifest, _)| manifest.epoch).collect();
    assert_eq!(written, [0, 1], "the claim, and the last epoch");
    let (last, _) = world.journal.manifests().pop().unwrap();
    let continuation = last.shards["in"][&ShardId::new("shard")].position.clone().unwrap().continuation;
    assert_eq!(continuation.as_deref(), Some("0"), "the end makes it durable");
}

fn position(manifest: &Manifest) -> u64 {
    let progress = manifest.shards.get("in").and_then(|shards| shards.get(&ShardId::new("shard")));
    let record = progress.and_then(|progress| progress.position.as_ref()?.record);
    record.map_or(0, |(sequence, _)| sequence.to_string().parse().unwrap())
}

/// Rule 0: the claim is the first thing an owner writes, and comes before anything is recovered, committed, or read.
#[tokio::test]
async fn rule_0_an_owner_claims_before_it_does_anything_else() {
    let world = World::new();
    world.crash_after(5).await;
    let before = world.journal.entries().len();
    world.live().await.unwrap();
    let entries = world.journal.entries()[before..].to_vec();
    let Entry::Wrote { manifest: claim, .. } = &entries[0] else { panic!("first came {:?}", entries[0]) };
    let last = world.journal.manifests().into_iter().rfind(|(manifest, _)| manifest.fence < claim.fence).unwrap().0;
    assert_eq!((claim.fence, claim.number), (last.fence + 1, last.number + 1));
    assert_ne!(claim.nonce, last.nonce);
    let (lineage, nonce) = (last.lineage.clone(), last.nonce);
    let same = Manifest { number: last.number, fence: last.fence, nonce, lineage, ..(**claim).clone() };
    assert_eq!(same, last, "a claim has the content of the manifest before it");
}

/// Rules 1 and 2: a manifest's positions and its state are of the same moment, whatever number of steps records go through.
#[tokio::test]
async fn rule_1_positions_are_noted_where_records_were_handed_out() {
    let world = World::new();
    world.live().await.unwrap();
    let epochs = world.journal.manifests();
    assert!(epochs.len() as u64 >= BATCHES, "an event ends an epoch here");
    for (manifest, counted) in epochs {
        assert_eq!(position(&manifest), counted, "positions and state of epoch {}", manifest.epoch);
    }
}

/// Rule 2: what was handed out before the end of an epoch has come out of every step, into what its sinks staged for it.
#[tokio::test]
async fn rule_2_an_epoch_is_drained_before_its_sinks_prepare() {
    let world = World::new();
    world.live().await.unwrap();
    let positions: BTreeMap<u64, u64> = world.journal.manifests().iter().map(|(m, _)| (m.epoch, position(m))).collect();
    let staged: Vec<u64> =
        world.journal.manifests().iter().flat_map(|(m, _)| m.tokens.iter().map(|t| t.epoch)).collect();
    for (epoch, position) in positions.iter().filter(|(_, position)| **position > 0) {
        let before = positions.range(..epoch).next_back().map_or(0, |(_, position)| *position);
        assert!(*position == before || staged.contains(epoch), "epoch {epoch} moved to {position} and staged nothing");
    }
    world.everything_once();
}

/// Rule 3: every sink has prepared an epoch before its manifest is written, and the manifest has each sink's token.
#[tokio::test]
async fn rule_3_every_sink_prepares_before_the_commit() {
    let world = World::new();
    world.live().await.unwrap();
    for (manifest, _) in world.journal.manifests().into_iter().filter(|(manifest, _)| manifest.epoch > 0) {
        let wrote = world.journal.place(|e| matches!(e, Entry::Wrote { manifest: m, .. } if m.epoch == manifest.epoch));
        for sink in SINKS {
            let prepared = Entry::Prepared { sink, epoch: manifest.epoch };
            let prepared = world.journal.place(|entry| *entry == prepared);
            assert!(prepared.is_some() && prepared < wrote, "{sink} in epoch {}", manifest.epoch);
        }
    }
}

/// Rule 4: a manifest carries every token that is not known to be committed, and no more than so many epochs have any.
#[tokio::test]
async fn rule_4_a_manifest_carries_every_token_that_is_not_committed() {
    let world = World::new();
    world.failures[1].store(7, Ordering::SeqCst);
    world.live().await.unwrap();
    let entries = world.journal.entries().clone();
    let mut committed: Vec<(&str, u64)> = Vec::new();
    let mut staged: Vec<(&str, u64)> = Vec::new();
    let mut most = 0;
    for entry in &entries {
        match entry {
            Entry::Prepared { sink, epoch } => staged.push((sink, *epoch)),
            Entry::Committed { sink, epoch } => committed.push((sink, *epoch)),
            Entry::Wrote { manifest, .. } => {
                let carried: Vec<(&str, u64)> = manifest.tokens.iter().map(|t| (t.sink.as_str(), t.epoch)).collect();
                let due = staged.iter().filter(|(_, epoch)| *epoch <= manifest.epoch && *epoch <= BATCHES);
                for token in due.filter(|token| !committed.contains(token)) {
                    assert!(carried.contains(token), "epoch {} has forgotten {token:?}: {carried:?}", manifest.epoch);
                }
                let epochs: std::collections::BTreeSet<u64> = carried.iter().map(|(_, epoch)| *epoch).collect();
                most = most.max(epochs.len());
            }
            _ => {}
        }
    }
    assert!(most > 1, "tokens of several epochs must have waited");
    assert!(most <= MOST_UNCOMMITTED + 1, "{most} epochs had tokens in one manifest");
    world.everything_once();
}

/// Rule 4: when an epoch does not become durable, nothing after it does, and nothing of it is shown.
#[tokio::test]
async fn rule_4_after_a_failed_write_nothing_is_written_or_shown() {
    let world = World::new();
    world.crash_after(5).await;
    let entries = world.journal.entries().clone();
    let refused = entries.iter().position(|entry| *entry == Entry::Refused).unwrap();
    let durable = world.journal.manifests().last().unwrap().0.epoch;
    let after = |entry: &Entry| matches!(entry, Entry::Wrote { .. } | Entry::Refused);
    assert!(!entries[refused + 1..].iter().any(after), "written after a failed write: {entries:?}");
    let shown = |entry: &Entry| matches!(entry, Entry::Committed { epoch, .. } if *epoch > durable);
    assert!(!entries.iter().any(shown), "shown beyond epoch {durable}: {entries:?}");
    world.live().await.unwrap();
    world.everything_once();
}

/// Rule 5: a token is committed only after its manifest is durable, again until that succeeds, and leaves only in a later manifest.
#[tokio::test]
async fn rule_5_tokens_are_committed_only_when_their_epoch_is_durable() {
    let world = World::new();
    world.failures[0].store(3, Ordering::SeqCst);
    world.live().await.unwrap();
    let entries = world.journal.entries().clone();
    let (mut durable, mut committed) = (Vec::new(), 0);
    for entry in &entries {
        match entry {
            Entry::Wrote { manifest, .. } => durable.push(manifest.epoch),
            Entry::Committed { epoch, sink } => {
                assert!(durable.contains(epoch), "{sink} has shown epoch {epoch} before it was durable");
                committed += 1;
            }
            _ => {}
        }
    }
    assert_eq!(committed, 2 * BATCHES, "every token of both sinks is committed once");
    world.everything_once();
}

/// Rule 6: the tokens of the manifest are committed, what is beyond it is aborted, and reading goes on from its positions.
#[tokio::test]
async fn rule_6_a_new_owner_goes_on_from_the_last_commit() {
    let world = World::new();
    // no commit succeeds before the crash: everything durable waits as tokens
    world.failures.iter().for_each(|failures| failures.store(u64::MAX, Ordering::SeqCst));
    world.crash_after(4).await;
    world.failures.iter().for_each(|failures| failures.store(0, Ordering::SeqCst));
    let last = world.journal.manifests().last().unwrap().0.clone();
    assert!(!last.tokens.is_empty() && position(&last) > 0);
    let before = world.journal.entries().len();
    world.live().await.unwrap();
    let entries = world.journal.entries()[before..].to_vec();
    let place = |wanted: &Entry| entries.iter().position(|entry| entry == wanted);
    let opened = entries.iter().position(|entry| matches!(entry, Entry::Opened(_))).unwrap();
    for sink in SINKS {
        let recovered = place(&Entry::Recovered { sink, epoch: last.epoch }).unwrap();
        for token in last.tokens.iter().filter(|token| token.sink == sink) {
            let committed = place(&Entry::Committed { sink, epoch: token.epoch }).unwrap();
            assert!(recovered < committed && committed < opened, "{entries:?}");
        }
    }
    let Entry::Opened(From::After(from)) = &entries[opened] else { panic!("read from {:?}", entries[opened]) };
    assert_eq!(from.record.unwrap().0.to_string(), position(&last).to_string());
    world.everything_once();
}

/// All of them together: whatever write fails, the next owner ends with every record once.
#[tokio::test]
async fn whatever_write_fails_every_record_is_shown_once() {
    for writes in 0..(BATCHES as i64 + 3) {
        let world = World::new();
        world.store.left.store(writes, Ordering::SeqCst);
        let _ = world.live().await;
        world.store.left.store(-1, Ordering::SeqCst);
        world.live().await.unwrap();
        world.everything_once();
        assert!(local::newest(&*world.store, "all").unwrap().unwrap().tokens.iter().all(|token| token.epoch > 0));
    }
}
