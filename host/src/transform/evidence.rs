//! What a plugin was given when it failed over one record: enough to call it with the same again.
//!
//! The rule: it is taken in the moment of the failure, so state is what the plugin saw; it is bounded, and costs nothing while nothing fails.
//! Left to others: what is kept of it, and where (`job`).

use crate::{
    plugin::{Call, Due, Failure, Keyed, Rejected, Seen},
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
    /// what the plugin saw beside it
    pub seen: Seen,
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
            seen: rejected.seen.clone(),
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
