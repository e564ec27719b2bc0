//! What makes a partition of one shard right, checked on every record: its partition key is the field that the job says, and lies in
//! the shard's range of hash keys.
//!
//! The rule: a record is checked before any step sees it. Within a batch, and for keys seen shortly before, the hash is not computed again.
//! Left to others: which jobs are cut by shards (`check`), the letter of a record that differs (`letters`).

use std::collections::HashSet;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Int32Type, Int64Type},
};

use crate::job::graph::Misplaced;
use crate::{
    decode::{Decoded, Reject},
    error::{Error, Kind, Result},
    record::{RawBatch, Records},
    state::{HashRange, key},
};

/// So many keys are remembered as checked.
const REMEMBERED: usize = 4096;

/// The checks of one shard.
#[derive(Clone, Debug, Default)]
pub struct Locality {
    /// the column of the decoded fields that holds the partition key
    pub column: Option<usize>,
    /// the shard's range, where state is cut by shards
    pub range: Option<HashRange>,
    /// what happens with a record outside it
    pub misplaced: Misplaced,
    checked: HashSet<Box<[u8]>>,
}

impl Locality {
    /// Checks for one shard. Without a column and a range nothing is checked.
    pub fn new(column: Option<usize>, range: Option<HashRange>, misplaced: Misplaced) -> Self {
        Self { column, range, misplaced, checked: HashSet::new() }
    }

    /// Moves rows that fail to the rejects.
    pub fn check(&mut self, raw: &RawBatch, decoded: Decoded) -> Result<Decoded> {
        if self.column.is_none() && self.range.is_none() {
            return Ok(decoded);
        }
        let mut bad: Vec<(usize, Reject)> = Vec::new();
        for (place, row) in decoded.rows.iter().enumerate() {
            let reject = |code, message| Reject { row: *row, code, message };
            let key = raw.records.partition_key.cell(*row as usize);
            if let Some(column) = self.column
                && !is_text(&decoded.fields, column, place, key)
            {
                bad.push((place, reject("partition_key_differs", self.differs(&decoded.fields, column, key))));
            } else if let Some(words) = self.outside(key, &raw.records, *row as usize) {
                match self.misplaced {
                    Misplaced::Stop => return Err(Error::new(Kind::Step, words)),
                    Misplaced::DeadLetter => bad.push((place, reject("explicit_hash_key", words))),
                }
            }
        }
        if bad.is_empty() { Ok(decoded) } else { without(decoded, bad) }
    }

    fn differs(&self, fields: &RecordBatch, column: usize, key: &[u8]) -> String {
        let name = fields.schema_ref().field(column).name().clone();
        let key: String = String::from_utf8_lossy(key).chars().take(80).collect();
        format!("the record's partition key `{key}` is not its field `{name}`, as `partition_key:` of the source says")
    }

    /// Words where the key lies outside the shard.
    fn outside(&mut self, key: &[u8], records: &Records, row: usize) -> Option<String> {
        let range = self.range?;
        if self.checked.contains(key) {
            return None;
        }
        if !range.contains(key::hash(key)) {
            let key: String = String::from_utf8_lossy(key).chars().take(80).collect();
            return Some(format!(
                "record {} of {} has the partition key `{key}`, which this shard does not hold: it was put with an explicit hash key, and \
                 steps keyed by the partition key would compute in two places; put it without one, take `partition_key:` out of the source, or \
                 set `explicit_hash_key: dead_letter`",
                records.sequence[row], records.shard
            ));
        }
        if self.checked.len() >= REMEMBERED {
            self.checked.clear();
        }
        self.checked.insert(key.into());
        None
    }
}

/// Whether a cell reads as these bytes.
fn is_text(fields: &RecordBatch, column: usize, row: usize, text: &[u8]) -> bool {
    let column = fields.column(column);
    if column.is_null(row) {
        return false;
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).as_bytes() == text,
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string().as_bytes() == text,
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string().as_bytes() == text,
        _ => false,
    }
}

fn without(decoded: Decoded, bad: Vec<(usize, Reject)>) -> Result<Decoded> {
    let Decoded { rows, fields, mut rejects } = decoded;
    let mut gone = bad.iter().map(|(place, _)| *place).peekable();
    let keep: arrow::array::BooleanArray =
        (0..rows.len()).map(|place| Some(gone.next_if_eq(&place).is_none())).collect();
    let fields =
        arrow::compute::filter_record_batch(&fields, &keep).map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
    let rows = rows.into_iter().enumerate().filter(|(place, _)| keep.value(*place)).map(|(_, row)| row).collect();
    rejects.extend(bad.into_iter().map(|(_, reject)| reject));
    Ok(Decoded { rows, fields, rejects })
}
