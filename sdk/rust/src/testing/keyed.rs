//! Native runs of plugins with state: rows and the passing of time as JSON lines.
//!
//! The rule: every run is made three ways, from no state each time: calls as large as they can be, a call for each row and timer, and the
//! same with a fresh instance each; they must agree, because the host may do any of these. `{"_watermark": MS}` lets event time pass,
//! `{"_clock": MS}` the clock; timers that are due fire in rounds, as in the host.
//! Left to others: batches (`batch`), lines (`results`), values and timers (`memory`).

use super::memory::{self, Memory};
use super::{Lines, agree, batch, context, failed, results};
use crate::bindings::types::{Batch, BytesColumn, Context, DueTimers, KeySet, Manifest, Processed, TimeDomain};
use crate::config::{self, Config};
use crate::value::BytesBuilder;
use crate::worlds::keyed::{KeyedTransformer, RunsKeyed, TypedKeyed};
use crate::worlds::stateful::{RunsStateful, StatefulTransformer, TypedStateful};
use serde_json::{Map, Value, json};
use std::marker::PhantomData;

/// Runs a `StatefulTransformer` over JSON lines. `_key` is a row's key (a list for several fields), `_input` names its input.
pub fn stateful<T: StatefulTransformer>(config: &str, rows: &str) -> Lines {
    run::<AsStateful<TypedStateful<T>>>(config, rows)
}

/// Runs a `KeyedTransformer` over JSON lines, as `stateful` does.
pub fn keyed<T: KeyedTransformer>(config: &str, rows: &str) -> Lines {
    run::<AsKeyed<TypedKeyed<T>>>(config, rows)
}

/// What differs between the two worlds.
trait Plays: Sized {
    type Config: Config;
    fn describe(config: &Self::Config) -> Result<Manifest, String>;
    fn start(config: Self::Config, context: &Context) -> Result<Self, String>;
    fn process(&mut self, memory: &mut Memory, keys: Vec<Vec<u8>>, batch: &Batch) -> Result<Processed, String>;
    fn fire(&mut self, memory: &mut Memory, keys: Vec<Vec<u8>>, due: &DueTimers) -> Result<Processed, String>;
}

struct AsStateful<P>(P);

impl<P: RunsStateful> Plays for AsStateful<P> {
    type Config = P::Config;
    fn describe(config: &P::Config) -> Result<Manifest, String> {
        P::describe(config)
    }
    fn start(config: P::Config, context: &Context) -> Result<Self, String> {
        P::start(config, context).map(Self)
    }
    fn process(&mut self, memory: &mut Memory, keys: Vec<Vec<u8>>, batch: &Batch) -> Result<Processed, String> {
        memory::during(memory, keys, || self.0.run(batch)).map_err(failed)
    }
    fn fire(&mut self, memory: &mut Memory, keys: Vec<Vec<u8>>, due: &DueTimers) -> Result<Processed, String> {
        memory::during(memory, keys, || self.0.fire(due)).map_err(failed)
    }
}

struct AsKeyed<P>(P);

impl<P: RunsKeyed> Plays for AsKeyed<P> {
    type Config = P::Config;
    fn describe(config: &P::Config) -> Result<Manifest, String> {
        P::describe(config)
    }
    fn start(config: P::Config, context: &Context) -> Result<Self, String> {
        P::start(config, context).map(Self)
    }
    fn process(&mut self, memory: &mut Memory, keys: Vec<Vec<u8>>, batch: &Batch) -> Result<Processed, String> {
        let states = memory.states(keys);
        let made = self.0.run(batch, &states).map_err(failed)?;
        memory.put_states(&made.states)?;
        Ok(made.processed)
    }
    fn fire(&mut self, memory: &mut Memory, keys: Vec<Vec<u8>>, due: &DueTimers) -> Result<Processed, String> {
        let states = memory.states(keys);
        let made = self.0.fire(due, &states).map_err(failed)?;
        memory.put_states(&made.states)?;
        Ok(made.processed)
    }
}

/// How records are cut into calls.
#[derive(Clone, Copy)]
struct Way {
    one_by_one: bool,
    fresh: bool,
}

fn run<P: Plays>(config: &str, text: &str) -> Lines {
    let manifest = P::describe(&config::parse(config)?)?;
    let lines = batch::parse(text)?;
    let run = |one_by_one, fresh| {
        let plugin = P::start(config::parse(config)?, &context(config))?;
        let way = Way { one_by_one, fresh };
        Run::<P> {
            config,
            manifest: &manifest,
            way,
            plugin,
            memory: Memory::default(),
            now_ms: 0,
            fired: 0,
            lines: vec![],
            plays: PhantomData,
        }
        .all(&lines)
    };
    let together = run(false, false)?;
    agree("one instance, a call for each record", &together, &run(true, false)?)?;
    agree("a fresh instance for each record", &together, &run(true, true)?)?;
    Ok(together)
}

struct Run<'a, P> {
    config: &'a str,
    manifest: &'a Manifest,
    way: Way,
    plugin: P,
    memory: Memory,
    now_ms: i64,
    /// timers so far
    fired: usize,
    lines: Vec<String>,
    plays: PhantomData<P>,
}

impl<P: Plays> Run<'_, P> {
    fn all(mut self, lines: &[Value]) -> Lines {
        // Rows are numbered without the lines between them.
        let mut first = 0;
        let rows = |line: &Value| line.get("_watermark").is_none() && line.get("_clock").is_none();
        let (mut left, mut watermark_ms) = (lines, None);
        while let Some(line) = left.first() {
            let passed =
                |name: &str| line.get(name).map(|at| at.as_i64().ok_or(format!("{at} is no time in milliseconds")));
            if let Some(at_ms) = passed("_watermark").transpose()? {
                watermark_ms = watermark_ms.max(Some(at_ms));
                self.fire(TimeDomain::EventTime, at_ms, watermark_ms)?;
                left = &left[1..];
            } else if let Some(at_ms) = passed("_clock").transpose()? {
                self.now_ms = at_ms;
                self.fire(TimeDomain::ProcessingTime, at_ms, watermark_ms)?;
                left = &left[1..];
            } else {
                let like = |other: &&Value| rows(other) && other.get("_input") == line.get("_input");
                let count = if self.way.one_by_one { 1 } else { left.iter().take_while(like).count() };
                self.process(&left[..count], first, watermark_ms)?;
                (first, left) = (first + count, &left[count..]);
            }
        }
        Ok(self.lines)
    }

    fn plugin(&mut self) -> Result<&mut P, String> {
        if self.way.fresh {
            self.plugin = P::start(config::parse(self.config)?, &context(self.config))?;
        }
        Ok(&mut self.plugin)
    }

    fn process(&mut self, rows: &[Value], first: usize, watermark_ms: Option<i64>) -> Result<(), String> {
        let inputs = &self.manifest.inputs;
        let input = match rows.first().and_then(|row| row.get("_input")) {
            None => 0,
            Some(name) => {
                let found = inputs.iter().position(|input| name == input.name.as_str());
                found.ok_or_else(|| format!("there is no input {name}"))?
            }
        };
        let keys: Vec<Value> = rows.iter().map(|row| row.get("_key").cloned().unwrap_or_default()).collect();
        let (distinct, key_index) = distinct(&keys);
        let built = batch::build(inputs.get(input).ok_or("the manifest has no input")?, rows, first)?;
        let now_ms = if self.now_ms == 0 { built.now_ms } else { self.now_ms };
        let keys = key_set(self.manifest, &distinct)?;
        let batch = Batch { input: input as u32, now_ms, watermark_ms, keys, key_index, ..built };
        let names = names(&distinct);
        let mut memory = std::mem::take(&mut self.memory);
        let made = self.plugin()?.process(&mut memory, names.clone(), &batch)?;
        self.memory = memory;
        self.take(&made, &names, first)
    }

    fn fire(&mut self, domain: TimeDomain, reached_ms: i64, watermark_ms: Option<i64>) -> Result<(), String> {
        const MOST_ROUNDS: usize = 10_000;
        for _ in 0..MOST_ROUNDS {
            let due = self.memory.take_due(domain, reached_ms);
            if due.is_empty() {
                return Ok(());
            }
            for part in due.chunks(if self.way.one_by_one { 1 } else { due.len() }) {
                self.fire_some(domain, part, watermark_ms)?;
            }
        }
        Err("timers set themselves again for times that have passed, without end".to_owned())
    }

    fn fire_some(&mut self, domain: TimeDomain, due: &[memory::Due], watermark_ms: Option<i64>) -> Result<(), String> {
        let keys: Result<Vec<Value>, _> = due.iter().map(|(_, key, _)| serde_json::from_slice(key)).collect();
        let (distinct, key) = distinct(&keys.map_err(|error| format!("the key of a timer: {error}"))?);
        let names = names(&distinct);
        let timers = DueTimers {
            keys: key_set(self.manifest, &distinct)?,
            key,
            tag: column(due.iter().map(|(_, _, tag)| tag.as_slice())),
            domain: vec![domain; due.len()],
            at_ms: due.iter().map(|(at_ms, ..)| *at_ms).collect(),
            now_ms: self.now_ms,
            seed: 1,
            watermark_ms,
        };
        let mut memory = std::mem::take(&mut self.memory);
        let made = self.plugin()?.fire(&mut memory, names.clone(), &timers)?;
        self.memory = memory;
        let first = self.fired;
        self.fired += due.len();
        self.take(&made, &names, first)
    }

    /// What a call made counts.
    fn take(&mut self, made: &Processed, names: &[Vec<u8>], first: usize) -> Result<(), String> {
        self.lines.extend(results::lines(self.manifest, made, first)?);
        let ops = &made.timers;
        for (op, key) in ops.key.iter().enumerate() {
            let name =
                names.get(*key as usize).ok_or_else(|| format!("a timer is set for key {key}, which is not there"))?;
            let tag = &ops.tag.data[ops.tag.offsets[op] as usize..ops.tag.offsets[op + 1] as usize];
            self.memory.set_timer(ops.domain[op], name, tag, (ops.set[op] != 0).then_some(ops.at_ms[op]));
        }
        Ok(())
    }
}

/// Distinct keys in order of first appearance, and the key of each row.
fn distinct(keys: &[Value]) -> (Vec<Value>, Vec<u32>) {
    let mut distinct: Vec<Value> = Vec::new();
    let of_row = keys.iter().map(|key| {
        let known = distinct.iter().position(|other| other == key);
        known.unwrap_or_else(|| {
            distinct.push(key.clone());
            distinct.len() - 1
        }) as u32
    });
    let of_row = of_row.collect();
    (distinct, of_row)
}

/// The bytes of keys: their JSON.
fn names(keys: &[Value]) -> Vec<Vec<u8>> {
    keys.iter().map(|key| key.to_string().into_bytes()).collect()
}

pub(super) fn column<'a>(cells: impl Iterator<Item = &'a [u8]>) -> BytesColumn {
    let mut column = BytesBuilder::default();
    cells.for_each(|cell| column.push(cell));
    column.finish()
}

fn key_set(manifest: &Manifest, keys: &[Value]) -> Result<KeySet, String> {
    let row = |key: &Value| -> Result<Value, String> {
        let parts = match (key, manifest.key.len()) {
            (Value::Array(parts), _) => parts.clone(),
            (one, 1) => vec![one.clone()],
            (other, count) => return Err(format!("`_key` is {other}, expected a list of {count}")),
        };
        let fields = manifest.key.iter().map(|field| field.path.clone());
        Ok(json!(fields.zip(parts).collect::<Map<_, _>>()))
    };
    let fields = if manifest.key.is_empty() {
        Vec::new()
    } else {
        let rows = keys.iter().map(row).collect::<Result<Vec<_>, _>>()?;
        let cells = |field| batch::cells(field, &rows).map_err(|error| format!("`_key`: {error}"));
        manifest.key.iter().map(cells).collect::<Result<_, _>>()?
    };
    let bytes = names(keys);
    Ok(KeySet { bytes: column(bytes.iter().map(Vec::as_slice)), fields })
}
