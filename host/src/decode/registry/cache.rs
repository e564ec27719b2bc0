//! The cache in front of registries, which all partitions of a process share.
//!
//! The rule: **an outage never touches what is known, and never makes a record bad.** What was found stays; that an id is unknown is believed
//! after it was said for a while, and remembered for a time of its own; a registry that does not answer is asked by one question at a
//! time with growing, jittered pauses, however many ids and partitions wait. Memory is bounded: damaged records can name any of four
//! thousand million ids.
//! Left to others: asking (`SchemaSource`), and what waits meanwhile (`avro`, `job`).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use pelton_schema::Mode;
use tokio::sync::Mutex as AsyncMutex;

use super::{Answer, Facts, Found, Outage, Registered, SchemaId, SchemaSource, Which};
use crate::{
    clock::{self, Clock},
    error::{Error, Kind as ErrorKind, Result},
    random,
    source::Pending,
};

/// How long things are remembered and waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// an id counts as unknown once this was said for so long: one that was registered a moment ago may not be everywhere yet
    pub grace: Duration,
    /// how long it counts as unknown before it is asked for again
    pub unknown: Duration,
    /// how long whoever needs an answer now (a check, a start) asks a source that does not answer
    pub outage: Duration,
    /// the first pause; it doubles
    pub first_pause: Duration,
    /// the longest pause
    pub longest_pause: Duration,
    /// one question may take so long
    pub call: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(5),
            unknown: Duration::from_secs(60),
            outage: Duration::from_secs(60),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            call: Duration::from_secs(15),
        }
    }
}

/// Ids remembered at most.
const MOST_IDS: usize = 65_536;
/// Ids asked for at the same time.
const AT_ONCE: usize = 16;
/// So many unknown ids get the time of grace; more are damage.
const GRACED: usize = 16;
/// Between questions that were answered, and not well.
const PAUSE: Duration = Duration::from_millis(500);
/// Versions of a subject that are looked at, newest first.
const MOST_VERSIONS: usize = 1000;

/// Which versions before it a schema has to be compared with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reach {
    /// of this subject
    pub subject: Arc<str>,
    /// all of them, not the last one alone
    pub is_transitive: bool,
}

/// What is known of an id.
#[derive(Clone, Debug)]
pub struct Look {
    /// the schema, or that there is none
    pub found: Found,
    /// the versions before it that were asked for, oldest first
    pub older: Vec<Arc<Registered>>,
}

/// What is remembered of an id, and who asks for it.
#[derive(Default)]
struct Slot {
    known: Mutex<Option<Known>>,
    /// held while the source is asked, so that it is asked once
    asking: AsyncMutex<()>,
}

#[derive(Clone)]
struct Known {
    found: Found,
    at: Duration,
}

/// A source, and how it has answered of late.
struct Door {
    source: Box<dyn SchemaSource>,
    /// failures since the last answer, and until when nobody asks
    gate: Mutex<Gate>,
    /// held by who asks while it fails
    probe: AsyncMutex<()>,
}

#[derive(Clone, Debug, Default)]
struct Gate {
    failures: u32,
    closed_until: Duration,
}

/// The cache.
pub struct Registry {
    doors: Vec<Door>,
    patience: Patience,
    clock: Arc<dyn Clock>,
    slots: Mutex<HashMap<SchemaId, Arc<Slot>>>,
    /// versions of a subject, as far as somebody needed them
    versions: Mutex<HashMap<Reach, BTreeMap<u32, Arc<Registered>>>>,
    questions: AtomicU64,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    /// A cache in front of a source.
    pub fn new(source: Box<dyn SchemaSource>, patience: Patience, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::of(vec![source], patience, clock)
    }

    /// A cache in front of several: what one does not know is asked of the next; while one is away, those behind it are not asked for ids of
    /// its kind, because the same id may mean something else there.
    pub fn of(sources: Vec<Box<dyn SchemaSource>>, patience: Patience, clock: Arc<dyn Clock>) -> Arc<Self> {
        let door = |source| Door { source, gate: Mutex::default(), probe: AsyncMutex::default() };
        let (slots, versions, questions) = (Mutex::default(), Mutex::default(), AtomicU64::new(0));
        Arc::new(Self { doors: sources.into_iter().map(door).collect(), patience, clock, slots, versions, questions })
    }

    /// Its times.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// How often a source was asked something.
    pub fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }

    /// How many ids it remembers something of.
    pub fn remembered(&self) -> usize {
        locked(&self.slots).len()
    }

    /// Which sources it has, for messages.
    pub fn name(&self) -> String {
        let names: Vec<String> = self.doors.iter().map(|door| door.source.name()).collect();
        if names.is_empty() { "no registry".to_owned() } else { names.join(" and ") }
    }

    /// What is known of an id now, without asking; with the versions before it, if they are all here.
    pub fn look(&self, id: SchemaId, reach: Option<&Reach>) -> Option<Look> {
        let slot = locked(&self.slots).get(&id).cloned()?;
        let known = locked(&slot.known).clone()?;
        if !matches!(known.found, Found::Schema(_))
            && self.clock.elapsed().saturating_sub(known.at) >= self.patience.unknown
        {
            return None;
        }
        let older = match (&known.found, reach) {
            (Found::Schema(schema), Some(reach)) => self.older(schema, reach)?,
            _ => Vec::new(),
        };
        Some(Look { found: known.found, older })
    }

    /// Comes back once [`Registry::look`] answers for every id: however long that takes.
    pub fn settle(self: &Arc<Self>, ids: Vec<SchemaId>, reach: Option<Reach>) -> Pending<'static, ()> {
        let registry = Arc::clone(self);
        Box::pin(async move {
            // Boxed: a stream of borrowing closures is not seen to be Send otherwise.
            let asked: Vec<Pending<'static, ()>> = ids
                .into_iter()
                .map(|id| {
                    let (registry, reach) = (Arc::clone(&registry), reach.clone());
                    Box::pin(async move { registry.settle_one(id, reach.as_ref()).await }) as Pending<'static, ()>
                })
                .collect();
            stream::iter(asked).buffer_unordered(AT_ONCE).for_each(|()| std::future::ready(())).await;
        })
    }

    async fn settle_one(&self, id: SchemaId, reach: Option<&Reach>) {
        let mut unknown_since = None;
        while self.look(id, reach).is_none() {
            match self.find(id, &mut unknown_since).await {
                Ok(Some(Found::Schema(schema))) => {
                    if let Some(reach) = reach
                        && let Err(outage) = self.fetch_older(&schema, reach).await
                    {
                        tracing::warn!(%id, why = outage.why, "the versions before a schema cannot be looked at now");
                        clock::sleep(PAUSE).await;
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => clock::sleep(self.patience.grace.min(PAUSE)).await,
                Err(outage) => tracing::warn!(%id, why = outage.why, "records wait for their schema"),
            }
        }
    }

    /// One question for an id, unless it is known. Nothing: it is unknown, and not yet for long enough to be believed.
    async fn find(&self, id: SchemaId, unknown_since: &mut Option<Duration>) -> Answer<Option<Found>> {
        let slot = self.slot(id);
        let _asking = slot.asking.lock().await;
        if let Some(look) = self.look(id, None) {
            return Ok(Some(look.found));
        }
        // An answer speaks for the moment of the question, however late it comes.
        let asked = self.clock.elapsed();
        let found = self.first(|source| source.answers(id), |source| source.by_id(id)).await?;
        if matches!(found, Found::Unknown) {
            let was_unknown = locked(&slot.known).is_some();
            let since = *unknown_since.get_or_insert(asked);
            if !was_unknown && asked.saturating_sub(since) < self.patience.grace && self.unknown_ids() < GRACED {
                return Ok(None);
            }
        }
        *locked(&slot.known) = Some(Known { found: found.clone(), at: asked });
        Ok(Some(found))
    }

    /// How many ids are remembered as unknown.
    fn unknown_ids(&self) -> usize {
        let is_unknown =
            |slot: &&Arc<Slot>| locked(&slot.known).as_ref().is_some_and(|known| matches!(known.found, Found::Unknown));
        locked(&self.slots).values().filter(is_unknown).take(GRACED).count()
    }

    /// The first answer of the sources that is more than that there is nothing.
    async fn first<'a>(
        &'a self,
        fits: impl Fn(&dyn SchemaSource) -> bool,
        question: impl Fn(&'a dyn SchemaSource) -> Pending<'a, Answer>,
    ) -> Answer {
        let mut last = Found::Unknown;
        for door in self.doors.iter().filter(|door| fits(&*door.source)) {
            last = self.through(door, || question(&*door.source)).await?;
            if !matches!(last, Found::Unknown) {
                break;
            }
        }
        Ok(last)
    }

    /// One question at a source. While it fails, one at a time, after the pause.
    async fn through<'a, T>(&'a self, door: &'a Door, question: impl FnOnce() -> Pending<'a, Answer<T>>) -> Answer<T> {
        let is_failing = locked(&door.gate).failures > 0;
        let _probe = if is_failing { Some(door.probe.lock().await) } else { None };
        let wait = locked(&door.gate).closed_until.saturating_sub(self.clock.elapsed());
        if !wait.is_zero() {
            clock::sleep(wait).await;
        }
        self.questions.fetch_add(1, Ordering::Relaxed);
        let answer = clock::timeout(self.patience.call, question()).await;
        let answer = answer.unwrap_or_else(|| Err(Outage::new("no answer in time")));
        let mut gate = locked(&door.gate);
        match &answer {
            Ok(_) => *gate = Gate::default(),
            Err(_) => {
                let pause = random::back_off(gate.failures, self.patience.first_pause, self.patience.longest_pause);
                // Half of it is certain: pauses of nothing at all would be a storm.
                let least = self
                    .patience
                    .first_pause
                    .saturating_mul(1 << gate.failures.min(16))
                    .min(self.patience.longest_pause)
                    / 2;
                gate.failures = gate.failures.saturating_add(1);
                gate.closed_until = self.clock.elapsed() + pause.max(least);
            }
        }
        answer.map_err(|outage| Outage {
            why: format!("{} does not answer: {}", door.source.name(), outage.why),
            ..outage
        })
    }

    fn slot(&self, id: SchemaId) -> Arc<Slot> {
        let mut slots = locked(&self.slots);
        if slots.len() >= MOST_IDS && !slots.contains_key(&id) {
            // A slot that somebody is asking for has a second owner and stays; forgotten schemas are asked for again.
            let is_schema =
                |slot: &Slot| locked(&slot.known).as_ref().is_some_and(|known| matches!(known.found, Found::Schema(_)));
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || is_schema(slot));
            if slots.len() >= MOST_IDS {
                slots.retain(|_, slot| Arc::strong_count(slot) > 1);
            }
        }
        Arc::clone(slots.entry(id).or_default())
    }

    /// The versions before a schema, if all of them are here. A schema that is no version of the subject has none.
    fn older(&self, schema: &Registered, reach: &Reach) -> Option<Vec<Arc<Registered>>> {
        let Some(version) = schema.version_of(&reach.subject).filter(|version| *version > 1) else {
            return Some(Vec::new());
        };
        let versions = locked(&self.versions);
        let known = versions.get(reach)?;
        // The schema itself is put there after all before it.
        known.get(&version)?;
        let count = if reach.is_transitive { MOST_VERSIONS } else { 1 };
        let mut older: Vec<Arc<Registered>> =
            known.range(..version).rev().take(count).map(|(_, one)| Arc::clone(one)).collect();
        older.reverse();
        Some(older)
    }

    async fn fetch_older(&self, schema: &Arc<Registered>, reach: &Reach) -> Answer<()> {
        let Some(version) = schema.version_of(&reach.subject).filter(|version| *version > 1) else { return Ok(()) };
        let subject = &reach.subject;
        let (door, mut numbers) = self.door_of(schema.id, subject, version).await?;
        numbers.retain(|number| *number < version);
        let count = if reach.is_transitive { MOST_VERSIONS } else { 1 };
        for number in numbers.into_iter().rev().take(count) {
            let is_known = locked(&self.versions).get(reach).is_some_and(|known| known.contains_key(&number));
            if is_known {
                continue;
            }
            match self.through(door, || door.source.version(subject, Which::Number(number))).await? {
                Found::Schema(older) => {
                    drop(locked(&self.versions).entry(reach.clone()).or_default().insert(number, older))
                }
                Found::Unknown => {
                    return Err(Outage::new(format!("version {number} of `{subject}` is in the list, and not there")));
                }
                // It is no Avro: nothing was written with it that could be compared.
                Found::Unusable(_) => {}
            }
        }
        locked(&self.versions).entry(reach.clone()).or_default().insert(version, Arc::clone(schema));
        Ok(())
    }

    /// The source that has a schema as a version of a subject, and all its versions: each registry counts by itself. A verdict must not rest on an
    /// answer that lacks what another one had, so that none has it is no answer.
    async fn door_of(&self, id: SchemaId, subject: &str, version: u32) -> Answer<(&Door, Vec<u32>)> {
        for door in self.doors.iter().filter(|door| door.source.answers(id)) {
            let numbers = self.through(door, || door.source.versions(subject)).await?;
            if numbers.contains(&version) {
                return Ok((door, numbers));
            }
        }
        Err(Outage::new(format!("version {version} of `{subject}` is not in the list of its versions")))
    }

    async fn versions_of(&self, subject: &str) -> Answer<Vec<u32>> {
        for door in &self.doors {
            let numbers = self.through(door, || door.source.versions(subject)).await?;
            if !numbers.is_empty() {
                return Ok(numbers);
            }
        }
        Ok(Vec::new())
    }

    async fn version_of(&self, subject: &str, which: Which) -> Answer {
        self.first(|_| true, |source| source.version(subject, which)).await
    }

    /// The versions of a subject, rising; none where there is no such subject. Fails with `Unavailable` when the patience ends.
    pub async fn versions(&self, subject: &str) -> Result<Vec<u32>> {
        self.patiently(subject, || Box::pin(self.versions_of(subject))).await
    }

    /// A version of a subject.
    pub async fn version(&self, subject: &str, which: Which) -> Result<Found> {
        self.patiently(subject, || Box::pin(self.version_of(subject, which))).await
    }

    /// The newest version of a subject; never cached, as it changes.
    pub async fn latest(&self, subject: &str) -> Result<Arc<Registered>> {
        let bad = |why: String| Error::new(ErrorKind::Config, format!("subject `{subject}`: {why}"));
        match self.version(subject, Which::Latest).await? {
            Found::Schema(schema) => Ok(schema),
            Found::Unknown => {
                Err(bad("the registry has no such subject: register a schema, or name another".to_owned()))
            }
            Found::Unusable(why) => Err(bad(why)),
        }
    }

    /// The mode under which the first source that has the subject lets it grow.
    pub async fn mode(&self, subject: &str) -> Result<Option<Mode>> {
        let ask = || async {
            for door in &self.doors {
                if let Some(mode) = self.through(door, || door.source.mode(subject)).await? {
                    return Ok(Some(mode));
                }
            }
            Ok(None)
        };
        self.patiently(subject, || Box::pin(ask())).await
    }

    /// The id of a schema in the first source, which is the one that is written to.
    pub async fn register(&self, subject: &str, text: &str, may_register: bool) -> Result<Found> {
        let Some(door) = self.doors.first() else { return Ok(Found::Unusable("there is no registry".to_owned())) };
        self.patiently(subject, || Box::pin(self.through(door, || door.source.register(subject, text, may_register))))
            .await
    }

    /// Metadata and tags of a version.
    pub async fn facts(&self, subject: &str, version: u32) -> Result<Facts> {
        let Some(door) = self.doors.first() else { return Ok(Facts::new()) };
        self.patiently(subject, || Box::pin(self.through(door, || door.source.facts(subject, version)))).await
    }

    /// The schema of an id, for who cannot go on without: an id that is unknown is so at once.
    pub async fn by_id(&self, id: SchemaId) -> Result<Found> {
        let ask = || async {
            let known = self.look(id, None).map(|look| look.found);
            let mut long_ago = Some(Duration::ZERO);
            match known {
                Some(found) => Ok(found),
                None => Ok(self.find(id, &mut long_ago).await?.unwrap_or(Found::Unknown)),
            }
        };
        self.patiently(&format!("schema {id}"), || Box::pin(ask())).await
    }

    /// Asks until there is an answer or the patience ends.
    async fn patiently<'a, T>(&'a self, what: &str, ask: impl Fn() -> Pending<'a, Answer<T>>) -> Result<T> {
        let start = self.clock.elapsed();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let left = self.patience.outage.saturating_sub(self.clock.elapsed().saturating_sub(start));
            let answer = clock::timeout(left.max(self.patience.call), ask()).await;
            match answer.unwrap_or_else(|| Err(Outage::new("no answer in time"))) {
                Ok(answer) => return Ok(answer),
                Err(Outage { why, is_refusal: true }) => {
                    return Err(Error::new(ErrorKind::Config, format!("`{what}`: {why}")));
                }
                Err(Outage { why, .. }) if self.clock.elapsed().saturating_sub(start) >= self.patience.outage => {
                    let message = format!("`{what}`: {why} (asked {attempts} times)");
                    return Err(Error::new(ErrorKind::Unavailable, message));
                }
                Err(Outage { why, .. }) if attempts == 1 => tracing::warn!(what, why, "asking again"),
                Err(_) => {}
            }
        }
    }
}
