//! A plugin of the world `transformer`: a batch in, records out.
//!
//! The rule: what comes back either is whole and checked, or nothing happened.
//! Left to others: what happens to records that failed (`reject`).

use std::{fmt, future::Future, ops::Range, pin::Pin, time::Duration};

use super::BatchPlugin;
use crate::plugin::{
    Call, Failure, Manifest, Metrics, Processed,
    bisect::{self, Bisected, Divisible},
    describe::Output,
    instance::Instance,
    lift, lower,
};
use crate::record::Batch;

/// A copy of a transformer. It is started by its first call and replaced after a failure.
pub struct TransformerInstance {
    instance: Instance,
    manifest: Manifest,
}

impl fmt::Debug for TransformerInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransformerInstance({})", self.manifest.name)
    }
}

impl TransformerInstance {
    pub(in crate::plugin) fn new(instance: Instance, manifest: Manifest) -> Self {
        Self { instance, manifest }
    }

    /// What the plugin says of itself under this step's config.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Starts the plugin with its config, so that a config it refuses is known before the first record.
    pub async fn start(&mut self) -> Result<(), Failure> {
        self.instance.warm().await
    }

    /// One call with a whole batch, whose fields are exactly the manifest's, in its order.
    pub async fn process(&mut self, call: &Call, batch: &Batch) -> Result<Processed, Failure> {
        let budget = self.instance.limits().call_time;
        Work { plugin: self, call, batch }.part(0..batch.len(), budget).await
    }

    /// As [`TransformerInstance::process`]; when the batch fails, finds the records at fault and processes the others.
    pub async fn process_or_bisect(&mut self, call: &Call, batch: &Batch) -> Result<Bisected, Failure> {
        bisect::process(Work { plugin: self, call, batch }).await
    }

    /// CPU time that the last call took.
    pub fn spent(&self) -> Duration {
        self.instance.spent()
    }

    /// What the plugin counted since this was last asked.
    pub fn take_metrics(&mut self) -> Metrics {
        self.instance.take_metrics()
    }
}

impl BatchPlugin for TransformerInstance {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn process<'a>(
        &'a mut self,
        call: &'a Call,
        batch: &'a Batch,
    ) -> Pin<Box<dyn Future<Output = Result<Bisected, Failure>> + 'a>> {
        Box::pin(self.process_or_bisect(call, batch))
    }
}

/// A batch and the plugin that it is for.
struct Work<'a> {
    plugin: &'a mut TransformerInstance,
    call: &'a Call,
    batch: &'a Batch,
}

impl Divisible for Work<'_> {
    fn len(&self) -> usize {
        self.batch.len()
    }

    fn instance(&mut self) -> &mut Instance {
        &mut self.plugin.instance
    }

    fn outputs(&self) -> &[Output] {
        &self.plugin.manifest.outputs
    }

    async fn part(&mut self, range: Range<usize>, budget: Duration) -> Result<Processed, Failure> {
        let TransformerInstance { instance, manifest } = &mut *self.plugin;
        let sources = range.len();
        let input = manifest.input();
        let rows = lower::Rows::new(self.batch, range, &input.identity, &input.fields)?;
        let (fields, shards) = (rows.fields(), rows.shards());
        let mut running = instance.begin(self.call, budget, None).await?;
        let (transform, store) = running.transform();
        let answer = transform.call_process(store, rows.param(self.call, &fields, &shards)).await;
        let processed = instance.end(running, answer)?;
        let rows_per_row = instance.limits().rows_per_row;
        let given = lift::Given { sources, keys: None, outputs: &manifest.outputs, rows_per_row };
        lift::processed(processed, given).map_err(|what| instance.broke(what))
    }
}
