//! The schema registry of AWS Glue without a wire: registries, schemas and their versions, as AWS's own serializers use them.
//!
//! The rules: everything takes the time as an argument; one lock orders all calls; with a directory, a change is in the log before the
//! call returns. The id of a version follows from registry, schema and definition, so the same calls make the same ids.
//! BACKWARD, FORWARD and FULL look at the **checkpoint**, as AWS words it: the first version, until UpdateSchema names another one; their
//! `_ALL` look at every version that is available. An incompatible version is kept as FAILURE; LatestVersion passes it over.
//! `request` reads calls, `registries`, `schemas`, `versions` and `metadata` do them, `state` is what there is, `log` keeps it.
//! It leaves out: comparing JSON schemas and Protobuf, keeping tags, and the way in between: what is deleted is gone at once.

mod error;
mod log;
mod metadata;
mod registries;
mod request;
mod schemas;
mod state;
mod versions;

#[cfg(test)]
mod tests;

pub use error::{GlueError, GlueErrorKind};

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value as Json, json};

use crate::disk::{DiskError, Log};
use crate::store::Millis;
use error::disk_failed;
use state::{Entry, State};

#[derive(Debug)]
pub struct Glue {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    log: Option<Log>,
}

impl Glue {
    pub fn in_memory() -> Self {
        Self { inner: Mutex::new(Inner { state: State::new(), log: None }) }
    }

    /// Reads what an earlier one left in `dir`, which must be held by one emulator only.
    pub fn on_disk(dir: &Path) -> Result<Self, DiskError> {
        let (state, log) = log::load(&dir.join("glue"))?;
        Ok(Self { inner: Mutex::new(Inner { state, log: Some(log) }) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held is a defect elsewhere; entries are applied one by one after they were checked.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one call, named as in X-Amz-Target after the dot.
    pub fn call(&self, now: Millis, operation: &str, body: &Json) -> Result<Json, GlueError> {
        let inner = &mut *self.lock();
        match operation {
            "CreateRegistry" => registries::create(inner, now, body),
            "GetRegistry" => registries::get(inner, body),
            "ListRegistries" => registries::list(inner, body),
            "UpdateRegistry" => registries::update(inner, now, body),
            "DeleteRegistry" => registries::delete(inner, now, body),
            "CreateSchema" => schemas::create(inner, now, body),
            "GetSchema" => schemas::get(inner, body),
            "ListSchemas" => schemas::list(inner, body),
            "UpdateSchema" => schemas::update(inner, now, body),
            "DeleteSchema" => schemas::delete(inner, body),
            "RegisterSchemaVersion" => versions::register(inner, now, body),
            "GetSchemaVersion" => versions::get(inner, body),
            "GetSchemaByDefinition" => versions::by_definition(inner, body),
            "ListSchemaVersions" => versions::list(inner, body),
            "DeleteSchemaVersions" => versions::delete(inner, body),
            "CheckSchemaVersionValidity" => versions::check(body),
            "GetSchemaVersionsDiff" => versions::diff(inner, body),
            "PutSchemaVersionMetadata" => metadata::put(inner, now, body),
            "RemoveSchemaVersionMetadata" => metadata::remove(inner, body),
            "QuerySchemaVersionMetadata" => metadata::query(inner, body),
            _ => {
                let shown: String = operation.chars().take(100).collect();
                let message = format!("the emulator's Glue has no operation '{shown}'");
                Err(GlueError::new(GlueErrorKind::UnknownOperation, message))
            }
        }
    }

    /// The schema that a call is about.
    pub fn schema_of(&self, body: &Json) -> Option<String> {
        let name = body["SchemaName"].as_str().or_else(|| body["SchemaId"]["SchemaName"].as_str());
        let arn = || body["SchemaId"]["SchemaArn"].as_str()?.rsplit('/').next();
        let by_id = || Some(self.lock().state.place(body["SchemaVersionId"].as_str()?)?.schema.clone());
        name.or_else(arn).map(str::to_owned).or_else(by_id)
    }
}

impl Inner {
    /// Keeps what happened, then makes it so.
    fn commit(&mut self, entries: Vec<Entry>) -> Result<(), GlueError> {
        if let Some(log) = &mut self.log {
            log.append(std::iter::once(json!(entries).to_string().into_bytes())).map_err(disk_failed)?;
        }
        for entry in entries {
            self.state.apply(entry).map_err(|what| {
                GlueError::new(GlueErrorKind::InternalService, format!("an entry cannot be: {what}"))
            })?;
        }
        self.compact();
        Ok(())
    }
}
