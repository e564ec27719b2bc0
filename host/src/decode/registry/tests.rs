//! The cache: what it remembers, when it asks again, and that it never says of a good schema that there is none.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use super::*;
use crate::{clock::SystemClock, error::Kind as ErrorKind};

const SCHEMA: &str = r#"{"type":"record","name":"R","fields":[]}"#;

/// Answers as a list says, then with its last entry; counts the questions.
struct Scripted {
    asked: Arc<AtomicU32>,
    answers: Mutex<Vec<Answer>>,
}

fn schema(id: u32) -> Found {
    parsed(SchemaId::Number(id), SCHEMA, Vec::new(), vec![(Arc::from("s"), 1)])
}

fn down() -> Answer {
    Err(Outage::new("down"))
}

impl Scripted {
    fn answer(&self) -> Pending<'_, Answer> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Box::pin(async move {
            tokio::task::yield_now().await;
            answer
        })
    }
}

impl SchemaSource for Scripted {
    fn name(&self) -> String {
        "a script".to_owned()
    }

    fn answers(&self, _: SchemaId) -> bool {
        true
    }

    fn by_id(&self, _: SchemaId) -> Pending<'_, Answer> {
        self.answer()
    }

    fn versions<'a>(&'a self, _: &'a str) -> Pending<'a, Answer<Vec<u32>>> {
        Box::pin(std::future::ready(Ok(vec![1])))
    }

    fn version<'a>(&'a self, _: &'a str, _: Which) -> Pending<'a, Answer> {
        self.answer()
    }
}

fn registry(answers: Vec<Answer>, patience: Patience) -> (Arc<Registry>, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let source = Scripted { asked: Arc::clone(&asked), answers: Mutex::new(answers) };
    (Registry::new(Box::new(source), patience, SystemClock::shared()), asked)
}

fn quick() -> Patience {
    let short = Duration::from_millis(1);
    Patience {
        grace: Duration::ZERO,
        first_pause: short,
        longest_pause: short,
        outage: Duration::from_millis(20),
        ..Patience::default()
    }
}

const ID: SchemaId = SchemaId::Number(7);

fn is_schema(registry: &Registry) -> bool {
    matches!(registry.look(ID, None), Some(Look { found: Found::Schema(_), .. }))
}

#[tokio::test]
async fn an_id_is_asked_for_once_by_many() {
    let (registry, asked) = registry(vec![Ok(schema(7))], quick());
    futures::future::join_all((0..20).map(|_| registry.settle(vec![ID], None))).await;
    assert!(is_schema(&registry));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_outage_is_waited_for_by_records_and_said_to_people() {
    let (waiting, _) = registry(vec![down(), down(), down(), Ok(schema(7))], quick());
    waiting.settle(vec![ID], None).await;
    assert!(is_schema(&waiting));
    let (broken, _) = registry(vec![down()], quick());
    let failed = broken.latest("s").await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    assert!(failed.to_string().contains("a script does not answer: down"), "{failed}");
}

#[tokio::test]
async fn who_is_refused_is_told_at_once() {
    let refusal = Outage { why: "it refuses who asks".to_owned(), is_refusal: true };
    let (registry, asked) = registry(vec![Err(refusal)], Patience { outage: Duration::from_secs(60), ..quick() });
    assert_eq!(registry.latest("s").await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_outage_touches_nothing_that_is_known() {
    let (registry, asked) = registry(vec![Ok(schema(7)), down()], quick());
    registry.settle(vec![ID], None).await;
    assert!(registry.latest("s").await.is_err());
    assert!(is_schema(&registry));
    let before = asked.load(Ordering::SeqCst);
    registry.settle(vec![ID], None).await;
    assert_eq!(asked.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn an_unknown_id_is_believed_after_the_time_of_grace() {
    let patience = Patience { grace: Duration::from_millis(300), ..quick() };
    let (late, _) = registry(vec![Ok(Found::Unknown), Ok(schema(7))], patience);
    late.settle(vec![ID], None).await;
    assert!(is_schema(&late), "it was registered in between");
    let (never, asked) = registry(vec![Ok(Found::Unknown)], Patience { grace: Duration::from_millis(20), ..quick() });
    never.settle(vec![ID], None).await;
    assert!(matches!(never.look(ID, None), Some(Look { found: Found::Unknown, .. })));
    let before = asked.load(Ordering::SeqCst);
    never.settle(vec![ID], None).await;
    assert_eq!(asked.load(Ordering::SeqCst), before, "it is remembered");
}

#[tokio::test]
async fn an_unknown_id_is_asked_for_again_after_a_while() {
    let (registry, asked) = registry(vec![Ok(Found::Unknown)], Patience { unknown: Duration::ZERO, ..quick() });
    for _ in 0..3 {
        assert!(matches!(registry.by_id(ID).await, Ok(Found::Unknown)));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

/// However many ids wait, one question at a time is asked while there is no answer.
#[tokio::test(start_paused = true)]
async fn an_outage_is_asked_about_at_a_bounded_rate() {
    let patience = Patience::default();
    let asked = Arc::new(AtomicU32::new(0));
    let source = Scripted { asked: Arc::clone(&asked), answers: Mutex::new(vec![down()]) };
    let registry = Registry::new(Box::new(source), patience, Arc::new(Paused));
    let ids: Vec<SchemaId> = (0..1000).map(SchemaId::Number).collect();
    let waiting = (0..10).map(|_| registry.settle(ids.clone(), None));
    let minutes = crate::clock::timeout(Duration::from_secs(600), futures::future::join_all(waiting)).await;
    assert!(minutes.is_none());
    let asked = asked.load(Ordering::SeqCst);
    // At most 16 at first for each who waits, then pauses of 2.5 to 5 seconds.
    assert!((120..=600).contains(&asked), "{asked} questions in ten minutes");
}

/// The clock of a runtime that stands still until everybody waits.
#[derive(Debug)]
struct Paused;

impl crate::clock::Clock for Paused {
    fn wall_us(&self) -> i64 {
        0
    }

    fn elapsed(&self) -> Duration {
        tokio::time::Instant::now().duration_since(*START.get_or_init(tokio::time::Instant::now))
    }
}

static START: std::sync::OnceLock<tokio::time::Instant> = std::sync::OnceLock::new();

#[tokio::test]
async fn hostile_ids_do_not_fill_the_memory() {
    let (registry, _) = registry(vec![Ok(Found::Unknown)], quick());
    registry.settle((0..70_000).map(SchemaId::Number).collect(), None).await;
    assert!(registry.remembered() <= 65_536);
}

#[tokio::test]
async fn what_the_first_does_not_know_is_asked_of_the_second() {
    let text = |name: &str| format!(r#"{{"type":"record","name":"{name}","fields":[]}}"#);
    let first = MemorySource::default().with(ID, "s", &text("First"));
    let second = MemorySource::default().with(ID, "s", &text("Second")).with(SchemaId::Glue(1), "t", &text("Glue"));
    let registry = Registry::of(vec![Box::new(first), Box::new(second)], quick(), SystemClock::shared());
    let name = async |id| match registry.by_id(id).await.unwrap() {
        Found::Schema(found) => found.schema.full_name().unwrap().to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!(name(ID).await, "First");
    assert_eq!(name(SchemaId::Glue(1)).await, "Glue");
    assert_eq!(registry.latest("t").await.unwrap().version_of("t"), Some(1));
}

/// The same id may mean something else in the second registry.
#[tokio::test]
async fn while_the_first_is_away_the_second_is_not_asked() {
    let asked = Arc::new(AtomicU32::new(0));
    let first = Scripted { asked, answers: Mutex::new(vec![down()]) };
    let second = MemorySource::default().with(ID, "s", SCHEMA);
    let registry = Registry::of(vec![Box::new(first), Box::new(second)], quick(), SystemClock::shared());
    assert!(registry.by_id(ID).await.is_err());
}

#[tokio::test]
async fn versions_before_a_schema_are_there_when_it_is() {
    let source = (1..=5).fold(MemorySource::default(), |source, id| source.with(SchemaId::Number(id), "s", SCHEMA));
    let registry = Registry::new(Box::new(source), quick(), SystemClock::shared());
    for (is_transitive, count) in [(false, 1), (true, 3)] {
        let reach = Reach { subject: "s".into(), is_transitive };
        registry.settle(vec![SchemaId::Number(4)], Some(reach.clone())).await;
        let look = registry.look(SchemaId::Number(4), Some(&reach)).unwrap();
        assert_eq!(look.older.len(), count);
        assert_eq!(look.older.last().unwrap().id, SchemaId::Number(3));
    }
}
