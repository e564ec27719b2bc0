//! One call of the filter: two columns in, the call, checked columns out.

use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use pelton::{
    plugin::{Call, Context, Plugin, TransformerInstance},
    record::{Batch, Origin, Records, Sequence, ShardId},
};

use super::measure::{Spent, Watch};

/// The config of the filter: half of all readings are kept.
pub const CONFIG: &str = r#"{"at_least": 512}"#;
/// CPU seconds of a measurement, after a tenth of it to warm up.
const SECONDS: f64 = 0.4;

/// The reading at a place: a device's name of 14 bytes, and a value, below 512 in every second.
pub fn reading(place: usize) -> (String, f64) {
    let mixed = (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (format!("device-{:07}", mixed % 10_000), (place % 2 * 512) as f64 + (mixed % 512) as f64)
}

/// A started copy of a filter.
pub async fn started(plugin: &Plugin) -> Result<TransformerInstance> {
    let context = Context { config: CONFIG.into(), job: "bench".into(), step: "kept".into(), generation: 1 };
    let mut instance = plugin.transformer(context).await?;
    instance.start().await.map_err(|failure| anyhow!("{failure}"))?;
    Ok(instance)
}

/// A batch of so many readings.
pub fn batch(rows: usize) -> Result<Batch> {
    let readings: Vec<(String, f64)> = (0..rows).map(reading).collect();
    let devices: ArrayRef = Arc::new(StringArray::from_iter_values(readings.iter().map(|(device, _)| device)));
    let values: ArrayRef = Arc::new(Float64Array::from_iter_values(readings.iter().map(|(_, value)| *value)));
    let numbers = 0..rows as u64;
    let records = Records {
        stream: "readings".into(),
        shard: ShardId::new("0"),
        sequence: numbers.clone().map(Sequence::from_u64).collect(),
        sub_sequence: vec![0; rows],
        partition_key: readings.iter().map(|(device, _)| device.as_bytes()).collect(),
        arrival_us: vec![0; rows],
    };
    Ok(Batch {
        origin: Origin::Records(Arc::new(records)),
        rows: (0..u32::try_from(rows)?).collect(),
        nth: vec![0; rows],
        event_us: vec![0; rows],
        watermark_us: vec![0; rows],
        fields: RecordBatch::try_from_iter([("device", devices), ("value", values)])?,
    })
}

/// Calls it with batches of this size, and says what was spent on how many records.
pub async fn calls(instance: &mut TransformerInstance, size: usize) -> Result<(u64, Spent)> {
    let (batch, call) = (batch(size)?, Call { now_ms: 0, seed: 1, watermark_ms: Some(0) });
    run(size, async || {
        let processed = instance.process(&call, &batch).await.map_err(|failure| anyhow!("{failure}"))?;
        Ok(processed.outputs.first().map_or(0, |output| output.fields.num_rows()))
    })
    .await
}

/// Makes calls of this many readings until they have taken long enough, each of which gives back how many it has kept.
pub async fn run(size: usize, mut call: impl AsyncFnMut() -> Result<usize>) -> Result<(u64, Spent)> {
    let kept = (0..size).filter(|place| reading(*place).1 >= 512.0).count();
    let block = (5_000 / size).max(1);
    let (mut watch, mut calls, mut is_warm) = (Watch::start(), 0, false);
    loop {
        for _ in 0..block {
            let found = call().await?;
            ensure!(found == kept, "{found} readings were kept, not {kept}");
        }
        calls += block;
        let spent = watch.stop();
        match is_warm {
            false if spent.cpu_s >= SECONDS / 10.0 => (watch, calls, is_warm) = (Watch::start(), 0, true),
            true if spent.cpu_s >= SECONDS => return Ok(((calls * size) as u64, spent)),
            _ => {}
        }
    }
}
