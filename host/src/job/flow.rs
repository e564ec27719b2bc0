//! The order of steps: batches go from node to node, watermarks after them.
//!
//! The rule of rule 2: when `push` or `advance` has returned, everything it was given has flowed through every step to the sinks. Nodes
//! stand in topological order, so a watermark reaches a step only after every batch before it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::live::Live;
use crate::{
    checkpoint::epoch::Outlet,
    error::Result,
    record::{Batch, MIN_US},
    state::{Delta, HashRange, StateStore},
    transform::{Outputs, RowReject, Step},
};

/// What a node does with a batch.
pub enum Action {
    /// gives it to a step
    Step(Box<dyn Step>),
    /// gives it to the sink with this number
    Sink(usize),
}

/// A node of the graph. Nodes stand in topological order.
pub struct Node {
    /// its name in the job
    pub name: String,
    /// what it does
    pub action: Action,
    /// nodes whose watermark it takes; empty: the partition's
    pub inputs: Vec<usize>,
    /// for each of its outputs, the nodes that read it
    pub outputs: Vec<Vec<usize>>,
}

/// A rejected row with the step that rejected it.
#[derive(Debug)]
pub struct Rejected {
    /// name of the step
    pub step: String,
    /// the batch that the rows belong to
    pub batch: Batch,
    /// the rows
    pub rows: Vec<RowReject>,
}

/// The steps of a partition and the edges between them.
pub struct Flow {
    nodes: Vec<Node>,
    watermarks: Vec<i64>,
    /// what was rejected since it was last taken
    pub rejected: Vec<Rejected>,
    live: Arc<Live>,
}

impl Flow {
    /// A flow over nodes in topological order.
    pub fn new(nodes: Vec<Node>, live: Arc<Live>) -> Self {
        let watermarks = vec![MIN_US; nodes.len()];
        Self { nodes, watermarks, rejected: Vec::new(), live }
    }

    /// Rule 6: loads the state of every step that lies in this range of hash keys.
    pub fn restore(
        &mut self,
        store: &dyn StateStore,
        range: HashRange,
        watermarks: &BTreeMap<String, i64>,
    ) -> Result<()> {
        for (node, watermark) in self.nodes.iter_mut().zip(&mut self.watermarks) {
            let reached = watermarks.get(&node.name).copied();
            *watermark = reached.unwrap_or(MIN_US);
            if let Action::Step(step) = &mut node.action {
                step.restore(store, range, reached).map_err(|e| e.at(format_args!("step {}", node.name)))?;
            }
        }
        Ok(())
    }

    /// Output watermarks by step.
    pub fn watermarks(&self) -> impl Iterator<Item = (String, i64)> + '_ {
        self.nodes.iter().zip(&self.watermarks).map(|(node, watermark)| (node.name.clone(), *watermark))
    }

    /// Rule 1: the changes of every step.
    pub fn freeze(&mut self, delta: &mut Delta) {
        for node in &mut self.nodes {
            if let Action::Step(step) = &mut node.action {
                step.freeze(delta);
            }
        }
    }

    /// Gives a batch to these nodes and runs until nothing is left.
    pub async fn push(&mut self, batch: Batch, to: &[usize], outlets: &mut [Outlet]) -> Result<()> {
        let mut queue: VecDeque<(usize, Batch)> = fan_out(to, batch).collect();
        while let Some((place, batch)) = queue.pop_front() {
            if batch.is_empty() {
                continue;
            }
            let mut out = Outputs::default();
            match &mut self.nodes[place].action {
                Action::Step(step) => {
                    let processed = step.process(batch, &mut out).await;
                    processed.map_err(|e| e.at(format_args!("step {}", self.nodes[place].name)))?;
                    queue.extend(self.route(place, out));
                }
                Action::Sink(sink) => {
                    Live::add(&self.live.results, batch.len() as u64);
                    let outlet = &mut outlets[*sink];
                    outlet.sink.write(&batch).await.map_err(|e| e.at(format_args!("sink {}", outlet.name)))?;
                }
            }
        }
        Ok(())
    }

    /// Keeps rejects, counts the late, and says where each output goes.
    fn route(&mut self, place: usize, out: Outputs) -> Vec<(usize, Batch)> {
        let node = &self.nodes[place];
        Live::add(&self.live.late, out.late);
        let rejected = out.rejects.into_iter().map(|(batch, rows)| Rejected { step: node.name.clone(), batch, rows });
        self.rejected.extend(rejected);
        let outputs = out.batches.into_iter();
        outputs
            .flat_map(|(output, batch)| fan_out(node.outputs.get(output).map_or(&[][..], Vec::as_slice), batch))
            .collect()
    }

    /// The partition's watermark has come to this; every step follows in order.
    pub async fn advance(&mut self, watermark_us: i64, outlets: &mut [Outlet]) -> Result<()> {
        for place in 0..self.nodes.len() {
            let inputs = self.nodes[place].inputs.iter().map(|input| self.watermarks[*input]).min();
            let reached = inputs.unwrap_or(watermark_us);
            if reached <= self.watermarks[place] {
                continue;
            }
            let mut out = Outputs::default();
            self.watermarks[place] = match &mut self.nodes[place].action {
                Action::Sink(_) => reached,
                Action::Step(step) => {
                    let advanced = step.advance(reached, &mut out).await;
                    advanced.map_err(|e| e.at(format_args!("step {}", self.nodes[place].name)))?
                }
            };
            self.deliver(place, out, outlets).await?;
        }
        Ok(())
    }

    /// A bounded run ends: every step closes what is open, in order.
    pub async fn close(&mut self, outlets: &mut [Outlet]) -> Result<()> {
        for place in 0..self.nodes.len() {
            let mut out = Outputs::default();
            if let Action::Step(step) = &mut self.nodes[place].action {
                step.close(&mut out).await.map_err(|e| e.at(format_args!("step {}", self.nodes[place].name)))?;
            }
            self.deliver(place, out, outlets).await?;
        }
        Ok(())
    }

    async fn deliver(&mut self, place: usize, out: Outputs, outlets: &mut [Outlet]) -> Result<()> {
        for (to, batch) in self.route(place, out) {
            self.push(batch, &[to], outlets).await?;
        }
        Ok(())
    }
}

fn fan_out(to: &[usize], batch: Batch) -> impl Iterator<Item = (usize, Batch)> + '_ {
    to.iter().map(move |place| (*place, batch.clone()))
}
