//! Count, exact sum, mean, smallest and largest of a numeric field that the config names.
//!
//! The result does not depend on the order of records, on how they are cut into calls, or on which parts are combined first: whole
//! numbers are summed in 128 bits, floating-point numbers exactly (`sum.rs`), and each result is rounded once.

mod floats;
mod sum;
mod whole;

use floats::Floats;
use pelton_sdk::aggregate::{ColumnAggregator, Fold, Window, table};
use pelton_sdk::batch::{self, Emit};
use pelton_sdk::bindings::types::{Column, Context, Failure, Field, Identity, Kind, Manifest};
use pelton_sdk::prelude::*;
use pelton_sdk::transform::{input, manifest};
use pelton_sdk::value::{Builder, Value};
use whole::Whole;

#[config]
#[derive(Clone, Copy)]
enum Type {
    Int64,
    Float64,
}

#[config]
struct Settings {
    /// Dotted path of the field. Records without a value are not counted.
    field: String,
    /// int64 or float64.
    #[serde(rename = "type")]
    kind: Type,
}

struct Stats {
    kind: Type,
}

/// One of two accumulators, as the config says; a new one becomes either at its first record.
#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Empty,
    Whole(Whole),
    Floats(Floats),
}

const WHOLE: u8 = 0;
const FLOATS: u8 = 1;

impl Accumulator for State {
    fn encode(&self, into: &mut Vec<u8>) {
        match self {
            State::Empty => {}
            State::Whole(whole) => {
                into.push(WHOLE);
                whole.encode(into);
            }
            State::Floats(floats) => {
                into.push(FLOATS);
                floats.encode(into);
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        match bytes.split_first() {
            None => Ok(State::Empty),
            Some((&WHOLE, body)) => Whole::decode(body).map(State::Whole),
            Some((&FLOATS, body)) => Floats::decode(body).map(State::Floats),
            Some((tag, _)) => Err(format!("accumulator is of unknown kind {tag}")),
        }
    }
}

impl State {
    #[inline]
    fn whole(&mut self) -> Result<&mut Whole, Reject> {
        if let State::Empty = self {
            *self = State::Whole(Whole::default());
        }
        match self {
            State::Whole(whole) => Ok(whole),
            _ => Err(changed()),
        }
    }

    #[inline]
    fn floats(&mut self) -> Result<&mut Floats, Reject> {
        if let State::Empty = self {
            *self = State::Floats(Floats::default());
        }
        match self {
            State::Floats(floats) => Ok(floats),
            _ => Err(changed()),
        }
    }
}

fn changed() -> Reject {
    Reject::new("type_changed", "the window was begun with another `type`; let it end before changing it")
}

impl ColumnAggregator for Stats {
    type Config = Settings;
    type Accumulator = State;

    fn describe(config: &Settings) -> Result<Manifest, String> {
        let kind = match config.kind {
            Type::Int64 => Kind::Int64,
            Type::Float64 => Kind::Float64,
        };
        let mut manifest =
            manifest::<Settings>("stats", env!("CARGO_PKG_VERSION"), "Count, exact sum, mean, min and max of a field");
        manifest.inputs = vec![input(vec![batch::field(&config.field, kind, true, "")], Identity::empty())];
        manifest.outputs = vec![batch::output("out", outputs(kind), "one record a window")];
        manifest.tables = vec![table::<State>()];
        Ok(manifest)
    }

    fn new(config: Settings, _: &Context) -> Result<Self, String> {
        Ok(Self { kind: config.kind })
    }

    fn fold(&self, fold: &mut Fold<'_, State>) -> Result<(), Failure> {
        let columns = fold.columns;
        match self.kind {
            Type::Int64 => {
                let cells = columns.cells::<Option<i64>>(0)?;
                fold.each(|state, row| match cells.get(row as usize) {
                    Some(value) => state.whole().map(|whole| whole.add(value)),
                    None => Ok(()),
                })
            }
            Type::Float64 => {
                let cells = columns.cells::<Option<f64>>(0)?;
                fold.each(|state, row| match cells.get(row as usize) {
                    Some(value) => state.floats().map(|floats| floats.add(value)),
                    None => Ok(()),
                })
            }
        }
    }

    fn combine(&self, into: &mut State, part: &State) {
        match (&mut *into, part) {
            (_, State::Empty) => {}
            (State::Whole(into), State::Whole(part)) => into.merge(part),
            (State::Floats(into), State::Floats(part)) => into.merge(part),
            (into, part) => *into = part.clone(),
        }
    }

    fn finish(&self, states: &[State], _: &[Window], emit: &mut Emit) -> Result<(), Failure> {
        let fields = match self.kind {
            Type::Int64 => {
                columns(states, |state| if let State::Whole(whole) = state { whole.results() } else { Results::none() })
            }
            Type::Float64 => {
                columns(
                    states,
                    |state| {
                        if let State::Floats(floats) = state { floats.results() } else { Results::none() }
                    },
                )
            }
        };
        emit.push(0, (0..states.len() as u32).collect(), fields);
        Ok(())
    }
}

fn outputs(kind: Kind) -> Vec<Field> {
    vec![
        batch::field("count", Kind::Int64, false, "records with a value"),
        batch::field("sum", Kind::Float64, false, "exact, rounded once"),
        batch::field("mean", Kind::Float64, true, "none when there is no value"),
        batch::field("min", kind, true, "none when there is no value"),
        batch::field("max", kind, true, "none when there is no value"),
    ]
}

/// What a window comes to.
struct Results<T> {
    count: i64,
    sum: f64,
    min: Option<T>,
    max: Option<T>,
}

impl<T> Results<T> {
    fn none() -> Self {
        Self { count: 0, sum: 0.0, min: None, max: None }
    }
}

fn column<T: Value>(values: impl Iterator<Item = T>) -> Column {
    let mut builder = T::Builder::default();
    values.for_each(|value| value.push(&mut builder));
    builder.finish()
}

fn columns<T: Value + Copy>(states: &[State], results: impl Fn(&State) -> Results<T>) -> Vec<Column> {
    let results: Vec<Results<T>> = states.iter().map(results).collect();
    let mean = |result: &Results<T>| (result.count > 0).then(|| result.sum / result.count as f64);
    vec![
        column(results.iter().map(|result| result.count)),
        column(results.iter().map(|result| result.sum)),
        column(results.iter().map(mean)),
        column(results.iter().map(|result| result.min)),
        column(results.iter().map(|result| result.max)),
    ]
}

pelton_sdk::column_aggregator!(Stats);

#[cfg(test)]
mod tests;
