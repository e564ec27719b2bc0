//! What a plugin was given when it failed over one record: enough to call it with the same again.
//!
//! The rule: it is taken in the moment of the failure, so state is what the plugin saw; it is bounded, and costs nothing while nothing fails.
//! Left to others: what is kept of it, and where (`job`).

use std::sync::Arc;

use crate::{
    plugin::{Call, Due, Failure, Keyed, Rejected, StateCell},
    record::Batch,
};

/// So many are taken of one batch.
const MOST: usize = 4;

/// One record, or one timer, over which a plugin failed alone.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// what the call was told
    pub call: Call,
    /// the input that the record came by
    pub input: u32,
    /// the record, with the fields that the plugin saw; of a timer the fields of its key
    pub record: Batch,
    /// its key, encoded, and as fields
    pub key: Option<(Vec<u8>, arrow::array::RecordBatch)>,
    /// the timer, where it was one
    pub timer: Option<Due>,
    /// all state of the key
    pub state: Vec<StateCell>,
    /// what the plugin did
    pub failure: Failure,
}

/// What a plugin was called with.
pub struct Asked<'a> {
    /// what the call was told
    pub call: &'a Call,
    /// by which input
    pub input: u32,
    /// with the fields that the plugin saw
    pub batch: &'a Batch,
    /// where the plugin has state
    pub keyed: Option<&'a Keyed>,
    /// where timers were due
    pub due: Option<&'a Due>,
}

/// Of those that failed alone.
pub fn take(asked: &Asked<'_>, rejected: &[Rejected]) -> Vec<Evidence> {
    let told = |failure: &Failure| {
        matches!(failure, Failure::Trap { .. } | Failure::TimedOut { .. } | Failure::Invalid { .. })
    };
    let found = rejected.iter().filter(|rejected| told(&rejected.failure)).take(MOST);
    found.map(|rejected| asked.evidence(rejected)).collect()
}

impl Asked<'_> {
    fn evidence(&self, rejected: &Rejected) -> Evidence {
        let row = rejected.row as usize;
        let key = self.keyed.map(|keyed| {
            let index = keyed.index[row] as usize;
            (keyed.keys.bytes.cell(index).to_vec(), keyed.keys.fields.slice(index, 1))
        });
        let timer = self.due.map(|due| Due {
            tag: [due.tag.cell(row)].into_iter().collect(),
            in_event_time: vec![due.in_event_time[row]],
            at_ms: vec![due.at_ms[row]],
        });
        Evidence {
            call: *self.call,
            input: self.input,
            record: one(self.batch, row),
            key,
            timer,
            state: rejected.state.clone(),
            failure: rejected.failure.clone(),
        }
    }
}

fn one(batch: &Batch, row: usize) -> Batch {
    Batch {
        origin: batch.origin.clone(),
        rows: vec![batch.rows[row]],
        nth: vec![batch.nth[row]],
        event_us: vec![batch.event_us[row]],
        watermark_us: vec![batch.watermark_us[row]],
        fields: batch.fields.slice(row, 1),
    }
}

/// State of one key, that a plugin is called over again with.
#[derive(Debug, Default)]
pub struct Kept {
    cells: std::collections::BTreeMap<(u32, Vec<u8>), Vec<u8>>,
    draft: std::collections::BTreeMap<(u32, Vec<u8>), Option<Vec<u8>>>,
}

impl Kept {
    /// These cells, as they were.
    pub fn new(cells: &[StateCell]) -> Self {
        let cells = cells.iter().map(|cell| ((cell.table, cell.sub_key.clone()), cell.value.clone())).collect();
        Self { cells, draft: Default::default() }
    }

    /// What a key has, for whoever calls a plugin with nothing but this.
    pub fn shared(self) -> crate::plugin::SharedState {
        Arc::new(std::sync::Mutex::new(self))
    }
}

impl crate::plugin::KeyedState for Kept {
    fn begin(&mut self) {
        self.draft.clear();
    }

    fn keep(&mut self) {
        for (place, value) in std::mem::take(&mut self.draft) {
            match value {
                Some(value) => drop(self.cells.insert(place, value)),
                None => drop(self.cells.remove(&place)),
            }
        }
    }

    fn get(&mut self, place: crate::plugin::Place<'_>) -> crate::error::Result<Option<Vec<u8>>> {
        let at = (place.table, place.sub_key.to_vec());
        Ok(self.draft.get(&at).cloned().unwrap_or_else(|| self.cells.get(&at).cloned()))
    }

    fn put(&mut self, place: crate::plugin::Place<'_>, value: Option<&[u8]>) -> crate::error::Result<()> {
        self.draft.insert((place.table, place.sub_key.to_vec()), value.map(<[u8]>::to_vec));
        Ok(())
    }

    fn scan(
        &mut self,
        table: u32,
        _: u32,
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> crate::error::Result<crate::plugin::Page> {
        let mut all: std::collections::BTreeMap<&[u8], &[u8]> = self
            .cells
            .iter()
            .filter(|((of, _), _)| *of == table)
            .map(|((_, sub_key), value)| (&**sub_key, &**value))
            .collect();
        for ((_, sub_key), value) in self.draft.iter().filter(|((of, _), _)| *of == table) {
            match value {
                Some(value) => drop(all.insert(sub_key, value)),
                None => drop(all.remove(&**sub_key)),
            }
        }
        let within = |sub_key: &[u8]| sub_key >= start && (end.is_empty() || sub_key < end);
        let mut found = all.into_iter().filter(|(sub_key, _)| within(sub_key));
        let entries = found.by_ref().take(limit).map(|(sub_key, value)| (sub_key.to_vec(), value.to_vec())).collect();
        Ok(crate::plugin::Page { entries, more: found.next().is_some() })
    }
}
