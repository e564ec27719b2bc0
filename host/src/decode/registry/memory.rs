//! Schemas in memory: for tests, simulations, benchmarks and programs that embed a job.

use std::{collections::BTreeMap, sync::Arc};

use super::{Answer, Found, Registered, SchemaId, SchemaSource, Which, parsed};
use crate::source::Pending;

/// Versions of subjects.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    subjects: BTreeMap<String, Vec<(SchemaId, String)>>,
}

impl MemorySource {
    /// Adds the next version of a subject.
    pub fn with(mut self, id: SchemaId, subject: &str, text: &str) -> Self {
        self.subjects.entry(subject.to_owned()).or_default().push((id, text.to_owned()));
        self
    }

    fn find(&self, id: SchemaId) -> Found {
        let mut found = None;
        let mut versions = Vec::new();
        for (subject, list) in &self.subjects {
            if let Some(place) = list.iter().position(|(known, _)| *known == id) {
                versions.push((Arc::from(subject.as_str()), place as u32 + 1));
                found = Some(&list[place].1);
            }
        }
        found.map_or(Found::Unknown, |text| parsed(id, text, Vec::new(), versions))
    }
}

impl SchemaSource for MemorySource {
    fn name(&self) -> String {
        "the schemas in memory".to_owned()
    }

    fn answers(&self, id: SchemaId) -> bool {
        !matches!(id, SchemaId::Own(_))
    }

    fn by_id(&self, id: SchemaId) -> Pending<'_, Answer> {
        Box::pin(std::future::ready(Ok(self.find(id))))
    }

    fn versions<'a>(&'a self, subject: &'a str) -> Pending<'a, Answer<Vec<u32>>> {
        let count = self.subjects.get(subject).map_or(0, Vec::len) as u32;
        Box::pin(std::future::ready(Ok((1..=count).collect())))
    }

    fn version<'a>(&'a self, subject: &'a str, which: Which) -> Pending<'a, Answer> {
        let list = self.subjects.get(subject).map_or(&[][..], Vec::as_slice);
        let number = match which {
            Which::Latest => list.len(),
            Which::Number(number) => number as usize,
        };
        let found = number.checked_sub(1).and_then(|place| list.get(place)).map(|(id, _)| self.find(*id));
        Box::pin(std::future::ready(Ok(found.unwrap_or(Found::Unknown))))
    }
}

impl Registered {
    /// A schema that is registered nowhere: one that a record brings along, or that a job file holds.
    pub fn unregistered(id: SchemaId, text: &str) -> Found {
        parsed(id, text, Vec::new(), Vec::new())
    }
}
