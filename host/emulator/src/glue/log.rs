//! The file of Glue: what each call did, one frame each, rewritten as what there is when most of it is past.
//!
//! The rules are those of `disk.rs`: a cut-off frame at the end is dropped, damage before it is refused. A rewritten file is
//! written beside and renamed, so that a killed process leaves the old one or the new one.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::Inner;
use super::state::{Entry, State};
use crate::disk::{DiskError, Log};

/// A log below this is left as it is.
const SMALL: u64 = 1 << 20;
/// A log is rewritten when it is so many times what there is.
const PAST: u64 = 8;

pub fn load(dir: &Path) -> Result<(State, Log), DiskError> {
    let made = fs::create_dir_all(dir);
    made.map_err(|source| DiskError::Io { action: "make", path: dir.to_owned(), source })?;
    let mut state = State::new();
    let log = Log::open(dir.join("registry.log"), |payload| {
        let entries: Vec<Entry> = serde_json::from_slice(payload).map_err(|bad| bad.to_string())?;
        entries.into_iter().try_for_each(|entry| state.apply(entry))
    })?;
    Ok((state, log))
}

impl Inner {
    /// Rewrites the log if most of it is past; if that fails, the log goes on as it is.
    pub fn compact(&mut self) {
        let Some(log) = &mut self.log else { return };
        if log.size() < SMALL || log.size() < PAST * self.state.bytes() as u64 {
            return;
        }
        let frames = self.state.snapshot().map(|entry| json!([entry]).to_string().into_bytes());
        if let Err(error) = log.rewrite(frames) {
            tracing::warn!(%error, "cannot rewrite the log of Glue");
        }
    }
}
