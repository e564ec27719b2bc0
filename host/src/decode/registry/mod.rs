//! Where schemas are kept: registries, a folder, memory; and a cache in front of them that all partitions share.
//!
//! The contract of a [`SchemaSource`]: it neither caches nor tries again; **that there is nothing is another answer than that there is no
//! answer**, and whatever is no clear answer (a page of HTML, half a body, another schema than was asked for) is none; it
//! reads a bounded number of bytes and follows no redirect.
//! `cache` keeps what was found and decides when to ask again, `confluent`, `glue`, `folder` and `memory` ask.
//! Left to others: what records of a schema become, and which schemas a job may read (`avro`).

use std::{fmt, sync::Arc};

use pelton_schema::{AvroSchema, Mode};

use crate::source::Pending;

mod cache;
pub mod confluent;
pub mod folder;
#[cfg(feature = "glue")]
pub mod glue;
mod guard;
pub mod memory;
#[cfg(test)]
mod tests;

pub use cache::{Look, Patience, Reach, Registry};
pub use confluent::ConfluentSource;
pub use folder::FolderSource;
pub use memory::MemorySource;

/// By what a record names its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaId {
    /// number in a Confluent registry
    Number(u32),
    /// GUID in a Confluent registry
    Guid(u128),
    /// schema version in AWS Glue
    Glue(u128),
    /// CRC-64-AVRO of the canonical form, for single objects
    Fingerprint(u64),
    /// the record brings its schema along: a digest of its text
    Own(u128),
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => write!(f, "{id}"),
            Self::Guid(id) | Self::Glue(id) => f.write_str(&uuid_text(*id)),
            Self::Fingerprint(print) => write!(f, "with the fingerprint {print:016x}"),
            Self::Own(_) => f.write_str("of its own"),
        }
    }
}

/// `f81d4fae-7dec-11d0-a765-00a0c91e6bf6`.
pub fn uuid_text(id: u128) -> String {
    let digits = format!("{id:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// The number of such a text.
pub fn uuid(text: &str) -> Option<u128> {
    let is_uuid = text.len() == 36 && [8, 13, 18, 23].iter().all(|place| text.as_bytes()[*place] == b'-');
    is_uuid.then(|| u128::from_str_radix(&text.replace('-', ""), 16).ok()).flatten()
}

/// A schema that is registered.
#[derive(Clone, Debug)]
pub struct Registered {
    /// how records name it
    pub id: SchemaId,
    /// parsed, with what it refers to
    pub schema: Arc<AvroSchema>,
    /// as it was registered
    pub text: Arc<str>,
    /// the texts of what it refers to
    pub references: Arc<[String]>,
    /// subjects and the version that it is of each, as far as they were asked for
    pub versions: Vec<(Arc<str>, u32)>,
}

impl Registered {
    /// Which version of a subject it is.
    pub fn version_of(&self, subject: &str) -> Option<u32> {
        self.versions.iter().find(|(of, _)| **of == *subject).map(|(_, version)| *version)
    }
}

/// What a source says about a schema.
#[derive(Clone, Debug)]
pub enum Found {
    /// here it is
    Schema(Arc<Registered>),
    /// there is none
    Unknown,
    /// there is something that is no Avro schema, or one that cannot be parsed
    Unusable(String),
}

/// The source does not answer now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// in words
    pub why: String,
    /// it answers, and refuses who asks: waiting alone will not mend it
    pub is_refusal: bool,
}

impl Outage {
    /// No answer.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_refusal: false }
    }
}

/// An answer, or that there is none for now.
pub type Answer<T = Found> = std::result::Result<T, Outage>;

/// Which version of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Latest,
    Number(u32),
}

/// What is known of a subject's version for people.
pub type Facts = Vec<(String, String)>;

/// Where schemas are kept.
pub trait SchemaSource: Send + Sync {
    /// What it is, for messages: `the registry http://127.0.0.1:8081`.
    fn name(&self) -> String;

    /// Whether ids of this kind are its business.
    fn answers(&self, id: SchemaId) -> bool;

    /// The schema of an id, with what it refers to, and of which subjects it is a version.
    fn by_id(&self, id: SchemaId) -> Pending<'_, Answer>;

    /// The versions of a subject, rising; none where there is no such subject.
    fn versions<'a>(&'a self, subject: &'a str) -> Pending<'a, Answer<Vec<u32>>>;

    /// A version of a subject.
    fn version<'a>(&'a self, subject: &'a str, which: Which) -> Pending<'a, Answer>;

    /// The mode under which the source lets the subject grow, where it has such a thing.
    fn mode<'a>(&'a self, _subject: &'a str) -> Pending<'a, Answer<Option<Mode>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// The id of a schema as a version of a subject: as it is registered, or, where `may_register`, registered now. `Unusable` says why the
    /// source does not take it.
    fn register<'a>(&'a self, _subject: &'a str, _text: &'a str, _may_register: bool) -> Pending<'a, Answer> {
        let why = format!("{} cannot be written to", self.name());
        Box::pin(std::future::ready(Ok(Found::Unusable(why))))
    }

    /// Metadata, tags and the like of a version.
    fn facts<'a>(&'a self, _subject: &'a str, _version: u32) -> Pending<'a, Answer<Facts>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

/// A schema that was found, parsed with what it refers to.
fn parsed(id: SchemaId, text: &str, references: Vec<String>, versions: Vec<(Arc<str>, u32)>) -> Found {
    match AvroSchema::parse(text, &references) {
        Ok(schema) => Found::Schema(Arc::new(Registered {
            id,
            schema: Arc::new(schema),
            text: text.into(),
            references: references.into(),
            versions,
        })),
        Err(bad) => Found::Unusable(format!("it is no Avro schema: {bad}")),
    }
}
