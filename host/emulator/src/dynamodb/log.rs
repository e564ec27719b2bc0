//! A table's file: what happened to it, one frame each, rewritten as what it holds when most of it is past.
//!
//! The rules are those of `disk.rs`: a cut-off frame at the end is dropped, damage before it is refused. A rewritten file is
//! written beside and renamed, so that a killed process leaves the old one or the new one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::Table;
use super::schema::Definition;
use super::value::{Item, item_from_json, item_json, item_size};
use crate::disk::{DiskError, Log};

/// A log below this is left as it is.
const SMALL: u64 = 1 << 20;
/// A log is rewritten when it is so many times what the table holds.
const PAST: u64 = 8;
const SUFFIX: &str = ".table";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    Table(Definition),
    Put(Map<String, Json>),
    Delete(Map<String, Json>),
}

pub fn table_frame(definition: &Definition) -> Vec<u8> {
    json!(Entry::Table(definition.clone())).to_string().into_bytes()
}

pub fn put_frame(item: &Item) -> Vec<u8> {
    json!({ "put": item_json(item) }).to_string().into_bytes()
}

pub fn delete_frame(key: &Item) -> Vec<u8> {
    json!({ "delete": item_json(key) }).to_string().into_bytes()
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DiskError + use<'a> {
    move |source| DiskError::Io { action, path: path.to_owned(), source }
}

pub fn create(dir: &Path, definition: &Definition) -> Result<Log, DiskError> {
    let path = dir.join(format!("{}@{}{SUFFIX}", definition.name, definition.created));
    let mut log = Log::open(path, |_| Ok(()))?;
    // A file of the same name and time can only be what a killed process had not finished.
    log.rewrite(std::iter::once(table_frame(definition)))?;
    Ok(log)
}

pub fn load(dir: &Path) -> Result<BTreeMap<String, Table>, DiskError> {
    fs::create_dir_all(dir).map_err(failed("make", dir))?;
    let mut tables = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(failed("read", dir))? {
        let path = entry.map_err(failed("read", dir))?.path();
        if !path.to_string_lossy().ends_with(SUFFIX) {
            continue;
        }
        let mut table: Option<Table> = None;
        let log = Log::open(path.clone(), |payload| take(&mut table, payload))?;
        match table {
            Some(mut table) => {
                table.log = Some(log);
                tables.insert(table.definition.name.clone(), table);
            }
            // Killed before the call that made it could answer.
            None => log.remove(),
        }
    }
    Ok(tables)
}

fn take(table: &mut Option<Table>, payload: &[u8]) -> Result<(), String> {
    let entry: Entry = serde_json::from_slice(payload).map_err(|e| e.to_string())?;
    match (entry, table) {
        (Entry::Table(definition), Some(table)) => table.definition = definition,
        (Entry::Table(definition), none) => {
            *none = Some(Table { definition, items: BTreeMap::new(), held: 0, log: None });
        }
        (Entry::Put(json), Some(table)) => {
            let item = item_from_json(&json).map_err(|e| e.to_string())?;
            let key = table.definition.key.of(&item).map_err(|e| e.to_string())?;
            table.held += item_size(&item);
            table.held -= table.items.insert(key, item).map_or(0, |old| item_size(&old));
        }
        (Entry::Delete(json), Some(table)) => {
            let key = item_from_json(&json).and_then(|key| table.definition.key.of(&key)).map_err(|e| e.to_string())?;
            table.held -= table.items.remove(&key).map_or(0, |old| item_size(&old));
        }
        (_, None) => return Err("an item comes before its table".to_owned()),
    }
    Ok(())
}

impl Table {
    /// Rewrites the log if most of it is past; if that fails, the log goes on as it is.
    pub fn compact(&mut self) {
        let Some(log) = &mut self.log else { return };
        if log.size() < SMALL || log.size() < PAST * self.held as u64 {
            return;
        }
        let frames = std::iter::once(table_frame(&self.definition)).chain(self.items.values().map(put_frame));
        if let Err(error) = log.rewrite(frames) {
            tracing::warn!(%error, "cannot rewrite the log of a table");
        }
    }
}
