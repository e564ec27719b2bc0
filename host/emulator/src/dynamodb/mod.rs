//! DynamoDB without a wire: the part that lease tables need, evaluated as the service does.
//!
//! The rules: everything is synchronous and takes the time as an argument, so the simulator drives it; one lock orders all
//! calls, so each is atomic; with a directory, a change is in its table's log before the call returns. Requests and
//! answers are the service's JSON: `call` is the only way in. DynamoDB Local judges it (`tests/dynamodb_local.rs`).
//! It leaves out: transactions, batches, local indexes, streams, PartiQL, backups, throttling by throughput.

mod error;
mod expression;
mod items;
mod keys;
mod legacy;
mod log;
mod number;
mod reading;
mod schema;
mod tables;
mod value;

#[cfg(test)]
mod tests;

pub use error::{TableError, TableErrorKind};
pub use value::{Item, Value, item_json};

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use crate::disk::{DiskError, Log};
use crate::store::Millis;
use error::{disk_failed, invalid, unreadable};
use schema::{Definition, ItemKey};
use value::item_size;

/// All items together; beyond it, writes are refused, so that a forgotten writer cannot eat the machine.
const MAX_HELD_BYTES: usize = 1 << 30;

#[derive(Debug)]
pub struct Tables {
    state: Mutex<BTreeMap<String, Table>>,
    dir: Option<std::path::PathBuf>,
}

#[derive(Debug)]
struct Table {
    definition: Definition,
    items: BTreeMap<ItemKey, Item>,
    held: usize,
    log: Option<Log>,
}

impl Tables {
    pub fn in_memory() -> Self {
        Self { state: Mutex::default(), dir: None }
    }

    /// Reads what earlier tables left in `dir`, which must be held by one emulator only.
    pub fn on_disk(dir: &Path) -> Result<Self, DiskError> {
        let dir = dir.join("tables");
        let state = log::load(&dir)?;
        Ok(Self { state: Mutex::new(state), dir: Some(dir) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Table>> {
        // A panic while the lock was held is a defect elsewhere; items are changed in single steps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one call, named as in X-Amz-Target after the dot.
    pub fn call(&self, now: Millis, operation: &str, body: &Json) -> Result<Json, TableError> {
        match operation {
            "CreateTable" => tables::create(self, now, body),
            "DescribeTable" => tables::describe(self, body),
            "UpdateTable" => tables::update(self, body),
            "DeleteTable" => tables::delete(self, body),
            "ListTables" => tables::list(self, body),
            "DescribeTimeToLive"
            | "UpdateTimeToLive"
            | "DescribeContinuousBackups"
            | "UpdateContinuousBackups"
            | "ListTagsOfResource"
            | "TagResource"
            | "UntagResource" => tables::settings(self, operation, body),
            "PutItem" => items::put(self, body),
            "GetItem" => items::get(self, body),
            "UpdateItem" => items::update(self, body),
            "DeleteItem" => items::delete(self, body),
            "Query" => reading::query(self, body),
            "Scan" => reading::scan(self, body),
            _ => {
                let shown: String = operation.chars().take(100).collect();
                let message = format!("the emulator's DynamoDB has no operation '{shown}'");
                Err(TableError::new(TableErrorKind::UnknownOperation, message))
            }
        }
    }

    fn with<T>(
        &self,
        name: Option<&str>,
        work: impl FnOnce(&mut Table) -> Result<T, TableError>,
    ) -> Result<T, TableError> {
        let name = named(name)?;
        let mut state = self.lock();
        work(state.get_mut(name).ok_or_else(|| no_table(name))?)
    }

    fn make(&self, definition: Definition) -> Result<Table, TableError> {
        let log = match &self.dir {
            Some(dir) => Some(log::create(dir, &definition).map_err(disk_failed)?),
            None => None,
        };
        Ok(Table { definition, items: BTreeMap::new(), held: 0, log })
    }
}

fn no_table(name: &str) -> TableError {
    TableError::new(TableErrorKind::ResourceNotFound, format!("Requested resource not found: Table: {name} not found"))
}

/// A table's name, also out of its ARN.
fn named(name: Option<&str>) -> Result<&str, TableError> {
    let name =
        name.ok_or_else(|| invalid("The parameter 'TableName' is required but was not present in the request"))?;
    let plain = name.strip_prefix("arn:").and_then(|_| name.rsplit_once(":table/")).map_or(name, |(_, plain)| plain);
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if (3..=255).contains(&plain.len()) && plain.bytes().all(allowed) {
        return Ok(plain);
    }
    Err(invalid(
        "Invalid table/index name.  Table/index names must be between 3 and 255 characters long, and may contain only the \
         characters a-z, A-Z, 0-9, '_', '-', and '.'",
    ))
}

fn parse<T: DeserializeOwned>(body: &Json) -> Result<T, TableError> {
    T::deserialize(body).map_err(unreadable)
}

/// Adds what the call would have cost, where that was asked for.
fn capacity(answer: &mut Json, wish: Option<&str>, table: &str, units: f64) {
    if matches!(wish, Some("TOTAL" | "INDEXES")) {
        answer["ConsumedCapacity"] = json!({ "TableName": table, "CapacityUnits": units });
    }
}

impl Table {
    fn bytes(&self) -> usize {
        self.held
    }

    /// Returns what was there.
    fn put(&mut self, key: ItemKey, item: Item) -> Result<Option<Item>, TableError> {
        let (size, before) = (item_size(&item), self.items.get(&key).map_or(0, item_size));
        if self.held + size > MAX_HELD_BYTES + before {
            let message = format!("the emulator holds {} bytes in this table, its limit: delete items", self.held);
            return Err(TableError::new(TableErrorKind::ProvisionedThroughputExceeded, message));
        }
        self.write(log::put_frame(&item))?;
        self.held = self.held + size - before;
        let old = self.items.insert(key, item);
        self.compact();
        Ok(old)
    }

    fn delete(&mut self, key: &ItemKey) -> Result<Option<Item>, TableError> {
        if !self.items.contains_key(key) {
            return Ok(None);
        }
        self.write(log::delete_frame(&key.to_item(&self.definition.key)))?;
        let old = self.items.remove(key);
        self.held -= old.as_ref().map_or(0, item_size);
        self.compact();
        Ok(old)
    }

    fn redefine(&mut self, definition: Definition) -> Result<(), TableError> {
        self.write(log::table_frame(&definition))?;
        self.definition = definition;
        Ok(())
    }

    fn write(&mut self, frame: Vec<u8>) -> Result<(), TableError> {
        match &mut self.log {
            Some(log) => log.append(std::iter::once(frame)).map_err(disk_failed),
            None => Ok(()),
        }
    }

    fn remove(self) {
        if let Some(log) = self.log {
            log.remove();
        }
    }
}
