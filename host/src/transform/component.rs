//! Runs a plugin of the world `transformer` as a step.
//!
//! Each declared output becomes an output of the step. A record that fails alone is a reject with the guest's backtrace; a plugin
//! that asks for a retry is called again, one that cannot go on stops the step.

use std::{sync::Arc, time::Duration};

use super::{LocalPending, Outputs, RowReject, Step};
use crate::{
    clock::{self, Clock},
    error::{Error, Kind, Result},
    plugin::{Bisected, Call, Emitted, Failure, TransformerInstance},
    random,
    record::Batch,
};

/// A plugin is asked so often, when it asks for a retry.
const RETRIES: u32 = 8;

/// A plugin in the graph.
pub struct Component {
    plugin: TransformerInstance,
    /// for each field that the plugin wants, its column in what arrives
    columns: Vec<usize>,
    clock: Arc<dyn Clock>,
}

impl Component {
    /// `columns` says which column of the input each wanted field is.
    pub fn new(plugin: TransformerInstance, columns: Vec<usize>, clock: Arc<dyn Clock>) -> Self {
        Self { plugin, columns, clock }
    }

    async fn run(&mut self, mut input: Batch, out: &mut Outputs) -> Result<()> {
        let fields = input.fields.project(&self.columns).map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
        // The batch as the plugin sees it, and back: nothing of it is copied.
        let whole = std::mem::replace(&mut input.fields, fields);
        let call = call(&*self.clock, &input);
        let done = self.call(&call, &input).await?;
        input.fields = whole;
        for (output, emitted) in done.processed.outputs.into_iter().enumerate() {
            if !emitted.source.is_empty() {
                out.batches.push((output, emitted_rows(&input, emitted)));
            }
        }
        let mut rejects: Vec<RowReject> = done
            .processed
            .errors
            .into_iter()
            .map(|error| RowReject { row: error.row, code: error.code, message: error.message })
            .collect();
        rejects.extend(done.rejected.into_iter().map(|rejected| RowReject {
            row: rejected.row,
            code: rejected.failure.code().to_owned(),
            message: rejected.failure.to_string(),
        }));
        rejects.sort_by_key(|reject| reject.row);
        if !rejects.is_empty() {
            out.rejects.push((input, rejects));
        }
        Ok(())
    }

    async fn call(&mut self, call: &Call, batch: &Batch) -> Result<Bisected> {
        let mut attempt = 0;
        loop {
            match self.plugin.process_or_bisect(call, batch).await {
                Ok(done) => return Ok(done),
                Err(Failure::Retry(why)) if attempt < RETRIES => {
                    tracing::warn!("the plugin asks to be called again: {why}");
                    clock::sleep(random::back_off(attempt, Duration::from_millis(100), Duration::from_secs(10))).await;
                    attempt += 1;
                }
                Err(failure) => return Err(Error::new(Kind::Step, failure.to_string())),
            }
        }
    }
}

/// What a call is told: the same again for retries and bisections of the same batch.
pub fn call(clock: &dyn Clock, batch: &Batch) -> Call {
    let watermark_us = batch.watermark_us.first().copied().unwrap_or(crate::record::MIN_US);
    Call { now_ms: clock.wall_us() / 1000, seed: random::bits(), watermark_ms: watermark_us / 1000 }
}

/// The rows that a plugin made, with the origin of the rows they come from.
fn emitted_rows(input: &Batch, emitted: Emitted) -> Batch {
    let Emitted { source, event_us, fields, .. } = emitted;
    let at = |row: &u32| *row as usize;
    let mut nth = Vec::with_capacity(source.len());
    let (mut last, mut count) = (None, 0u64);
    for row in &source {
        count = if last == Some(*row) { count + 1 } else { 0 };
        last = Some(*row);
        nth.push(input.nth[at(row)].wrapping_mul(0x1_0000_0001).wrapping_add(count));
    }
    Batch {
        origin: input.origin.clone(),
        rows: source.iter().map(|row| input.rows[at(row)]).collect(),
        nth,
        event_us: event_us.unwrap_or_else(|| source.iter().map(|row| input.event_us[at(row)]).collect()),
        watermark_us: source.iter().map(|row| input.watermark_us[at(row)]).collect(),
        fields,
    }
}

impl Step for Component {
    fn process<'a>(&'a mut self, input: Batch, out: &'a mut Outputs) -> LocalPending<'a, Result<()>> {
        Box::pin(self.run(input, out))
    }
}
