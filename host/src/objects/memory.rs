//! Objects in memory, for tests and the simulator. Clones share them.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{Created, Objects, check_name};
use crate::{error::Result, source::Pending};

/// A store that ends with the process.
#[derive(Clone, Debug, Default)]
pub struct MemoryObjects(Arc<Mutex<BTreeMap<String, Bytes>>>);

impl MemoryObjects {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces an object, as damage would: for tests.
    pub fn damage(&self, name: &str, bytes: Option<Bytes>) {
        match bytes {
            Some(bytes) => self.lock().insert(name.to_owned(), bytes),
            None => self.lock().remove(name),
        };
    }

    fn create_now(&self, name: &str, bytes: Bytes) -> Result<Created> {
        check_name(name)?;
        let mut objects = self.lock();
        if objects.contains_key(name) {
            return Ok(Created::Exists);
        }
        objects.insert(name.to_owned(), bytes);
        Ok(Created::Done)
    }

    fn part_of(&self, name: &str, part: Option<Range<u64>>) -> Option<Bytes> {
        let bytes = self.lock().get(name)?.clone();
        Some(match part {
            None => bytes,
            Some(part) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                bytes.slice(place(part.start)..place(part.end))
            }
        })
    }

    fn names(&self, prefix: &str, after: &str) -> Vec<String> {
        let objects = self.lock();
        let from = objects.range(prefix.to_owned()..).map(|(name, _)| name);
        from.take_while(|name| name.starts_with(prefix)).filter(|name| name.as_str() > after).cloned().collect()
    }
}

impl Objects for MemoryObjects {
    fn create<'a>(&'a self, name: &'a str, bytes: Bytes) -> Pending<'a, Result<Created>> {
        Box::pin(std::future::ready(self.create_now(name, bytes)))
    }

    fn read<'a>(&'a self, name: &'a str, part: Option<Range<u64>>) -> Pending<'a, Result<Option<Bytes>>> {
        Box::pin(std::future::ready(Ok(self.part_of(name, part))))
    }

    fn list<'a>(&'a self, prefix: &'a str, after: &'a str) -> Pending<'a, Result<Vec<String>>> {
        Box::pin(std::future::ready(Ok(self.names(prefix, after))))
    }

    fn delete<'a>(&'a self, name: &'a str) -> Pending<'a, Result<()>> {
        self.lock().remove(name);
        Box::pin(std::future::ready(Ok(())))
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}
