//! What timers are told, and which event time their rows have, with a plugin that only looks.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use arrow::datatypes::{DataType, Field};

use super::*;
use crate::{
    contract,
    plugin::{Calling, Emitted, Identity, Manifest, Outdated, Output, Processed},
    transform::wanted::At,
};

const NOW_MS: i64 = 1_700_000_000_000;

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn wall_us(&self) -> i64 {
        NOW_MS * 1000
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// Sets a timer for each record, gives a row for each that fires, and notes the watermark of each call.
struct Looks {
    manifest: Manifest,
    in_event_time: bool,
    at_ms: i64,
    told: Arc<Mutex<Vec<Option<i64>>>>,
}

fn made(source: Vec<u32>, timers: TimerOps) -> Bisected {
    let fields = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let emitted = Emitted { source, fields, event_us: None, partition_key: None, payload: None, operation: None };
    let processed = Processed { outputs: vec![emitted], errors: Vec::new(), timers };
    Bisected { processed, rejected: Vec::new() }
}

impl KeyedPlugin for Looks {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn process<'a>(&'a mut self, call: &'a Call, _: u32, batch: &'a Batch, keyed: &'a Keyed) -> Calling<'a, Bisected> {
        self.told.lock().unwrap().push(call.watermark_ms);
        let rows = batch.len();
        let timers = TimerOps {
            key: keyed.index.clone(),
            tag: (0..rows).map(|_| &b"t"[..]).collect(),
            in_event_time: vec![self.in_event_time; rows],
            at_ms: vec![self.at_ms; rows],
            set: vec![true; rows],
        };
        Box::pin(async { Ok(made(Vec::new(), timers)) })
    }

    fn fire<'a>(&'a mut self, call: &'a Call, due: &'a Due, _: &'a Keyed) -> Calling<'a, Bisected> {
        self.told.lock().unwrap().push(call.watermark_ms);
        Box::pin(async { Ok(made((0..due.at_ms.len() as u32).collect(), TimerOps::default())) })
    }

    fn migrate<'a>(
        &'a mut self,
        _: &'a Call,
        _: (u32, u32),
        _: &'a KeySet,
        _: &'a [Outdated],
    ) -> Calling<'a, Vec<Option<Vec<u8>>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// A step over records whose field `n` is their key, and the watermarks that its plugin was told.
fn looking(in_event_time: bool, at_ms: i64) -> (Stateful, Arc<Mutex<Vec<Option<i64>>>>) {
    let output = Output {
        name: "out".into(),
        fields: Vec::new(),
        sets: Identity::default(),
        doc: String::new(),
        schema: Arc::new(Schema::empty()),
    };
    let manifest = Manifest {
        name: "looks".into(),
        version: "1".into(),
        doc: String::new(),
        config_schema: None,
        inputs: Vec::new(),
        outputs: vec![output],
        key: Vec::new(),
        tables: Vec::new(),
        connectors: Vec::new(),
    };
    let told = Arc::new(Mutex::new(Vec::new()));
    let plugin = Looks { manifest, in_event_time, at_ms, told: told.clone() };
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let codec = KeyCodec::new(&schema, &["n".to_owned()]).unwrap();
    let wanted = Wanted::new(vec![At::Column(0)], &schema).unwrap();
    let step = Stateful::new("looks", Box::new(plugin), vec![Port { codec, wanted }], Arc::new(Still)).unwrap();
    (step, told)
}

fn one_record() -> Batch {
    let column: arrow::array::ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![1]));
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let fields = RecordBatch::try_new(schema, vec![column]).unwrap();
    Batch { fields, watermark_us: vec![MIN_US], ..contract::rows(0..1) }
}

#[tokio::test]
async fn a_timer_in_event_time_is_told_the_watermark_that_made_it_due() {
    let (mut step, told) = looking(true, 5);
    let mut out = Outputs::default();
    step.process(one_record(), &mut out).await.unwrap();
    step.advance(7_999, &mut out).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [None, Some(7)]);
    let (_, rows) = out.batches.last().unwrap();
    assert_eq!((rows.event_us.as_slice(), rows.watermark_us.as_slice()), (&[5_000][..], &[MIN_US][..]));
}

#[tokio::test]
async fn a_row_of_the_clock_has_the_clocks_time_while_there_is_no_watermark() {
    let (mut step, told) = looking(false, 5);
    let mut out = Outputs::default();
    step.process(one_record(), &mut out).await.unwrap();
    step.tick(NOW_MS, &mut out).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [None, None]);
    assert_eq!(out.batches.last().unwrap().1.event_us, [NOW_MS * 1000]);
    step.advance(9_000, &mut out).await.unwrap();
    step.process(one_record(), &mut out).await.unwrap();
    step.tick(NOW_MS, &mut out).await.unwrap();
    assert_eq!(out.batches.last().unwrap().1.event_us, [9_000]);
}
