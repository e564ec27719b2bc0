//! Runs a plugin of the world `transformer` or `enricher` as a step.
//!
//! Each declared output becomes an output of the step. A record that fails alone is a reject with the guest's backtrace; a plugin
//! that asks for a retry is called again, one that cannot go on stops the step.

use std::sync::Arc;

use super::{
    LocalPending, Outputs, Step,
    calling::{Retries, call, deliver},
    evidence::{self, Asked},
    wanted::Wanted,
};
use crate::{
    clock::Clock,
    error::Result,
    plugin::{BatchPlugin, Bisected, Call},
    record::{Batch, Branch},
};

/// A plugin in the graph.
pub struct Component {
    plugin: Box<dyn BatchPlugin>,
    wanted: Wanted,
    /// one an output, for ids
    branches: Vec<Branch>,
    clock: Arc<dyn Clock>,
}

impl Component {
    /// The step of this name.
    pub fn new(step: &str, plugin: Box<dyn BatchPlugin>, wanted: Wanted, clock: Arc<dyn Clock>) -> Self {
        let branches = (0..plugin.manifest().outputs.len()).map(|output| Branch::new(step, output)).collect();
        Self { plugin, wanted, branches, clock }
    }

    async fn run(&mut self, mut input: Batch, out: &mut Outputs) -> Result<()> {
        let fields = self.wanted.of(&input.fields)?;
        // The batch as the plugin sees it, and back: nothing of it is copied.
        let whole = std::mem::replace(&mut input.fields, fields);
        let call = call(&*self.clock, &input);
        let done = self.call(&call, &input).await?;
        let asked = Asked { call: &call, input: 0, batch: &input, keyed: None, due: None };
        out.evidence.extend(evidence::take(&asked, &done.rejected));
        input.fields = whole;
        deliver(done, &self.branches, input, out);
        Ok(())
    }

    async fn call(&mut self, call: &Call, batch: &Batch) -> Result<Bisected> {
        let mut retries = Retries::default();
        loop {
            match self.plugin.process(call, batch).await {
                Ok(done) => return Ok(done),
                Err(failure) => retries.pause(failure).await?,
            }
        }
    }
}

impl Step for Component {
    fn process<'a>(&'a mut self, input: Batch, out: &'a mut Outputs) -> LocalPending<'a, Result<()>> {
        Box::pin(self.run(input, out))
    }
}
