//! The plugin with state of the simulator: it counts the records of each key, and says so when a key has been quiet for a while.
//!
//! It is no component: what is simulated is state, timers and the commit, and a guest would bring its own clock. It keeps the rules of the
//! boundary: what a call writes is kept when the call is done, and nothing is remembered from call to call.

use std::sync::{Arc, PoisonError};

use arrow::{
    array::{AsArray, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field as ArrowField, Int64Type, Schema, SchemaRef},
};
use pelton::{
    job::{FieldKind as JobKind, PluginField, PluginInput, PluginInterface, PluginOutput, World},
    plugin::{
        Bisected, Call, Calling, Capability, Due, Emitted, Failure, Field, FieldKind, Identity, Input, KeySet, Keyed,
        KeyedPlugin, Manifest, Outdated, Output, Place, Processed, Table, TimerOps,
    },
    record::Batch,
};

/// A key that had no record for so long is told of.
pub const QUIET_MS: i64 = 3_000;

/// What a checked job knows of it.
pub fn interface() -> PluginInterface {
    let field = |path: &str, kind| PluginField { path: path.into(), kind, optional: false };
    let made = [
        ("key", JobKind::Text),
        ("what", JobKind::Text),
        ("count", JobKind::Int64),
        ("total", JobKind::Int64),
        ("by", JobKind::Text),
    ];
    PluginInterface {
        world: World::StatefulTransformer,
        name: "counter".into(),
        version: "1".into(),
        digest: "native".into(),
        inputs: vec![PluginInput { name: "in".into(), wants: vec![field("n", JobKind::Int64)] }],
        key: Vec::new(),
        outputs: vec![PluginOutput { name: "out".into(), fields: made.map(|(path, kind)| field(path, kind)).to_vec() }],
        connectors: Vec::new(),
        uses: [Capability::State].into(),
    }
}

/// What can be swapped in: names, which stand for digests. What the job file names is the first.
pub const VERSIONS: [&str; 7] = ["v1", "v2", ONWARD, FOREIGN, BAD, BAD_ONWARD, LIES];

/// This one migrates what the others store, and they cannot read what it stores: from there nothing leads back.
pub const ONWARD: &str = "onward";

/// This one neither reads nor migrates what any other stores: it may never run.
pub const FOREIGN: &str = "foreign";

/// This one fails whatever it is given.
pub const BAD: &str = "bad";

/// This one fails as well, and the others cannot read what it stores: taken back before anything is stored, or replaced by [`ONWARD`].
pub const BAD_ONWARD: &str = "bad-onward";

/// This one says things that are not so: only ever tried by a canary, under a guard that sees it.
pub const LIES: &str = "lies";

/// The version with this digest; the job file's, where it is another.
pub fn deployed(digest: Option<&String>) -> &'static str {
    VERSIONS.into_iter().find(|version| digest.is_some_and(|digest| digest == version)).unwrap_or(VERSIONS[0])
}

/// The form of its state, and the forms that it migrates.
fn forms(version: &str) -> (u32, &'static [u32]) {
    match version {
        "v1" => (1, &[2]),
        ONWARD | BAD_ONWARD => (3, &[1, 2]),
        FOREIGN => (7, &[]),
        _ => (2, &[1]),
    }
}

/// A copy of it.
pub struct Counter {
    manifest: Manifest,
    version: &'static str,
}

impl Counter {
    /// It begins with nothing; all it knows is state.
    pub fn new(version: &'static str) -> Self {
        let (schema_version, migrates_from) = forms(version);
        let field = |path: &str, kind| Field { path: path.into(), kind, optional: false, doc: String::new() };
        let kinds = [FieldKind::Text, FieldKind::Text, FieldKind::Int64, FieldKind::Int64, FieldKind::Text];
        let fields =
            ["key", "what", "count", "total", "by"].into_iter().zip(kinds).map(|(path, kind)| field(path, kind));
        let manifest = Manifest {
            name: "counter".into(),
            version: "1".into(),
            doc: String::new(),
            config_schema: None,
            inputs: vec![Input {
                name: "in".into(),
                identity: Identity::default(),
                fields: vec![field("n", FieldKind::Int64)],
                doc: String::new(),
            }],
            outputs: vec![Output {
                name: "out".into(),
                fields: fields.collect(),
                sets: Identity::default(),
                doc: String::new(),
                schema: schema(),
            }],
            key: Vec::new(),
            tables: vec![Table {
                name: "counts".into(),
                prefetch: false,
                schema: None,
                schema_version,
                migrates_from: migrates_from.to_vec(),
                ttl_ms: None,
            }],
            connectors: Vec::new(),
        };
        Self { manifest, version }
    }
}

fn schema() -> SchemaRef {
    let field = |name: &str, kind| ArrowField::new(name, kind, false);
    Arc::new(Schema::new(vec![
        field("key", DataType::Utf8),
        field("what", DataType::Utf8),
        field("count", DataType::Int64),
        field("total", DataType::Int64),
        field("by", DataType::Utf8),
    ]))
}

/// Rows on their way out.
#[derive(Default)]
struct Rows {
    key: Vec<String>,
    count: Vec<i64>,
    total: Vec<i64>,
}

impl Rows {
    fn done(self, what: &str, by: &str, timers: TimerOps) -> Result<Bisected, Failure> {
        let rows = self.key.len();
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(StringArray::from(self.key)),
            Arc::new(StringArray::from(vec![what; rows])),
            Arc::new(Int64Array::from(self.count)),
            Arc::new(Int64Array::from(self.total)),
            Arc::new(StringArray::from(vec![by; rows])),
        ];
        let fields = RecordBatch::try_new(schema(), columns).map_err(|e| Failure::Fatal(e.to_string()))?;
        let source = (0..rows as u32).collect();
        let emitted = Emitted { source, fields, event_us: None, partition_key: None, payload: None, operation: None };
        let processed = Processed { outputs: vec![emitted], errors: Vec::new(), timers };
        Ok(Bisected { processed, rejected: Vec::new() })
    }
}

/// State in a form: all but the first say which it is in front.
fn written(form: u32, state: (i64, i64)) -> Vec<u8> {
    let head = (form > 1).then_some(form as u8);
    let numbers = [state.0.to_be_bytes(), state.1.to_be_bytes()].concat();
    head.into_iter().chain(numbers).collect()
}

/// State of a form; nothing where it is of another one.
fn read(form: u32, bytes: &[u8]) -> Option<(i64, i64)> {
    let bytes = if form == 1 { bytes } else { bytes.strip_prefix(&[form as u8])? };
    let (count, total) = bytes.split_at_checked(8)?;
    Some((i64::from_be_bytes(count.try_into().ok()?), i64::from_be_bytes(total.try_into().ok()?)))
}

/// The key of a row, and the count and total it has after `change`.
fn changed(
    version: &str,
    keyed: &Keyed,
    row: usize,
    change: impl FnOnce((i64, i64)) -> (i64, i64),
) -> Result<(String, (i64, i64)), Failure> {
    let state_failed = |failed: pelton::error::Error| Failure::State(failed.to_string());
    let key = keyed.index[row];
    let name = keyed.keys.fields.column(0).as_string::<i32>().value(key as usize).to_owned();
    let place = Place { table: 0, key, sub_key: b"" };
    let mut state = keyed.state.lock().unwrap_or_else(PoisonError::into_inner);
    let before = state.get(place).map_err(state_failed)?;
    let strange = || Failure::Fatal("it reads state of another version".to_owned());
    let (form, _) = forms(version);
    let before = before.map_or(Ok((0, 0)), |bytes| read(form, &bytes).ok_or_else(strange))?;
    let after = change(before);
    if after != before {
        state.put(place, Some(&written(form, after))).map_err(state_failed)?;
    }
    Ok((name, after))
}

fn begin(keyed: &Keyed) {
    keyed.state.lock().unwrap_or_else(PoisonError::into_inner).begin();
}

fn keep(keyed: &Keyed) {
    keyed.state.lock().unwrap_or_else(PoisonError::into_inner).keep();
}

fn process(version: &str, batch: &Batch, keyed: &Keyed) -> Result<Bisected, Failure> {
    begin(keyed);
    let numbers = batch.fields.column(0).as_primitive::<Int64Type>().values().to_vec();
    let mut rows = Rows::default();
    for (row, n) in numbers.iter().enumerate() {
        let (key, (count, total)) = changed(version, keyed, row, |(count, total)| (count + 1, total + n))?;
        rows.key.push(key);
        rows.count.push(if version == LIES { -count } else { count });
        rows.total.push(total);
    }
    let timers = TimerOps {
        key: keyed.index.clone(),
        tag: batch.rows.iter().map(|_| &b"quiet"[..]).collect(),
        in_event_time: vec![true; batch.len()],
        at_ms: batch.event_us.iter().map(|us| us / 1000 + QUIET_MS).collect(),
        set: vec![true; batch.len()],
    };
    keep(keyed);
    rows.done("row", version, timers)
}

fn fire(version: &str, due: &Due, keyed: &Keyed) -> Result<Bisected, Failure> {
    begin(keyed);
    let mut rows = Rows::default();
    for row in 0..due.at_ms.len() {
        let (key, (count, total)) = changed(version, keyed, row, |state| state)?;
        rows.key.push(key);
        rows.count.push(count);
        rows.total.push(total);
    }
    keep(keyed);
    rows.done("quiet", version, TimerOps::default())
}

impl KeyedPlugin for Counter {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn process<'a>(&'a mut self, _: &'a Call, _: u32, batch: &'a Batch, keyed: &'a Keyed) -> Calling<'a, Bisected> {
        Box::pin(async {
            match self.version {
                BAD | BAD_ONWARD => Err(Failure::Fatal("it fails".to_owned())),
                version => process(version, batch, keyed),
            }
        })
    }

    fn fire<'a>(&'a mut self, _: &'a Call, due: &'a Due, keyed: &'a Keyed) -> Calling<'a, Bisected> {
        Box::pin(async { fire(self.version, due, keyed) })
    }

    fn migrate<'a>(
        &'a mut self,
        _: &'a Call,
        (_, from): (u32, u32),
        _: &'a KeySet,
        values: &'a [Outdated],
    ) -> Calling<'a, Vec<Option<Vec<u8>>>> {
        let (form, _) = forms(self.version);
        let migrated = move |value: &Outdated| Some(written(form, read(from, &value.value)?));
        Box::pin(async move { Ok(values.iter().map(migrated).collect()) })
    }
}
