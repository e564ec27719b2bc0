//! A plugin over keyed state and timers, of the worlds `stateful-transformer` (it reads and writes state by calls of its own) and
//! `keyed-transformer` (it is given the state of each key and gives it back).
//!
//! The rule: what a call wrote counts when its results are whole and checked, and not before; a part of a batch that fails leaves
//! nothing behind.
//! Left to others: where state and timers are kept, and when timers are due (`transform`).

use std::{
    collections::HashSet,
    fmt,
    ops::Range,
    pin::Pin,
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use crate::plugin::{
    Call, Failure, KeySet, Manifest, Metrics, Processed, RecordError,
    bindings::{keyed, types},
    bisect::{self, Bisected, Divisible, KeyState, Seen, StateCell},
    capability::state::{KeyedState, MOST, Place, SharedState},
    describe::{Output, Table},
    instance::Instance,
    lift, lower,
    package::World,
};
use crate::{
    error::{Error, Kind},
    record::{Batch, Cells},
};

/// The keys of a batch, and the state they have.
#[derive(Clone)]
pub struct Keyed {
    /// distinct
    pub keys: Arc<KeySet>,
    /// of each row of the batch; of each timer that is due
    pub index: Vec<u32>,
    /// by index of the key
    pub state: SharedState,
}

/// Timers that are due. All columns have the same length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    pub tag: Cells,
    /// in event time, else in processing time
    pub in_event_time: Vec<bool>,
    /// milliseconds since 1970
    pub at_ms: Vec<i64>,
}

/// A value of another version of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outdated {
    /// index of its key among those of the call
    pub key: u32,
    pub sub_key: Vec<u8>,
    pub value: Vec<u8>,
}

/// What runs over keyed state: a plugin, or a program's own where there is none.
pub trait KeyedPlugin {
    /// What it says of itself.
    fn manifest(&self) -> &Manifest;

    /// Calls with a batch of this input, whose fields are exactly those that the manifest wants of it, in its order; when it fails, finds the
    /// records at fault and processes the others.
    fn process<'a>(
        &'a mut self,
        call: &'a Call,
        input: u32,
        batch: &'a Batch,
        keyed: &'a Keyed,
    ) -> Calling<'a, Bisected>;

    /// Calls with timers that are due, as with records.
    fn fire<'a>(&'a mut self, call: &'a Call, due: &'a Due, keyed: &'a Keyed) -> Calling<'a, Bisected>;

    /// Values of one table and version, `stored`, in the form of the present version; none deletes one. A failure where it refuses one of them.
    fn migrate<'a>(
        &'a mut self,
        call: &'a Call,
        stored: (u32, u32),
        keys: &'a KeySet,
        values: &'a [Outdated],
    ) -> Calling<'a, Vec<Option<Vec<u8>>>>;
}

/// A call under way; steps of a partition share one thread, so it need not be `Send`.
pub type Calling<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + 'a>>;

/// A copy of a plugin with state. It is started by its first call and replaced after a failure.
pub struct StatefulInstance {
    instance: Instance,
    manifest: Manifest,
    world: World,
}

impl fmt::Debug for StatefulInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatefulInstance({})", self.manifest.name)
    }
}

impl StatefulInstance {
    pub(in crate::plugin) fn new(instance: Instance, manifest: Manifest, world: World) -> Self {
        Self { instance, manifest, world }
    }

    /// What the plugin says of itself under this step's config.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Starts the plugin with its config, so that a config it refuses is known before the first record.
    pub async fn start(&mut self) -> Result<(), Failure> {
        self.instance.warm().await
    }

    /// What the plugin counted since this was last asked.
    pub fn take_metrics(&mut self) -> Metrics {
        self.instance.take_metrics()
    }

    async fn migrated(
        &mut self,
        call: &Call,
        (table, from): (u32, u32),
        keys: &KeySet,
        values: &[Outdated],
    ) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        let budget = self.instance.limits().call_time;
        let column = |cell: fn(&Outdated) -> &[u8]| values.iter().map(cell).collect::<Cells>();
        let (sub_keys, cells) = (column(|value| &value.sub_key), column(|value| &value.value));
        let key: Vec<u32> = values.iter().map(|value| value.key).collect();
        let key_columns = lower::keys(keys)?;
        let key_fields = lower::params(&key_columns);
        let keys = types::KeySet { bytes: lower::cells(&keys.bytes), fields: &key_fields };
        let mut running = self.instance.begin(call, budget, None).await?;
        let (migrate_state, store) = running.migrate_state();
        let (sub_keys, cells) = (lower::cells(&sub_keys), lower::cells(&cells));
        let answer = migrate_state.call_migrate(store, table, from, keys, &key, sub_keys, cells).await;
        let refused = |why: String| types::Failure::Fatal(format!("it cannot migrate version {from}: {why}"));
        let migrated = self.instance.end(running, answer.map(|answer| answer.map_err(refused)))?;
        let checked = lift::errors(migrated.errors, values.len())
            .and_then(|errors| Ok((lift::optional(migrated.values, values.len())?, errors)));
        let (migrated, errors) = checked.map_err(|what| self.instance.broke(what))?;
        match errors.first() {
            None => Ok(migrated),
            Some(first) => Err(self.keeps(table, from, (values, &errors), first)),
        }
    }

    /// What it refuses to migrate stays as it was, and so does everything else.
    fn keeps(
        &self,
        table: u32,
        from: u32,
        (values, errors): (&[Outdated], &[RecordError]),
        first: &RecordError,
    ) -> Failure {
        let keys: HashSet<u32> = errors.iter().map(|error| values[error.row as usize].key).collect();
        let name = self.manifest.tables.get(table as usize).map_or("?", |table| table.name.as_str());
        Failure::Fatal(format!(
            "it refuses to migrate {} of {} values of version {from} of the table `{name}`, of {} keys; the first: {}: {}; \
             nothing was changed: mend its `migrate`, or give it a `schema-version` that reads them",
            errors.len(),
            values.len(),
            keys.len(),
            first.code,
            first.message
        ))
    }
}

impl KeyedPlugin for StatefulInstance {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn process<'a>(
        &'a mut self,
        call: &'a Call,
        input: u32,
        batch: &'a Batch,
        keyed: &'a Keyed,
    ) -> Calling<'a, Bisected> {
        Box::pin(bisect::process(Records { plugin: self, call, input, batch, keyed }))
    }

    fn fire<'a>(&'a mut self, call: &'a Call, due: &'a Due, keyed: &'a Keyed) -> Calling<'a, Bisected> {
        Box::pin(bisect::process(Timers { plugin: self, call, due, keyed }))
    }

    fn migrate<'a>(
        &'a mut self,
        call: &'a Call,
        stored: (u32, u32),
        keys: &'a KeySet,
        values: &'a [Outdated],
    ) -> Calling<'a, Vec<Option<Vec<u8>>>> {
        Box::pin(self.migrated(call, stored, keys, values))
    }
}

/// A thread that panicked in the middle of a call leaves state of that call alone, and `begin` throws that away.
fn lock(state: &SharedState) -> MutexGuard<'_, dyn KeyedState + 'static> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So much of a key's state is looked at after a failure.
const MOST_SHOWN: (usize, usize) = (1000, 1 << 20);

/// State of a key, as far as that is not too much.
fn cells(keyed: &Keyed, key: u32, tables: &[Table]) -> KeyState {
    let versions = tables.iter().map(|table| (table.name.clone(), table.schema_version)).collect();
    let (mut found, mut bytes) = (KeyState { tables: versions, ..KeyState::default() }, 0);
    let mut state = lock(&keyed.state);
    state.begin();
    for table in 0..tables.len() as u32 {
        let plain = state.get(Place { table, key, sub_key: &[] });
        let page = state.scan(table, key, &[], &[], MOST_SHOWN.0);
        found.is_cut |= plain.is_err() || page.as_ref().map_or(true, |page| page.more);
        let plain = plain.ok().flatten().map(|value| (Vec::new(), value));
        let entries = page.map(|page| page.entries).unwrap_or_default();
        let entries = entries.into_iter().filter(|(sub_key, _)| !sub_key.is_empty());
        for (sub_key, value) in plain.into_iter().chain(entries) {
            bytes += sub_key.len() + value.len();
            if bytes > MOST_SHOWN.1 {
                found.is_cut = true;
                return found;
            }
            found.cells.push(StateCell { table, sub_key, value });
        }
    }
    found
}

fn states(keyed: &Keyed) -> Result<Cells, Failure> {
    let mut state = lock(&keyed.state);
    let keys = 0..keyed.keys.bytes.len() as u32;
    let found: Result<Vec<Option<Vec<u8>>>, Error> =
        keys.map(|key| state.get(Place { table: 0, key, sub_key: &[] })).collect();
    let found = found.map_err(|failed| Failure::State(failed.to_string()))?;
    Ok(found.iter().map(|state| state.as_deref().unwrap_or_default()).collect())
}

/// The states that changed are written; an empty one deletes.
fn put_states(keyed: &Keyed, before: &Cells, after: &Cells) -> Result<(), Failure> {
    let mut state = lock(&keyed.state);
    for (key, (before, after)) in (0u32..).zip(before.iter().zip(after.iter())) {
        if before == after {
            continue;
        }
        if after.len() > MOST.1 {
            let what = format!("the state of a key has {} bytes, the limit is {}", after.len(), MOST.1);
            return Err(Failure::Invalid { what });
        }
        let value = (!after.is_empty()).then_some(after);
        let put = state.put(Place { table: 0, key, sub_key: &[] }, value);
        put.map_err(|failed| match failed.kind() {
            Kind::Step => Failure::Invalid { what: failed.to_string() },
            _ => Failure::State(failed.to_string()),
        })?;
    }
    Ok(())
}

/// What a call is made with.
enum Argument<'a> {
    Records(types::Batch<'a>),
    Timers(types::DueTimers<'a>),
}

/// What a call of either world gives.
enum Made {
    Processed(types::Processed),
    WithStates(keyed::KeyedOutput, Cells),
}

impl StatefulInstance {
    /// One call, for so many records or timers; what it wrote is kept when what came back is whole.
    async fn call(
        &mut self,
        call: &Call,
        budget: Duration,
        keyed: &Keyed,
        (argument, sources): (Argument<'_>, usize),
    ) -> Result<Processed, Failure> {
        lock(&keyed.state).begin();
        let made = if self.world == World::KeyedTransformer {
            let before = states(keyed)?;
            let mut running = self.instance.begin(call, budget, None).await?;
            let (keyed, store) = running.keyed();
            let answer = match argument {
                Argument::Records(batch) => keyed.call_process(store, batch, lower::cells(&before)).await,
                Argument::Timers(due) => keyed.call_fire(store, due, lower::cells(&before)).await,
            };
            Made::WithStates(self.instance.end(running, answer)?, before)
        } else {
            let mut running = self.instance.begin(call, budget, Some(keyed.state.clone())).await?;
            let answer = match argument {
                Argument::Records(batch) => {
                    let (transform, store) = running.transform();
                    transform.call_process(store, batch).await
                }
                Argument::Timers(due) => {
                    let (on_timers, store) = running.on_timers();
                    on_timers.call_fire(store, due).await
                }
            };
            Made::Processed(self.instance.end(running, answer)?)
        };
        self.settle(made, sources, keyed)
    }

    /// Checks what came back, and keeps what the call wrote.
    fn settle(&mut self, made: Made, sources: usize, keyed: &Keyed) -> Result<Processed, Failure> {
        let rows_per_row = self.instance.limits().rows_per_row;
        let keys = Some(keyed.keys.bytes.len());
        let given = lift::Given { sources, keys, outputs: &self.manifest.outputs, rows_per_row };
        let (processed, states) = match made {
            Made::Processed(processed) => (processed, None),
            Made::WithStates(made, before) => (made.processed, Some((made.states, before))),
        };
        let processed = lift::processed(processed, given).map_err(|what| self.instance.broke(what))?;
        if let Some((after, before)) = states {
            let after = lift::cells(after, before.len(), "states").map_err(|what| self.instance.broke(what))?;
            put_states(keyed, &before, &after)?;
        }
        lock(&keyed.state).keep();
        Ok(processed)
    }
}

/// Records of one input, and the plugin that they are for.
struct Records<'a> {
    plugin: &'a mut StatefulInstance,
    call: &'a Call,
    input: u32,
    batch: &'a Batch,
    keyed: &'a Keyed,
}

impl Divisible for Records<'_> {
    fn len(&self) -> usize {
        self.batch.len()
    }

    fn instance(&mut self) -> &mut Instance {
        &mut self.plugin.instance
    }

    fn outputs(&self) -> &[Output] {
        &self.plugin.manifest.outputs
    }

    fn seen(&self, item: usize) -> Seen {
        let state = cells(self.keyed, self.keyed.index[item], &self.plugin.manifest.tables);
        Seen { state, ..Seen::default() }
    }

    async fn part(&mut self, range: Range<usize>, budget: Duration) -> Result<Processed, Failure> {
        let Self { plugin, call, input, batch, keyed } = self;
        let wanted = &plugin.manifest.inputs[*input as usize];
        let rows = lower::Rows::new(batch, range.clone(), &wanted.identity, &wanted.fields)?;
        let key_columns = lower::keys(&keyed.keys)?;
        let (fields, shards, key_fields) = (rows.fields(), rows.shards(), lower::params(&key_columns));
        let argument = types::Batch {
            input: *input,
            keys: types::KeySet { bytes: lower::cells(&keyed.keys.bytes), fields: &key_fields },
            key_index: &keyed.index[range.clone()],
            ..rows.param(call, &fields, &shards)
        };
        plugin.call(call, budget, keyed, (Argument::Records(argument), range.len())).await
    }
}

/// Timers that are due, and the plugin that set them.
struct Timers<'a> {
    plugin: &'a mut StatefulInstance,
    call: &'a Call,
    due: &'a Due,
    keyed: &'a Keyed,
}

impl Divisible for Timers<'_> {
    fn len(&self) -> usize {
        self.due.at_ms.len()
    }

    fn instance(&mut self) -> &mut Instance {
        &mut self.plugin.instance
    }

    fn outputs(&self) -> &[Output] {
        &self.plugin.manifest.outputs
    }

    fn seen(&self, item: usize) -> Seen {
        let state = cells(self.keyed, self.keyed.index[item], &self.plugin.manifest.tables);
        Seen { state, ..Seen::default() }
    }

    async fn part(&mut self, range: Range<usize>, budget: Duration) -> Result<Processed, Failure> {
        let Self { plugin, call, due, keyed } = self;
        let key_columns = lower::keys(&keyed.keys)?;
        let key_fields = lower::params(&key_columns);
        let tag: Cells = range.clone().map(|row| due.tag.cell(row)).collect();
        let domain: Vec<types::TimeDomain> = due.in_event_time[range.clone()].iter().map(|is| domain(*is)).collect();
        let argument = types::DueTimers {
            keys: types::KeySet { bytes: lower::cells(&keyed.keys.bytes), fields: &key_fields },
            key: &keyed.index[range.clone()],
            tag: lower::cells(&tag),
            domain: &domain,
            at_ms: &due.at_ms[range.clone()],
            now_ms: call.now_ms,
            seed: call.seed,
            watermark_ms: call.watermark_ms,
        };
        plugin.call(call, budget, keyed, (Argument::Timers(argument), range.len())).await
    }
}

fn domain(is_event_time: bool) -> types::TimeDomain {
    if is_event_time { types::TimeDomain::EventTime } else { types::TimeDomain::ProcessingTime }
}
