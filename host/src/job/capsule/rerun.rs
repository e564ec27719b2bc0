//! Runs a capsule: a plugin is given again what it was given when it failed.
//!
//! The rule: the same component gives the same, whenever and wherever: the call's time and seed, the row, and the key's state are the capsule's.
//! A plugin with other versions of the tables has the state migrated first, as in a job.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::Schema};

use super::{Capsule, Failed, answers::Told, kept::Kept};
use crate::{
    error::{Error, Kind, Result},
    plugin::{
        AggregatorInstance, Bisected, Call, Connect, Context, Failure, KeySet, Keyed, KeyedPlugin, Order, Outdated,
        Plugin, StateCell, StatefulInstance, Windows, World, clean,
    },
    record::{Batch, Cells},
};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// it fails as it did
    Same(Failed),
    /// it fails in another way
    Other(Failed),
    /// it makes these rows, by output, and refuses the record with these words, if it does
    Fine(Vec<(String, usize)>, Option<String>),
}

/// Calls this plugin with what the capsule holds.
pub async fn rerun(capsule: &Capsule, plugin: &Plugin) -> Result<Again> {
    let context = Context {
        config: Arc::from(capsule.config.as_str()),
        job: Arc::from(capsule.job.as_str()),
        step: Arc::from(capsule.step.as_str()),
        generation: capsule.generation,
    };
    let call = Call { now_ms: capsule.call.now_ms, seed: capsule.call.seed, watermark_ms: capsule.call.watermark_ms };
    let batch = capsule.batch()?;
    let (done, outputs) = match plugin.world() {
        World::Transformer => {
            let mut instance = plugin.transformer(context).await?;
            let done = instance.process_or_bisect(&call, &batch).await;
            (done, instance.manifest().outputs.clone())
        }
        World::StatefulTransformer | World::KeyedTransformer => {
            let mut instance = plugin.stateful(context).await?;
            let lacks = || Error::new(Kind::Config, "the capsule has no key: it is of a plugin without state");
            let (key, fields) = capsule.key()?.ok_or_else(lacks)?;
            let inputs = instance.manifest().inputs.len();
            if capsule.timer.is_none() && capsule.input as usize >= inputs {
                let words = format!("the record came by input {}, and the plugin has {inputs}", capsule.input);
                return Err(Error::new(Kind::Config, words));
            }
            let keys = KeySet { bytes: [&*key].into_iter().collect(), fields };
            let cells = match carried(capsule, &mut instance, &call, &keys).await? {
                Ok(cells) => cells,
                Err(failure) => return Ok(judge(capsule, Err(failure), Vec::new())),
            };
            let state = Kept::new(&cells).shared();
            let keyed = Keyed { keys: Arc::new(keys), index: vec![0], state };
            let done = match capsule.due() {
                Some(due) => instance.fire(&call, &due, &keyed).await,
                None => instance.process(&call, capsule.input, &batch, &keyed).await,
            };
            (done, instance.manifest().outputs.clone())
        }
        World::Enricher => {
            let told: Arc<dyn Connect> = Arc::new(Told::new(&capsule.answers));
            let mut instance = plugin.enricher(context, Order::Ordered, |_| Ok(told)).await?;
            let done = instance.process_or_bisect(&call, &batch).await;
            (done, instance.manifest().outputs.clone())
        }
        World::Aggregator => {
            let mut instance = plugin.aggregator(context).await?;
            (folded(capsule, &mut instance, &call, &batch).await?, Vec::new())
        }
    };
    Ok(judge(capsule, done, outputs.iter().map(|output| output.name.clone()).collect()))
}

/// Folds the record into the accumulator of the window that it failed in.
async fn folded(
    capsule: &Capsule,
    instance: &mut AggregatorInstance,
    call: &Call,
    batch: &Batch,
) -> Result<std::result::Result<Bisected, Failure>> {
    let lacks = || Error::new(Kind::Config, "the capsule has no window: it is not of an aggregator");
    let (start_ms, end_ms) = capsule.window_ms.ok_or_else(lacks)?;
    let tables: Vec<(String, u32)> =
        instance.manifest().tables.iter().map(|table| (table.name.clone(), table.schema_version)).collect();
    if tables != capsule.tables {
        let words = format!(
            "the accumulator in the capsule is of {}, the plugin has {}: take a plugin that keeps the same",
            named(&capsule.tables),
            named(&tables)
        );
        return Err(Error::new(Kind::Config, words));
    }
    let keys = KeySet { bytes: Cells::default(), fields: RecordBatch::new_empty(Arc::new(Schema::empty())) };
    let groups = Windows { keys, key: Vec::new(), start_ms: vec![start_ms], end_ms: vec![end_ms] };
    let accumulators = [capsule.state.first().map_or(&[][..], |(.., value)| &value.0)].into_iter().collect();
    let done = instance.fold_or_bisect(call, batch, &groups, (&[0], &[0]), accumulators).await;
    Ok(done.map(|(_, done)| done))
}

/// Tables for people.
fn named(tables: &[(String, u32)]) -> String {
    let each = tables.iter().map(|(name, version)| format!("`{}` version {version}", clean(name)));
    if tables.is_empty() { "no table".to_owned() } else { each.collect::<Vec<_>>().join(", ") }
}

/// The key's state as this plugin keeps it, or how it failed to migrate it. `Kind::Config` where it reads another version than the capsule has.
async fn carried(
    capsule: &Capsule,
    instance: &mut StatefulInstance,
    call: &Call,
    keys: &KeySet,
) -> Result<std::result::Result<Vec<StateCell>, Failure>> {
    let tables = instance.manifest().tables.clone();
    let (held, mut carried) = (capsule.cells(), Vec::new());
    for (index, (name, version)) in (0u32..).zip(&capsule.tables) {
        let found = (0u32..).zip(&tables).find(|(_, table)| table.name == *name);
        // state that it has no table for it does not see
        let Some((to, table)) = found else { continue };
        let cells: Vec<&StateCell> = held.iter().filter(|cell| cell.table == index).collect();
        if *version == table.schema_version || cells.is_empty() {
            carried.extend(cells.into_iter().map(|cell| StateCell { table: to, ..cell.clone() }));
            continue;
        }
        if !table.migrates_from.contains(version) {
            let words = format!(
                "the state in the capsule is of version {version} of the table `{}`, the plugin keeps version {} and migrates from {:?}: \
                 take a plugin that reads it",
                clean(name),
                table.schema_version,
                table.migrates_from
            );
            return Err(Error::new(Kind::Config, words));
        }
        let old = |cell: &&StateCell| Outdated { key: 0, sub_key: cell.sub_key.clone(), value: cell.value.clone() };
        let values: Vec<Outdated> = cells.iter().map(old).collect();
        let migrated = match instance.migrate(call, (to, *version), keys, &values).await {
            Ok(migrated) => migrated,
            Err(failure) => return Ok(Err(failure)),
        };
        let kept = values.into_iter().zip(migrated);
        carried
            .extend(kept.filter_map(|(old, value)| Some(StateCell { table: to, sub_key: old.sub_key, value: value? })));
    }
    Ok(Ok(carried))
}

fn judge(capsule: &Capsule, done: std::result::Result<Bisected, Failure>, outputs: Vec<String>) -> Again {
    let failed = |failure: &Failure| {
        let failed = Failed { code: failure.code().to_owned(), message: failure.to_string() };
        // Times differ from run to run, and frames from build to build.
        let first = |message: &str| message.lines().next().unwrap_or_default().to_owned();
        let timed_out = matches!(failure, Failure::TimedOut { .. });
        let same = failed.code == capsule.failure.code
            && (timed_out || first(&failed.message) == first(&capsule.failure.message));
        if same { Again::Same(failed) } else { Again::Other(failed) }
    };
    match done {
        Err(failure) => failed(&failure),
        Ok(done) => match done.rejected.first() {
            Some(rejected) => failed(&rejected.failure),
            None => {
                let rows = done.processed.outputs.iter().map(|emitted| emitted.source.len());
                let refused = done.processed.errors.first().map(|error| format!("{}: {}", error.code, error.message));
                Again::Fine(outputs.into_iter().zip(rows).collect(), refused)
            }
        },
    }
}
