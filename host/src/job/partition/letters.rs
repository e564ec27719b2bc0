//! The form of a dead letter: what was wrong, where the record stands in the stream, and its bytes.
//!
//! A letter is a row like any other, so any sink with tokens can hold letters exactly once.

use std::sync::{Arc, LazyLock};

use arrow::{
    array::{ArrayRef, BinaryBuilder, RecordBatch, StringBuilder, UInt32Builder, UInt64Builder},
    datatypes::{DataType, Field, Schema, SchemaRef},
};

use crate::job::flow::Rejected;
use crate::{
    decode::Reject,
    record::{Batch, Branch, Origin, RawBatch},
    sink::json_lines,
};

/// Fields of a dead letter.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("step"),
        text("code"),
        text("message"),
        text("stream"),
        text("shard"),
        text("sequence"),
        Field::new("sub_sequence", DataType::UInt32, true),
        text("partition_key"),
        Field::new("generation", DataType::UInt64, false),
        Field::new("payload", DataType::Binary, true),
    ]))
});

/// Letters of records that could not be decoded or timed.
pub fn of_rejects(step: &str, raw: &RawBatch, rejects: &[Reject], generation: u64) -> Batch {
    let rows: Vec<u32> = rejects.iter().map(|reject| reject.row).collect();
    let mut letters = Letters::default();
    for reject in rejects {
        letters.record(step, reject.code, &reject.message, raw, reject.row as usize, generation);
    }
    letters.batch(Origin::Records(raw.records.clone()), rows, vec![0; rejects.len()])
}

/// Letters of rows that a step rejected. `raw` is the batch that is being pushed, for the bytes of rows that come from it.
pub fn of_rejected(rejected: &Rejected, raw: Option<&RawBatch>, generation: u64) -> Batch {
    let mut letters = Letters::default();
    let (mut rows, mut nth) = (Vec::new(), Vec::new());
    let branch = Branch::new(&rejected.step, 0);
    for reject in &rejected.rows {
        let row = reject.row as usize;
        let origin_row = rejected.batch.rows[row];
        rows.push(origin_row);
        // two steps may reject what came from one record
        nth.push(branch.nth(rejected.batch.nth[row], 0));
        match (&rejected.batch.origin, raw) {
            (Origin::Records(records), Some(raw)) if Arc::ptr_eq(records, &raw.records) => {
                letters.record(&rejected.step, &reject.code, &reject.message, raw, origin_row as usize, generation);
            }
            _ => letters.row(&rejected.step, &reject.code, &reject.message, &rejected.batch, row, generation),
        }
    }
    letters.batch(rejected.batch.origin.clone(), rows, nth)
}

#[derive(Default)]
struct Letters {
    text: [StringBuilder; 7],
    sub_sequence: UInt32Builder,
    generation: UInt64Builder,
    payload: BinaryBuilder,
}

impl Letters {
    fn head(&mut self, step: &str, code: &str, message: &str, generation: u64) {
        for (column, value) in self.text.iter_mut().zip([step, code, message]) {
            column.append_value(value);
        }
        self.generation.append_value(generation);
    }

    fn record(&mut self, step: &str, code: &str, message: &str, raw: &RawBatch, row: usize, generation: u64) {
        self.head(step, code, message, generation);
        let records = &raw.records;
        self.text[3].append_value(&records.stream);
        self.text[4].append_value(records.shard.as_str());
        self.text[5].append_value(records.sequence[row].to_string());
        self.text[6].append_value(String::from_utf8_lossy(records.partition_key.cell(row)));
        self.sub_sequence.append_value(records.sub_sequence[row]);
        self.payload.append_value(raw.data.cell(row));
    }

    /// A row that no record of the stream stands behind, such as a window's result: its fields as JSON are the payload.
    fn row(&mut self, step: &str, code: &str, message: &str, batch: &Batch, row: usize, generation: u64) {
        self.head(step, code, message, generation);
        self.text[3..].iter_mut().for_each(StringBuilder::append_null);
        self.sub_sequence.append_null();
        let fields = batch.fields.slice(row, 1);
        self.payload.append_option(json_lines::lines(&fields).ok().map(|(line, _)| line.trim_ascii_end().to_vec()));
    }

    fn batch(mut self, origin: Origin, rows: Vec<u32>, nth: Vec<u64>) -> Batch {
        let mut columns: Vec<ArrayRef> =
            self.text.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        columns.insert(6, Arc::new(self.sub_sequence.finish()));
        columns.push(Arc::new(self.generation.finish()));
        columns.push(Arc::new(self.payload.finish()));
        let fields = RecordBatch::try_new(SCHEMA.clone(), columns).expect("a letter's columns are made for its schema");
        let count = rows.len();
        Batch { origin, rows, nth, event_us: vec![0; count], watermark_us: vec![0; count], fields }
    }
}
