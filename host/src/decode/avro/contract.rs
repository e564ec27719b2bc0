//! What a job demands of the schemas that its records were written with, and whether one of them keeps it.
//!
//! The rule: **a schema is judged once, before the first of its records is decoded**, by what the registry says of its place among the
//! versions of its subject: the job's part of the reader schema must read it, and it must follow the versions before it as the mode
//! says, whether or not the registry enforces that. The verdict is a function of the schemas, so it is the same after every crash.
//! Left to others: asking for schemas (`registry`), what becomes of the records (`AvroDecoder`).

use std::sync::Arc;

use pelton_schema::{AvroSchema, Mismatch, Mode, Verdict, mismatches};

use crate::decode::registry::{Reach, Registered};

/// What happens with records whose schema breaks the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnIncompatible {
    /// the job stops before them
    #[default]
    Stop,
    /// they become dead letters
    DeadLetter,
}

/// The terms under which a source reads.
#[derive(Clone, Debug, Default)]
pub struct Contract {
    /// how the subject may grow
    pub mode: Mode,
    /// the subject, for the order of versions
    pub subject: Option<Arc<str>>,
    /// the schema that the job reads by; none: each record by the one that it was written with
    pub reader: Option<Arc<Registered>>,
    /// what happens where they are broken
    pub on_incompatible: OnIncompatible,
}

/// How many mismatches a message tells.
const MOST_TOLD: usize = 3;

impl Contract {
    /// No terms: what can be read is read.
    pub fn open(reader: Option<Arc<Registered>>) -> Self {
        Self { mode: Mode::None, subject: None, reader, on_incompatible: OnIncompatible::DeadLetter }
    }

    /// Which versions before a schema the verdict needs.
    pub fn reach(&self) -> Option<Reach> {
        let subject = self.subject.clone().filter(|_| !self.mode.directions().is_empty())?;
        Some(Reach { subject, is_transitive: self.mode.is_transitive() })
    }

    /// Whether a schema keeps the terms. `part` is what the job reads of the reader's schema, `older` the versions before, oldest first.
    pub fn judge(
        &self,
        part: Option<&AvroSchema>,
        writer: &Registered,
        older: &[Arc<Registered>],
    ) -> Result<(), String> {
        if self.mode == Mode::None {
            return Ok(());
        }
        if let Some(part) = part {
            let found = mismatches(part, &writer.schema);
            if !found.is_empty() {
                return Err(format!("the job cannot read it: {}", told(&found)));
            }
        }
        match self.subject.as_deref().and_then(|subject| Some((subject, writer.version_of(subject)?))) {
            Some((subject, version)) => self.follows(subject, version, writer, older),
            None => self.beside(writer),
        }
    }

    /// A version of the subject, against those before it.
    fn follows(
        &self,
        subject: &str,
        version: u32,
        writer: &Registered,
        older: &[Arc<Registered>],
    ) -> Result<(), String> {
        if self.mode == Mode::Disabled {
            let known = self.reader.as_ref().and_then(|reader| reader.version_of(subject));
            return match known {
                Some(known) if version > known => Err(format!(
                    "it is version {version} of `{subject}`, and the mode `disabled` takes none after version {known}"
                )),
                Some(_) => Ok(()),
                None => self.beside(writer),
            };
        }
        let schemas: Vec<&AvroSchema> = older.iter().map(|older| &*older.schema).collect();
        let verdict = self.mode.check(&writer.schema, &schemas);
        let Some(violation) = verdict.violations().first() else { return Ok(()) };
        let against = older[violation.old].version_of(subject).unwrap_or_default();
        let who = match violation.direction {
            pelton_schema::Direction::Backward => format!("it cannot read what version {against} wrote"),
            pelton_schema::Direction::Forward => format!("version {against} cannot read what it writes"),
        };
        Err(format!(
            "version {version} of `{subject}` breaks the mode `{}`: {who}: {}",
            self.mode,
            told(&violation.mismatches)
        ))
    }

    /// A schema that is no version of the subject, against the reader's schema, as if it came next.
    fn beside(&self, writer: &Registered) -> Result<(), String> {
        let Some(reader) = self.reader.as_ref().filter(|reader| reader.schema.canonical() != writer.schema.canonical())
        else {
            return Ok(());
        };
        match self.mode.check(&writer.schema, &[&reader.schema]) {
            Verdict::Compatible => Ok(()),
            Verdict::Closed => Err("it is not the job's schema, and the mode `disabled` takes no other".to_owned()),
            Verdict::Broken(violations) => {
                let mismatches = violations.first().map_or(&[][..], |violation| &violation.mismatches);
                Err(format!("it breaks the mode `{}` against the job's schema: {}", self.mode, told(mismatches)))
            }
        }
    }
}

fn told(mismatches: &[Mismatch]) -> String {
    let mut list: Vec<String> = mismatches.iter().take(MOST_TOLD).map(ToString::to_string).collect();
    if mismatches.len() > MOST_TOLD {
        list.push(format!("and {} more", mismatches.len() - MOST_TOLD));
    }
    list.join("; ")
}
