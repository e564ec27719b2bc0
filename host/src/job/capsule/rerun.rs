//! Runs a capsule: a plugin is given again what it was given when it failed.
//!
//! The rule: the same component gives the same, whenever and wherever: the call's time and seed, the row, and the key's state are the capsule's.

use std::sync::Arc;

use super::{Capsule, Failed, kept::Kept};
use crate::{
    error::{Error, Kind, Result},
    plugin::{Bisected, Call, Context, Failure, KeySet, Keyed, KeyedPlugin, Plugin, World},
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
            let state = Kept::new(&capsule.cells()).shared();
            let keyed = Keyed { keys: Arc::new(keys), index: vec![0], state };
            let done = match capsule.due() {
                Some(due) => instance.fire(&call, &due, &keyed).await,
                None => instance.process(&call, capsule.input, &batch, &keyed).await,
            };
            (done, instance.manifest().outputs.clone())
        }
        other => {
            let words = format!("a plugin of the world {other} cannot be run again from a capsule");
            return Err(Error::new(Kind::Config, words));
        }
    };
    Ok(judge(capsule, done, outputs.iter().map(|output| output.name.clone()).collect()))
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
