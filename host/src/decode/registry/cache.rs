//! Schemas by id: a source (a Confluent registry, or memory), and a cache in front of it that all partitions share.
//!
//! The rule: **an outage never touches ids that are known.** What is found stays; that an id is unknown is remembered for a
//! short time only; an id is asked for once at a time, however many partitions want it; a source that does not answer is asked
//! again with growing, jittered pauses until the patience ends, and only then is it an error.
//! Left to others: what records of a schema become (`avro`).

use std::{
    collections::{HashMap, HashSet},
    error::Error as _,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use schema_registry_converter::{
    async_impl::schema_registry::{SrSettings, get_referenced_schema, get_schema_by_id, get_schema_by_subject},
    error::SRCError,
    schema_registry_common::{RawError, RegisteredSchema, SchemaType, SubjectNameStrategy},
};
use tokio::sync::Mutex;

use super::avro::AvroSchema;
use crate::{
    clock::{self, Clock},
    error::{Error, Kind as ErrorKind, Result},
    random,
    source::Pending,
};

/// What a source says about an id or a subject.
#[derive(Clone, Debug)]
pub enum Found {
    /// the schema
    Schema(Arc<AvroSchema>),
    /// there is none
    Unknown,
    /// there is something that is no Avro schema, or one that cannot be parsed
    Unusable(String),
}

/// The source does not answer now; in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage(pub String);

/// An answer, or that there is none for now.
pub type Answer = std::result::Result<Found, Outage>;

/// Where schemas are kept. It neither caches nor tries again: [`Registry`] does.
pub trait SchemaSource: Send + Sync {
    /// The schema of an id, with what it refers to.
    fn by_id(&self, id: u32) -> Pending<'_, Answer>;

    /// The newest schema of a subject.
    fn latest<'a>(&'a self, subject: &'a str) -> Pending<'a, Answer>;
}

/// How long things are remembered and waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// how long an id counts as unknown before it is asked for again
    pub unknown: Duration,
    /// how long a source that does not answer is asked again and again
    pub outage: Duration,
    /// the first pause; it doubles
    pub first_pause: Duration,
    /// the longest pause
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            unknown: Duration::from_secs(10),
            outage: Duration::from_secs(60),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// Ids remembered at most; damaged records can name any of four thousand million.
const MOST_IDS: usize = 16_384;
/// Ids asked for at the same time.
const AT_ONCE: usize = 16;

/// What is remembered of an id. The lock is held while the source is asked, so that it is asked once.
type Slot = Arc<Mutex<Option<(Found, Duration)>>>;

/// The cache.
pub struct Registry {
    source: Box<dyn SchemaSource>,
    patience: Patience,
    clock: Arc<dyn Clock>,
    slots: Mutex<HashMap<u32, Slot>>,
}

impl Registry {
    /// A cache in front of a source.
    pub fn new(source: Box<dyn SchemaSource>, patience: Patience, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { source, patience, clock, slots: Mutex::new(HashMap::new()) })
    }

    /// The schema of an id. Fails with `Unavailable` when the source does not answer for as long as the patience lasts.
    pub async fn find(&self, id: u32) -> Result<Found> {
        let slot = self.slot(id).await;
        let mut known = slot.lock().await;
        if let Some((found, asked)) = &*known {
            let is_lasting = matches!(found, Found::Schema(_));
            if is_lasting || self.clock.elapsed().saturating_sub(*asked) < self.patience.unknown {
                return Ok(found.clone());
            }
        }
        let found =
            self.ask(|| self.source.by_id(id)).await.map_err(|failed| failed.at(format_args!("schema {id}")))?;
        *known = Some((found.clone(), self.clock.elapsed()));
        Ok(found)
    }

    /// The same for several ids, some at a time.
    pub async fn find_all(&self, ids: &[u32]) -> Result<Vec<(u32, Found)>> {
        // Boxed: a stream of borrowing closures is not seen to be Send otherwise.
        let asked: Vec<Pending<'_, Result<(u32, Found)>>> = ids
            .iter()
            .map(|id| Box::pin(async move { Ok((*id, self.find(*id).await?)) }) as Pending<'_, Result<(u32, Found)>>)
            .collect();
        stream::iter(asked).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// The newest schema of a subject; never cached, as it changes.
    pub async fn latest(&self, subject: &str) -> Result<Arc<AvroSchema>> {
        let bad = |why: String| Error::new(ErrorKind::Config, format!("subject `{subject}`: {why}"));
        let found = self
            .ask(|| self.source.latest(subject))
            .await
            .map_err(|failed| failed.at(format_args!("subject `{subject}`")))?;
        match found {
            Found::Schema(schema) => Ok(schema),
            Found::Unknown => {
                Err(bad("the registry has no such subject: register a schema, or name another".to_owned()))
            }
            Found::Unusable(why) => Err(bad(why)),
        }
    }

    async fn slot(&self, id: u32) -> Slot {
        let mut slots = self.slots.lock().await;
        if slots.len() >= MOST_IDS && !slots.contains_key(&id) {
            // A slot that somebody is asking for has a second owner and stays; forgotten schemas are asked for again.
            slots.retain(|_, slot| {
                Arc::strong_count(slot) > 1
                    || slot.try_lock().is_ok_and(|known| matches!(&*known, Some((Found::Schema(_), _))))
            });
            if slots.len() >= MOST_IDS {
                slots.retain(|_, slot| Arc::strong_count(slot) > 1);
            }
        }
        Arc::clone(slots.entry(id).or_default())
    }

    /// Asks until there is an answer or the patience ends.
    async fn ask<'a>(&'a self, question: impl Fn() -> Pending<'a, Answer>) -> Result<Found> {
        let start = self.clock.elapsed();
        let mut attempt = 0;
        loop {
            let waited = self.clock.elapsed().saturating_sub(start);
            let left = self.patience.outage.saturating_sub(waited);
            // The first question is always asked in full; later ones end with the patience.
            let limit = if attempt == 0 { left.max(Duration::from_secs(1)) } else { left };
            let why = match clock::timeout(limit, question()).await {
                Some(Ok(found)) => return Ok(found),
                Some(Err(Outage(why))) => why,
                None => "no answer in time".to_owned(),
            };
            let pause = random::back_off(attempt, self.patience.first_pause, self.patience.longest_pause);
            if self.clock.elapsed().saturating_sub(start) + pause >= self.patience.outage {
                let message = format!("the schema registry does not answer after {} attempts: {why}", attempt + 1);
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
            tracing::warn!(attempt, why, "the schema registry does not answer, trying again");
            clock::sleep(pause).await;
            attempt += 1;
        }
    }
}

/// Schemas in memory.
#[derive(Debug, Default)]
pub struct MemorySource {
    schemas: HashMap<u32, Arc<AvroSchema>>,
    subjects: HashMap<String, u32>,
}

impl MemorySource {
    /// Adds a schema.
    pub fn with(mut self, id: u32, subject: &str, schema: Arc<AvroSchema>) -> Self {
        self.schemas.insert(id, schema);
        self.subjects.insert(subject.to_owned(), id);
        self
    }

    fn get(&self, id: u32) -> Answer {
        Ok(self.schemas.get(&id).map_or(Found::Unknown, |schema| Found::Schema(Arc::clone(schema))))
    }
}

impl SchemaSource for MemorySource {
    fn by_id(&self, id: u32) -> Pending<'_, Answer> {
        Box::pin(std::future::ready(self.get(id)))
    }

    fn latest<'a>(&'a self, subject: &'a str) -> Pending<'a, Answer> {
        let answer = self.subjects.get(subject).map_or(Ok(Found::Unknown), |id| self.get(*id));
        Box::pin(std::future::ready(answer))
    }
}

/// A registry that speaks Confluent's REST calls.
#[derive(Debug)]
pub struct ConfluentSource {
    settings: SrSettings,
}

/// Schemas that one schema may refer to, directly and through others.
const MOST_REFERENCES: usize = 256;
/// How long one HTTP call may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);

impl ConfluentSource {
    /// A client of the registry at this address, such as `http://127.0.0.1:8081`.
    pub fn new(url: &str) -> Result<Self> {
        let mut builder = SrSettings::new_builder(url.trim_end_matches('/').to_owned());
        builder.set_timeout(CALL_LIMIT);
        let settings = builder.build().map_err(|bad| {
            Error::new(ErrorKind::Config, format!("the schema registry `{url}` cannot be used: {}", words(&bad)))
        })?;
        Ok(Self::with_settings(settings))
    }

    /// A client with settings of one's own: authorisation, certificates, several addresses.
    pub fn with_settings(settings: SrSettings) -> Self {
        Self { settings }
    }

    /// A registered schema with everything that it refers to.
    async fn complete(&self, found: std::result::Result<RegisteredSchema, SRCError>) -> Answer {
        let main = match found {
            Ok(main) => main,
            Err(failed) => return unanswered(&failed),
        };
        if main.schema_type != SchemaType::Avro {
            return Ok(Found::Unusable(format!("it is of type {:?}, not Avro", main.schema_type)));
        }
        let (mut texts, mut open, mut seen) = (Vec::new(), main.references.clone(), HashSet::new());
        while let Some(reference) = open.pop() {
            if !seen.insert((reference.subject.clone(), reference.version)) {
                continue;
            }
            if seen.len() > MOST_REFERENCES {
                return Ok(Found::Unusable(format!("it refers to more than {MOST_REFERENCES} other schemas")));
            }
            match get_referenced_schema(&self.settings, &reference).await {
                Ok(other) => {
                    open.extend(other.references);
                    texts.push(other.schema);
                }
                Err(failed) => return unanswered(&failed),
            }
        }
        texts.sort();
        texts.dedup();
        Ok(match AvroSchema::parse(&main.schema, &texts) {
            Ok(schema) => Found::Schema(Arc::new(schema)),
            Err(bad) => Found::Unusable(bad.to_string()),
        })
    }
}

impl SchemaSource for ConfluentSource {
    // The free functions of the converter are used, not its decoder: that one keeps failures until told otherwise.
    fn by_id(&self, id: u32) -> Pending<'_, Answer> {
        Box::pin(async move { self.complete(get_schema_by_id(id, &self.settings).await).await })
    }

    fn latest<'a>(&'a self, subject: &'a str) -> Pending<'a, Answer> {
        // The strategy of record names takes the subject as it is.
        let strategy = SubjectNameStrategy::RecordNameStrategy(subject.to_owned());
        Box::pin(async move { self.complete(get_schema_by_subject(&self.settings, &strategy).await).await })
    }
}

/// Whether a failure is the registry's word that there is nothing (404xx), or no answer.
fn unanswered(failed: &SRCError) -> Answer {
    let code = failed.source().and_then(|cause| cause.downcast_ref::<RawError>()).map(|raw| raw.error_code);
    match code {
        Some(40_401..=40_403) => Ok(Found::Unknown),
        _ => Err(Outage(words(failed))),
    }
}

fn words(failed: &SRCError) -> String {
    match &failed.cause {
        Some(cause) => format!("{} ({cause})", failed.error),
        None => failed.error.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::clock::SystemClock;

    /// Fails `outages` times, then answers; counts the questions.
    struct Flaky {
        asked: Arc<AtomicU32>,
        outages: u32,
        answer: Found,
    }

    impl SchemaSource for Flaky {
        fn by_id(&self, _: u32) -> Pending<'_, Answer> {
            let number = self.asked.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                tokio::task::yield_now().await;
                if number < self.outages { Err(Outage("down".to_owned())) } else { Ok(self.answer.clone()) }
            })
        }

        fn latest<'a>(&'a self, _: &'a str) -> Pending<'a, Answer> {
            self.by_id(0)
        }
    }

    fn registry(outages: u32, answer: Found, outage: Duration, unknown: Duration) -> (Arc<Registry>, Arc<AtomicU32>) {
        let asked = Arc::new(AtomicU32::new(0));
        let short = Duration::from_millis(1);
        let patience = Patience { unknown, outage, first_pause: short, longest_pause: short };
        let source = Flaky { asked: Arc::clone(&asked), outages, answer };
        (Registry::new(Box::new(source), patience, SystemClock::shared()), asked)
    }

    fn long() -> Found {
        Found::Schema(Arc::new(AvroSchema::parse("\"long\"", &[]).unwrap()))
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_id_is_asked_for_once_by_many() {
        let (registry, asked) = registry(0, long(), MINUTE, MINUTE);
        let found = futures::future::join_all((0..20).map(|_| registry.find(7))).await;
        assert!(found.iter().all(|found| matches!(found, Ok(Found::Schema(_)))));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_outage_is_waited_for_and_then_said() {
        let (registry_short, _) = registry(3, long(), MINUTE, MINUTE);
        assert!(matches!(registry_short.find(1).await, Ok(Found::Schema(_))));
        let (registry_long, _) = registry(u32::MAX, long(), Duration::from_millis(5), MINUTE);
        let failed = registry_long.find(1).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Unavailable);
        assert!(failed.to_string().contains("down"), "{failed}");
    }

    #[tokio::test]
    async fn an_unknown_id_is_asked_for_again_after_a_while() {
        let (remembering, asked) = registry(0, Found::Unknown, MINUTE, MINUTE);
        for _ in 0..3 {
            assert!(matches!(remembering.find(1).await, Ok(Found::Unknown)));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let (forgetting, asked) = registry(0, Found::Unknown, MINUTE, Duration::ZERO);
        for _ in 0..3 {
            assert!(matches!(forgetting.find(1).await, Ok(Found::Unknown)));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn hostile_ids_do_not_fill_the_memory() {
        let (registry, _) = registry(0, Found::Unknown, MINUTE, MINUTE);
        let ids: Vec<u32> = (0..MOST_IDS as u32 + 1000).collect();
        registry.find_all(&ids).await.unwrap();
        assert!(registry.slots.lock().await.len() <= MOST_IDS);
    }
}
