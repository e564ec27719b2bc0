//! Single parts of the path: the decoder alone, the plugin boundary alone.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use pelton::{
    decode::{self, Encoding, WantedField, avro::Contract},
    error::{Error, Kind, Result},
    plugin::{Call, Context, Limits, Plugins},
    record::{Batch, Origin},
};
use tokio::runtime::Builder;

use super::{
    compiled, guest, input,
    measure::{Spent, Watch},
};

/// Rows of a call in the boundary's row.
const CALL_ROWS: usize = 500;
const CALLS: usize = 60_000;
/// Measured passes of the decoder, after one to warm up.
const PASSES: usize = 3;

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Error::new(Kind::Internal, e.to_string()))?.block_on(work)
}

/// Decodes the input; `fields` of the 8 are wanted.
pub fn decode(fields: usize) -> Result<(u64, Spent)> {
    let reader = input::reader()?;
    let wanted: Vec<WantedField> = decode::avro::infer(&reader.schema)
        .into_iter()
        .filter(|field| fields == 8 || ["device", "at", "level", "value"].contains(&&*field.path.0))
        .collect();
    let encoding = Encoding::Avro { schemas: input::registry()?, contract: Contract::open(Some(reader)) };
    let mut decoder = decode::decoder(&encoding.into(), &wanted)?;
    let batches: Vec<_> = input::batches(input::PASS).into_iter().map(|mut batch| batch.raw(0, 1)).collect();
    block_on(async {
        let (mut rows, mut watch) = (0, Watch::start());
        for pass in 0..=PASSES {
            if pass == 1 {
                (rows, watch) = (0, Watch::start());
            }
            for batch in &batches {
                let decoded = decode::decode_all(decoder.as_mut(), batch).await?;
                if decoded.fields.num_columns() != fields || decoded.rows.len() != batch.len() {
                    return Err(Error::new(Kind::Internal, "the decoder lost rows or columns"));
                }
                rows += decoded.rows.len() as u64;
            }
        }
        Ok((rows, watch.stop()))
    })
}

/// Calls the filter with batches of 500 rows and four fields, all of which come back.
pub fn boundary() -> Result<(u64, Spent)> {
    let plugins = Plugins::new(Some(compiled()), Limits::default())?;
    let batch = call_batch()?;
    block_on(async {
        let plugin = plugins.load(&guest("bench_filter")).await?;
        let context =
            Context { config: r#"{"at_least":0.0}"#.into(), job: "bench".into(), step: "kept".into(), generation: 1 };
        let mut instance = plugin.transformer(context).await?;
        let call = Call { now_ms: 0, seed: 1, watermark_ms: Some(0) };
        let mut watch = Watch::start();
        for number in 0..CALLS + CALLS / 10 {
            if number == CALLS / 10 {
                watch = Watch::start();
            }
            let failed = |failure: pelton::plugin::Failure| Error::new(Kind::Step, failure.to_string());
            let processed = instance.process(&call, &batch).await.map_err(failed)?;
            if processed.outputs[0].fields.num_rows() != CALL_ROWS {
                return Err(Error::new(Kind::Internal, "the plugin lost rows"));
            }
        }
        Ok(((CALLS * CALL_ROWS) as u64, watch.stop()))
    })
}

fn call_batch() -> Result<Batch> {
    let readings: Vec<input::Reading> = input::readings(CALL_ROWS).collect();
    let mut shifting = input::batches(CALL_ROWS);
    let raw = shifting[0].raw(0, 1);
    let names: Vec<String> = readings.iter().map(|reading| format!("device-{:07}", reading.device)).collect();
    let at = TimestampMicrosecondArray::from_iter_values(readings.iter().map(|reading| reading.at_ms * 1_000));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("device", Arc::new(StringArray::from_iter_values(&names))),
        ("at", Arc::new(at.with_timezone("UTC"))),
        ("value", Arc::new(Float64Array::from_iter_values(readings.iter().map(|reading| reading.value)))),
        ("level", Arc::new(Int64Array::from_iter_values(readings.iter().map(|reading| reading.level)))),
    ];
    let fields = RecordBatch::try_from_iter(columns).map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
    Ok(Batch {
        origin: Origin::Records(raw.records),
        rows: (0..CALL_ROWS as u32).collect(),
        nth: vec![0; CALL_ROWS],
        event_us: readings.iter().map(|reading| reading.at_ms * 1_000).collect(),
        watermark_us: vec![0; CALL_ROWS],
        fields,
    })
}
