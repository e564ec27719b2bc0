//! Folding, combining and finishing with the stats plugin.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Float64Type, Int64Type};
use pelton::{
    plugin::{Closing, Firing, KeySet, Windows},
    record::Cells,
};

use super::{CALL, batch_of, context, fields_of, guest, plugins, quick};

fn groups(keys: &[&str]) -> Windows {
    let names: ArrayRef = Arc::new(StringArray::from(keys.to_vec()));
    let fields: RecordBatch = fields_of(vec![("ad", names)]);
    Windows {
        keys: KeySet { bytes: keys.iter().map(|key| key.as_bytes()).collect(), fields },
        key: (0..keys.len() as u32).collect(),
        start_ms: vec![0; keys.len()],
        end_ms: vec![60_000; keys.len()],
    }
}

fn empty(count: usize) -> Cells {
    (0..count).map(|_| b"".as_slice()).collect()
}

#[tokio::test]
async fn records_are_folded_combined_and_finished() {
    let (plugins, _) = plugins(quick());
    let stats = plugins.load(&guest("stats")).await.unwrap();
    let config = r#"{"field": "amount", "type": "int64"}"#;
    let mut instance = stats.aggregator(context(config)).await.unwrap();
    let amounts: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(30), None]));
    let batch = batch_of(fields_of(vec![("amount", amounts)]));
    let groups = groups(&["a", "b"]);
    let (row, group) = ([0, 1, 2, 3], [0, 0, 1, 1]);
    let once = instance.fold(&CALL, &batch, &groups, &row, &group, &empty(2)).await.unwrap();
    assert!(once.errors.is_empty());
    let twice = instance.fold(&CALL, &batch, &groups, &row, &group, &once.accumulators).await.unwrap();

    let parts: Cells = once.accumulators.iter().chain(twice.accumulators.iter()).collect();
    let joined = instance.combine(&CALL, &parts, &[0, 2, 4]).await.unwrap();
    assert_eq!(joined.len(), 2);

    let closing = Closing {
        groups,
        firing: vec![Firing::OnTime, Firing::Late],
        firing_number: vec![0, 1],
        accumulators: twice.accumulators,
    };
    let finished = instance.finish(&CALL, &closing).await.unwrap();
    let output = &finished.outputs[0];
    assert_eq!(output.source, [0, 1]);
    let counts: Vec<_> = output.fields.column(0).as_primitive::<Int64Type>().iter().flatten().collect();
    assert_eq!(counts, [4, 2]);
    let sums: Vec<_> = output.fields.column(1).as_primitive::<Float64Type>().iter().flatten().collect();
    assert_eq!(sums, [6.0, 60.0]);
}

#[tokio::test]
async fn an_accumulator_that_is_damaged_fails_the_call_in_words() {
    let (plugins, _) = plugins(quick());
    let stats = plugins.load(&guest("stats")).await.unwrap();
    let mut instance = stats.aggregator(context(r#"{"field": "amount", "type": "int64"}"#)).await.unwrap();
    let closing = Closing {
        groups: groups(&["a"]),
        firing: vec![Firing::OnTime],
        firing_number: vec![0],
        accumulators: [b"\xff\xff".as_slice()].into_iter().collect(),
    };
    let failure = instance.finish(&CALL, &closing).await.unwrap_err();
    assert!(failure.to_string().contains("version 255"), "{failure}");
}
