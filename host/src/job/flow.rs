//! The order of steps: batches go from node to node, watermarks after them.
//!
//! The rule of rule 2: when `push` or `advance` has returned, everything it was given has flowed through every step to the sinks. Nodes
//! stand in topological order, so a watermark reaches a step only after every batch before it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

pub mod seen;

use seen::{Guarded, Seen};

use super::{
    live::Live,
    swap::{Steps, canary::Breaks},
};
use crate::{
    checkpoint::epoch::Outlet,
    clock::Clock,
    error::Result,
    planted,
    record::{Batch, Branch, MIN_US},
    state::{Delta, HashRange, StateStore},
    transform::{Outputs, RowReject, Step, evidence::Evidence},
};

/// What a node does with a batch.
pub enum Action {
    /// gives it to a step
    Step(Box<dyn Step>),
    /// gives it to the sink with this number
    Sink(usize),
}

/// Who reads an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// the node's place
    pub place: usize,
    /// the number of its input; 0 where it has one
    pub port: usize,
}

/// A node of the graph. Nodes stand in topological order.
pub struct Node {
    /// its name in the job
    pub name: String,
    /// what it does
    pub action: Action,
    /// nodes whose watermark it takes; empty: the partition's
    pub inputs: Vec<usize>,
    /// how many outputs it reads, those of sources too
    pub reads: usize,
    /// for each of its outputs, who reads it
    pub outputs: Vec<Vec<Reader>>,
}

/// Rejected rows with the step or sink that rejected them.
#[derive(Debug)]
pub struct Rejected {
    /// name of the step or sink
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
    /// by place: what was seen of it since it was put there
    seen: Vec<Seen>,
    /// by place: what was seen of the one before it
    before: Vec<Seen>,
    /// a step that is looked at more closely
    guarded: Option<Guarded>,
    /// what was rejected since it was last taken
    pub rejected: Vec<Rejected>,
    /// by step: what plugins were given when they failed, since it was last taken
    pub evidence: Vec<(String, Evidence)>,
    live: Arc<Live>,
}

impl Flow {
    /// A flow over nodes in topological order.
    pub fn new(nodes: Vec<Node>, live: Arc<Live>) -> Self {
        let (watermarks, seen) = (vec![MIN_US; nodes.len()], vec![Seen::default(); nodes.len()]);
        Self {
            nodes,
            watermarks,
            before: seen.clone(),
            seen,
            guarded: None,
            rejected: Vec::new(),
            evidence: Vec::new(),
            live,
        }
    }

    /// Where a step or sink stands.
    pub fn place(&self, step: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == step)
    }

    /// From now on a step's calls are timed and its rows held against an assertion. What was seen of the plugin before the one that it has.
    pub fn guard(&mut self, step: &str, clock: Arc<dyn Clock>, breaks: Breaks) -> Seen {
        let Some(place) = self.place(step) else { return Seen::default() };
        self.guarded = Some(Guarded { place, clock, breaks });
        std::mem::take(&mut self.before[place])
    }

    /// Whether a step that is looked at has made a row that breaks the assertion.
    pub fn breaks(&self, step: &str) -> bool {
        self.place(step).is_some_and(|place| self.seen[place].broken > 0)
    }

    /// No step is looked at more closely.
    pub fn unguard(&mut self) {
        self.guarded = None;
    }

    /// What was seen of a step.
    pub fn seen(&self, step: &str) -> Seen {
        self.place(step).map_or_else(Seen::default, |place| self.seen[place].clone())
    }

    /// Rule 6: loads the state of every step that lies in this range of hash keys.
    pub fn restore(
        &mut self,
        store: &Arc<dyn StateStore>,
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

    /// Steps that take the place of those of their names, which have handed over their state; they load it as after a claim.
    pub fn replace(&mut self, steps: Steps, store: &Arc<dyn StateStore>, range: HashRange) -> Result<()> {
        for (name, mut step) in steps {
            let Some(place) = self.place(&name) else { continue };
            let reached = Some(self.watermarks[place]).filter(|reached| *reached != MIN_US);
            if !planted::is("swap-without-state") {
                step.restore(store, range, reached).map_err(|e| e.at(format_args!("step {name}")))?;
            }
            self.nodes[place].action = Action::Step(step);
            self.before[place] = std::mem::take(&mut self.seen[place]);
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

    /// Gives a batch of the source of this name to these nodes and runs until nothing is left.
    pub async fn push(&mut self, source: &str, batch: Batch, to: &[Reader], outlets: &mut [Outlet]) -> Result<()> {
        let queue = self.fan_out(source, 0, to, batch).collect();
        self.run(queue, outlets).await
    }

    async fn run(&mut self, mut queue: VecDeque<(Reader, Batch)>, outlets: &mut [Outlet]) -> Result<()> {
        while let Some((Reader { place, port }, batch)) = queue.pop_front() {
            if batch.is_empty() {
                continue;
            }
            let mut out = Outputs::default();
            match &mut self.nodes[place].action {
                Action::Step(step) => {
                    self.seen[place].records += batch.len() as u64;
                    let clock = self.guarded.as_ref().filter(|guarded| guarded.place == place).map(|g| &g.clock);
                    let began = clock.map(|clock| clock.elapsed());
                    let processed = step.receive(port, batch, &mut out).await;
                    if let (Some(clock), Some(began)) = (clock, began) {
                        self.seen[place].times.add(clock.elapsed().saturating_sub(began));
                    }
                    processed.map_err(|e| e.at(format_args!("step {}", self.nodes[place].name)))?;
                    queue.extend(self.route(place, out));
                }
                Action::Sink(sink) => {
                    Live::add(&self.live.results, batch.len() as u64);
                    let outlet = &mut outlets[*sink];
                    let written = outlet.sink.write(&batch).await;
                    let rows = written.map_err(|e| e.at(format_args!("sink {}", outlet.name)))?;
                    if !rows.is_empty() {
                        self.rejected.push(Rejected { step: self.nodes[place].name.clone(), batch, rows });
                    }
                }
            }
        }
        Ok(())
    }

    /// Keeps rejects, counts the late, and says where each output goes.
    fn route(&mut self, place: usize, out: Outputs) -> Vec<(Reader, Batch)> {
        let seen = &mut self.seen[place];
        seen.rows += out.batches.iter().map(|(_, batch)| batch.len() as u64).sum::<u64>();
        seen.rejected += out.rejects.iter().map(|(_, rows)| rows.len() as u64).sum::<u64>();
        if let Some(guarded) = self.guarded.as_ref().filter(|guarded| guarded.place == place) {
            guarded.look(&out, seen);
        }
        let node = &self.nodes[place];
        Live::add(&self.live.late, out.late);
        let rejected = out.rejects.into_iter().map(|(batch, rows)| Rejected { step: node.name.clone(), batch, rows });
        self.rejected.extend(rejected);
        self.evidence.extend(out.evidence.into_iter().map(|evidence| (node.name.clone(), evidence)));
        let node = &self.nodes[place];
        let readers = |output| node.outputs.get(output).map_or(&[][..], Vec::as_slice);
        let outputs = out.batches.into_iter();
        outputs.flat_map(|(output, batch)| self.fan_out(&node.name, output, readers(output), batch)).collect()
    }

    /// A batch for each reader, the last of which gets it without a copy. One that reads several outputs may be given one record by each: for
    /// ids they part here.
    fn fan_out<'f>(
        &'f self,
        from: &'f str,
        output: usize,
        to: &'f [Reader],
        batch: Batch,
    ) -> impl Iterator<Item = (Reader, Batch)> + 'f {
        let mut left = Some(batch);
        to.iter().enumerate().filter_map(move |(number, reader)| {
            let mut batch = if number + 1 == to.len() { left.take() } else { left.clone() }?;
            if self.nodes[reader.place].reads > 1 {
                let branch = Branch::new(from, output);
                batch.nth.iter_mut().for_each(|nth| *nth = branch.nth(*nth, 0));
            }
            Some((*reader, batch))
        })
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

    /// When a step next has something to do by the clock, milliseconds since 1970.
    pub fn due_ms(&self) -> Option<i64> {
        let steps = self.nodes.iter().filter_map(|node| match &node.action {
            Action::Step(step) => step.due_ms(),
            Action::Sink(_) => None,
        });
        steps.min()
    }

    /// It is that time: every step does what is due, in order.
    pub async fn tick(&mut self, now_ms: i64, outlets: &mut [Outlet]) -> Result<()> {
        for place in 0..self.nodes.len() {
            let mut out = Outputs::default();
            if let Action::Step(step) = &mut self.nodes[place].action
                && step.due_ms().is_some_and(|due_ms| due_ms <= now_ms)
            {
                step.tick(now_ms, &mut out).await.map_err(|e| e.at(format_args!("step {}", self.nodes[place].name)))?;
            }
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
        let queue = self.route(place, out).into();
        self.run(queue, outlets).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};

    use super::*;
    use crate::{
        contract,
        sink::{
            Sink, Writer,
            memory::{MemorySink, Row, Shown},
        },
        transform::{
            expression::{Expression, Filter},
            relation::Relation,
        },
    };

    fn reader(place: usize) -> Reader {
        Reader { place, port: 0 }
    }

    fn sink(place: usize, reads: usize) -> Node {
        Node {
            name: format!("sink{place}"),
            action: Action::Sink(place),
            inputs: Vec::new(),
            reads,
            outputs: Vec::new(),
        }
    }

    async fn outlet(to: &Shown) -> Outlet {
        let mut sink = Box::new(MemorySink::new("out", to.clone())) as Box<dyn Sink>;
        let writer = Writer {
            job: "job".into(),
            partition: "p".into(),
            generation: 1,
            fence: 1,
            permit: crate::permit::Permit::unlimited(),
            set_back: None,
        };
        sink.recover(writer, 0, b"").await.unwrap();
        Outlet { name: "out".into(), sink }
    }

    /// A source `clicks`; a filter `kept` that lets everything through; a sink that reads the filter, and one that reads both.
    async fn shown(rows: Batch) -> Vec<Vec<Row>> {
        let filter = Filter::new(Expression::compile("n >= 0", &rows.fields.schema()).unwrap()).unwrap();
        let kept = Node {
            name: "kept".into(),
            action: Action::Step(Box::new(Relation::Filter(filter))),
            inputs: Vec::new(),
            reads: 1,
            outputs: vec![vec![reader(1), reader(2)]],
        };
        let mut flow = Flow::new(vec![kept, sink(0, 1), sink(1, 2)], Arc::new(Live::default()));
        let shown = [Shown::default(), Shown::default()];
        let mut outlets = Vec::new();
        for to in &shown {
            outlets.push(outlet(to).await);
        }
        flow.push("clicks", rows, &[reader(0), reader(2)], &mut outlets).await.unwrap();
        for outlet in &mut outlets {
            let token = outlet.sink.prepare(1).await.unwrap().token.unwrap();
            outlet.sink.commit(&token).await.unwrap();
        }
        shown.iter().map(Shown::rows).collect()
    }

    #[tokio::test]
    async fn a_record_that_takes_two_ways_to_a_sink_has_two_ids() {
        let shown = shown(contract::rows(0..4)).await;
        let ids = |rows: &[Row]| rows.iter().map(|(id, _)| *id).collect::<std::collections::BTreeSet<_>>();
        assert_eq!((shown[1].len(), ids(&shown[1]).len()), (8, 8));
        let plain = crate::sink::id::Ids::new("job", "out").of(&contract::rows(0..4));
        assert_eq!(ids(&shown[0]), plain.into_iter().collect(), "a filter in front changes no id");
    }
    #[tokio::test]
    async fn what_a_sink_can_never_take_is_rejected_by_the_name_of_the_sink() {
        let mut rows = contract::rows(0..3);
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0, i64::MAX, 1]));
        rows.fields = RecordBatch::try_from_iter([("at", times)]).unwrap();
        let mut flow = Flow::new(vec![sink(0, 1)], Arc::new(Live::default()));
        let shown = Shown::default();
        let mut outlets = vec![outlet(&shown).await];
        flow.push("clicks", rows, &[reader(0)], &mut outlets).await.unwrap();
        let rejected: Vec<(&str, u32)> = flow.rejected.iter().map(|r| (r.step.as_str(), r.rows[0].row)).collect();
        assert_eq!(rejected, [("sink0", 1)]);
        let token = outlets[0].sink.prepare(1).await.unwrap().token.unwrap();
        outlets[0].sink.commit(&token).await.unwrap();
        assert_eq!(shown.rows().len(), 2, "its neighbours get through");
    }
}
