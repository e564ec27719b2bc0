//! Real guests on the real boundary.
//!
//! The guests are built by `cargo xtask test`; the folder is in `PELTON_GUESTS`, or `target/guests`.

mod aggregate;
mod bisect;
mod enrich;
mod hostile;
mod load;
mod transform;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use pelton::{
    clock::SystemClock,
    plugin::{Call, Context, Level, Limits, LogLine, LogSink, Plugin, Plugins, TransformerInstance},
    record::{Batch, Cells, Origin, Records, Sequence, ShardId},
};

pub const CALL: Call = Call { now_ms: 1_700_000_000_000, seed: 7, watermark_ms: Some(0) };

pub fn guest(name: &str) -> PathBuf {
    let folder = std::env::var_os("PELTON_GUESTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/guests"), PathBuf::from);
    let path = folder.join(format!("{name}.wasm"));
    assert!(path.is_file(), "the guest `{}` is missing: run `cargo xtask test`, which builds it", path.display());
    path
}

/// Keeps every line.
#[derive(Debug, Default)]
pub struct Kept(Mutex<Vec<LogLine>>);

impl Kept {
    pub fn lines(&self) -> Vec<LogLine> {
        self.0.lock().unwrap().clone()
    }
}

impl LogSink for Kept {
    fn enabled(&self) -> Level {
        Level::Info
    }
    fn write(&self, line: LogLine) {
        self.0.lock().unwrap().push(line);
    }
}

/// Time limits that a test can wait for.
pub fn quick() -> Limits {
    Limits { call_time: Duration::from_millis(100), output: 8 << 20, ..Limits::default() }
}

pub fn plugins(limits: Limits) -> (Plugins, Arc<Kept>) {
    let kept = Arc::new(Kept::default());
    // compiled once for all tests and runs
    let cache = Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled"));
    (Plugins::with_log(cache, limits, kept.clone(), SystemClock::shared()).unwrap(), kept)
}

pub fn context(config: &str) -> Context {
    Context { config: config.into(), job: "job".into(), step: "step".into(), generation: 1 }
}

pub async fn transformer(plugin: &Plugin, config: &str) -> TransformerInstance {
    plugin.transformer(context(config)).await.unwrap()
}

pub fn batch_of(fields: RecordBatch) -> Batch {
    let count = fields.num_rows();
    let keys: Vec<String> = (0..count).map(|row| format!("key{row}")).collect();
    let records = Records {
        stream: "stream".into(),
        shard: ShardId::new("shard"),
        sequence: (0..count as u64).map(Sequence::from_u64).collect(),
        sub_sequence: vec![0; count],
        partition_key: keys.iter().map(|key| key.as_bytes()).collect::<Cells>(),
        arrival_us: vec![0; count],
    };
    Batch {
        origin: Origin::Records(Arc::new(records)),
        rows: (0..count as u32).collect(),
        nth: vec![0; count],
        event_us: vec![0; count],
        watermark_us: vec![0; count],
        fields,
    }
}

pub fn fields_of(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let schema = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(schema.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

pub fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Batch {
    let array: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    assert_eq!(array.data_type(), &DataType::Utf8);
    batch_of(fields_of(vec![("text", array)]))
}
