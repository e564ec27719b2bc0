//! A plugin of the world `transformer`: a batch in, records out.
//!
//! The rule: what comes back either is whole and checked, or nothing happened.
//! Left to others: what happens to records that failed (`reject`).

use std::{fmt, ops::Range, time::Duration};

use super::{
    Call, Failure, Manifest, Metrics, Processed,
    bisect::{self, Bisected},
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
    pub(super) fn new(instance: Instance, manifest: Manifest) -> Self {
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
        self.part(call, batch, 0..batch.len(), budget).await
    }

    /// As [`TransformerInstance::process`]; when the batch fails, finds the records at fault and processes the others.
    pub async fn process_or_bisect(&mut self, call: &Call, batch: &Batch) -> Result<Bisected, Failure> {
        bisect::process(self, call, batch).await
    }

    /// CPU time that the last call took.
    pub fn spent(&self) -> Duration {
        self.instance.spent()
    }

    /// What the plugin counted since this was last asked.
    pub fn take_metrics(&mut self) -> Metrics {
        self.instance.take_metrics()
    }

    pub(super) fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    /// One call with some rows; rows of the result count from the start of the range.
    pub(super) async fn part(
        &mut self,
        call: &Call,
        batch: &Batch,
        range: Range<usize>,
        budget: Duration,
    ) -> Result<Processed, Failure> {
        let count = range.len();
        let input = self.manifest.input();
        let rows = lower::Rows::new(batch, range, &input.identity, &input.fields)?;
        let (fields, shards) = (rows.fields(), rows.shards());
        let mut running = self.instance.begin(call, budget).await?;
        let (transform, store) = running.transform();
        let answer = transform.call_process(store, rows.param(call, &fields, &shards)).await;
        let processed = self.instance.end(running, answer)?;
        lift::processed(processed, count, &self.manifest.outputs, self.instance.limits().rows_per_row)
            .map_err(|what| self.invalid(what))
    }

    /// A guest that breaks the interface is not trusted to be in order afterwards.
    fn invalid(&mut self, what: String) -> Failure {
        self.instance.renew();
        Failure::Invalid { what }
    }
}
