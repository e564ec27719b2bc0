//! The schema registry as workers reach it: it is away, fails, is slow, and does not know yet what was registered a moment ago.
//!
//! A version that was registered is readable by the job and follows the one before; [`FOREIGN`] is of another kind, [`UNKNOWN`] is none. What
//! a registry says that is no clear answer (a page of HTML, another schema) is an outage for whoever asks through the contract, so it is one
//! here; that such answers are found out is tested over real sockets.

use std::time::Duration;

use pelton::{
    decode::{
        avro::{frame, long},
        registry::{Answer, Found, MemorySource, Outage, SchemaId, SchemaSource, Which},
    },
    source::Pending,
};

use super::network::Caller;
use crate::world::{World, lock};

/// An id that was never registered.
pub const UNKNOWN: u32 = 999;
/// A schema of another kind, under another subject.
pub const FOREIGN: u32 = 500;
/// Ids of the subject begin here.
const FIRST: u32 = 101;
const SUBJECT: &str = "events-value";
/// So long a schema is not everywhere after it was registered.
const LAG: Duration = Duration::from_secs(2);

/// What is registered.
#[derive(Debug, Default)]
pub struct Schemas {
    /// when versions after the first were registered
    added: Vec<Duration>,
    /// questions that arrived
    pub questions: u64,
    /// starts of workers
    pub starts: u64,
}

impl Schemas {
    /// Registers the next version: its id.
    pub fn add(&mut self, now: Duration) -> u32 {
        self.added.push(now);
        self.newest(now)
    }

    /// The id of the newest version.
    pub fn newest(&self, _: Duration) -> u32 {
        FIRST + self.added.len() as u32
    }

    /// How many versions there are.
    pub fn len(&self) -> usize {
        self.added.len() + 1
    }

    /// The versions that are everywhere by now.
    fn known(&self, now: Duration) -> MemorySource {
        let count = self.added.iter().filter(|at| now.saturating_sub(**at) >= LAG).count() as u32;
        let source = (0..=count).fold(MemorySource::default(), |source, version| {
            source.with(SchemaId::Number(FIRST + version), SUBJECT, &text(version))
        });
        let foreign = r#"{"type":"record","name":"Other","fields":[{"name":"key","type":"long"}]}"#;
        source.with(SchemaId::Number(FOREIGN), "other", foreign)
    }
}

/// A version of the schema, counted from 0: each has a field more, with a default.
pub fn text(version: u32) -> String {
    let more: String =
        (1..=version).map(|number| format!(r#",{{"name":"more{number}","type":"int","default":{number}}}"#)).collect();
    format!(
        r#"{{"type":"record","name":"Event","fields":[{{"name":"key","type":"string"}},{{"name":"group","type":"string"}},{{"name":"n","type":"long"}},{{"name":"at","type":{{"type":"long","logicalType":"timestamp-millis"}}}}{more}]}}"#
    )
}

/// A record as its producer writes it.
pub fn record(id: u32, key: &str, group: &str, n: i64, at_ms: i64) -> Vec<u8> {
    let mut body = Vec::new();
    for text in [key, group] {
        long(text.len() as i64, &mut body);
        body.extend_from_slice(text.as_bytes());
    }
    long(n, &mut body);
    long(at_ms, &mut body);
    for number in FIRST..id.min(FOREIGN - 1) {
        long(i64::from(number), &mut body);
    }
    frame(id, &body)
}

/// Key, group, number and time of a record.
pub fn read(record: &[u8]) -> (String, String, i64, i64) {
    let mut rest = record.get(5..).unwrap_or_default();
    let key = text_of(&mut rest);
    let group = text_of(&mut rest);
    (key, group, number(&mut rest), number(&mut rest))
}

fn number(rest: &mut &[u8]) -> i64 {
    let mut raw = 0u64;
    for place in 0..10 {
        let Some((byte, after)) = rest.split_first() else { break };
        *rest = after;
        raw |= u64::from(byte & 0x7f) << (7 * place);
        if *byte < 0x80 {
            break;
        }
    }
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

fn text_of(rest: &mut &[u8]) -> String {
    let length = number(rest) as usize;
    let (text, after) = rest.split_at_checked(length).unwrap_or_default();
    *rest = after;
    String::from_utf8_lossy(text).into_owned()
}

/// The registry, as one worker reaches it.
pub struct SimSchemas(pub Caller);

impl SimSchemas {
    /// One question. An answer may be lost, late, a failure, or that there is nothing where there is something.
    async fn ask<T: Send + 'static>(
        &self,
        detail: String,
        nothing: T,
        question: impl FnOnce(&MemorySource) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let act = move |world: &World| {
            let now = world.elapsed();
            let known = {
                let mut schemas = lock(&world.schemas);
                schemas.questions += 1;
                schemas.known(now)
            };
            if world.strikes("registry_500") {
                return Err(Outage::new("500"));
            }
            if world.strikes("registry_404") {
                return Ok(nothing);
            }
            question(&known)
        };
        let answer = self.0.call("schema", &detail, act).await;
        answer.unwrap_or_else(|failed| Err(Outage::new(failed.to_string())))
    }
}

/// What memory answers at once.
fn now<T>(answer: Pending<'_, T>) -> T {
    futures::FutureExt::now_or_never(answer).expect("memory does not wait")
}

impl SchemaSource for SimSchemas {
    fn name(&self) -> String {
        "the simulated registry".to_owned()
    }

    fn answers(&self, id: SchemaId) -> bool {
        matches!(id, SchemaId::Number(_))
    }

    fn by_id(&self, id: SchemaId) -> Pending<'_, Answer> {
        Box::pin(self.ask(format!("{id}"), Found::Unknown, move |known| now(known.by_id(id))))
    }

    fn versions<'a>(&'a self, subject: &'a str) -> Pending<'a, Answer<Vec<u32>>> {
        let named = subject.to_owned();
        Box::pin(self.ask(format!("versions of {subject}"), Vec::new(), move |known| now(known.versions(&named))))
    }

    fn version<'a>(&'a self, subject: &'a str, which: Which) -> Pending<'a, Answer> {
        let named = subject.to_owned();
        let detail = format!("{which:?} of {subject}");
        Box::pin(self.ask(detail, Found::Unknown, move |known| now(known.version(&named, which))))
    }
}
