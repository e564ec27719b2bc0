//! Aggregators: records of a window are folded into an accumulator, accumulators are combined, and a closed window is finished.
//!
//! The host owns windows, watermarks, triggers and storage; the plugin owns the accumulator. Folding must not depend on how records are
//! cut into calls: `combine` of two halves equals one fold over both. Within one call each accumulator is decoded and encoded once.

use crate::accumulator::Accumulator;
use crate::batch::{Columns, Emit};
use crate::bindings::aggregate_types::{self, Closing, FoldInput, Folded};
use crate::bindings::migrate_types::Migrated;
use crate::bindings::types::{Batch, BytesColumn, Context, Failure, Manifest, Processed, RecordError, Table};
use crate::cell::Bytes;
use crate::config::Config;
use crate::out::{self, Out, Output, Reject};
use crate::rows::{Fields, Row, Rows};
use crate::state::stored::{self, Stored};
use crate::transform::manifest;
use crate::value::BytesBuilder;
use crate::worlds::stateful;

pub use aggregate_types::Firing;

/// Folds rows of one struct into an accumulator. Export it with `pelton_sdk::aggregator!(Name);`.
pub trait Aggregator: Sized {
    type Config: Config;
    type Input<'a>: Fields<'a>;
    type Accumulator: Accumulator;
    type Output<'a>: Output;
    const NAME: &'static str;
    const VERSION: &'static str = "0.1.0";
    const DOC: &'static str = "";

    fn new(config: Self::Config) -> Result<Self, String>;
    /// Adds a record; on an error the accumulator must be as it was before.
    fn fold<'a>(&self, accumulator: &mut Self::Accumulator, row: &Row<Self::Input<'a>>) -> Result<(), Reject>;
    fn combine(&self, into: &mut Self::Accumulator, part: &Self::Accumulator);
    /// The result of a window, or none.
    fn finish<'a>(
        &self,
        accumulator: &'a Self::Accumulator,
        window: &Window,
    ) -> Result<Option<Self::Output<'a>>, Reject>;
}

/// The window that is finished. Its bounds and key are added to the result by the host.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub start_ms: i64,
    pub end_ms: i64,
    pub firing: Firing,
    pub firing_number: u32,
}

/// The level below `Aggregator`: columns, with a manifest that may depend on the config. Export it with
/// `pelton_sdk::column_aggregator!(Name);`.
pub trait ColumnAggregator: Sized {
    type Config: Config;
    type Accumulator: Accumulator;

    fn describe(config: &Self::Config) -> Result<Manifest, String>;
    fn new(config: Self::Config, context: &Context) -> Result<Self, String>;
    fn fold(&self, fold: &mut Fold<'_, Self::Accumulator>) -> Result<(), Failure>;
    fn combine(&self, into: &mut Self::Accumulator, part: &Self::Accumulator);
    /// `windows[i]` belongs to `accumulators[i]`; `emit` takes i as the source.
    fn finish(&self, accumulators: &[Self::Accumulator], windows: &[Window], emit: &mut Emit) -> Result<(), Failure>;
}

/// One call of `fold`: record `row[i]` belongs to accumulator `group[i]`.
pub struct Fold<'a, A> {
    pub columns: Columns<'a>,
    pub row: &'a [u32],
    pub group: &'a [u32],
    pub accumulators: Vec<A>,
    errors: Vec<RecordError>,
}

impl<A> Fold<'_, A> {
    /// Record `row` cannot be folded.
    pub fn reject(&mut self, row: u32, Reject { code, message }: Reject) {
        self.errors.push(RecordError { index: row, code, message });
    }

    /// Calls `each` with every (accumulator, record) pair.
    pub fn each(&mut self, mut each: impl FnMut(&mut A, u32) -> Result<(), Reject>) -> Result<(), Failure> {
        let (row, group) = (self.row, self.group);
        for (row, group) in row.iter().zip(group) {
            let accumulator =
                self.accumulators.get_mut(*group as usize).ok_or("a record belongs to a group that was not sent")?;
            if let Err(reject) = each(accumulator, *row) {
                self.reject(*row, reject);
            }
        }
        Ok(())
    }
}

/// An `Aggregator` as the export wants it.
pub struct TypedAggregator<T>(T);

/// A `ColumnAggregator` as the export wants it.
pub struct ColumnarAggregator<T>(T);

/// What the export and the test helper run.
pub trait RunsAggregate: Sized {
    type Config: Config;
    type Accumulator: Accumulator;
    fn describe(config: &Self::Config) -> Result<Manifest, String>;
    fn start(config: Self::Config, context: &Context) -> Result<Self, String>;
    fn fold_all(&self, batch: &Batch, fold: &mut Fold<'_, Self::Accumulator>) -> Result<(), Failure>;
    fn combine_two(&self, into: &mut Self::Accumulator, part: &Self::Accumulator);
    fn finish_all(&self, accumulators: &[Self::Accumulator], windows: &[Window]) -> Result<Processed, Failure>;
}

impl<T: Aggregator> RunsAggregate for TypedAggregator<T> {
    type Config = T::Config;
    type Accumulator = T::Accumulator;
    fn describe(_: &T::Config) -> Result<Manifest, String> {
        let mut manifest = manifest::<T::Config>(T::NAME, T::VERSION, T::DOC);
        manifest.inputs = <T::Input<'static>>::inputs();
        manifest.outputs = <T::Output<'static>>::declare("out");
        manifest.tables = vec![table::<T::Accumulator>()];
        Ok(manifest)
    }
    fn start(config: T::Config, _: &Context) -> Result<Self, String> {
        T::new(config).map(Self)
    }
    fn fold_all(&self, batch: &Batch, fold: &mut Fold<'_, T::Accumulator>) -> Result<(), Failure> {
        let rows = Rows::<T::Input<'_>>::open(batch)?;
        let mut outside = false;
        fold.each(|accumulator, row| match rows.get(row) {
            Some(row) => self.0.fold(accumulator, &row),
            None => {
                outside = true;
                Ok(())
            }
        })?;
        if outside { Err("a record outside the batch is to be folded".into()) } else { Ok(()) }
    }
    fn combine_two(&self, into: &mut T::Accumulator, part: &T::Accumulator) {
        self.0.combine(into, part);
    }
    fn finish_all(&self, accumulators: &[T::Accumulator], windows: &[Window]) -> Result<Processed, Failure> {
        let mut out = Out::<T::Output<'_>>::with_capacity(accumulators.len());
        for (index, (accumulator, window)) in accumulators.iter().zip(windows).enumerate() {
            match self.0.finish(accumulator, window) {
                Ok(Some(value)) => out.emit_from(index as u32, value),
                Ok(None) => {}
                Err(reject) => out.reject_at(index as u32, reject),
            }
        }
        let (emitted, errors) = out.finish();
        Ok(out::processed(emitted, errors))
    }
}

impl<T: ColumnAggregator> RunsAggregate for ColumnarAggregator<T> {
    type Config = T::Config;
    type Accumulator = T::Accumulator;
    fn describe(config: &T::Config) -> Result<Manifest, String> {
        T::describe(config)
    }
    fn start(config: T::Config, context: &Context) -> Result<Self, String> {
        T::new(config, context).map(Self)
    }
    fn fold_all(&self, _: &Batch, fold: &mut Fold<'_, T::Accumulator>) -> Result<(), Failure> {
        self.0.fold(fold)
    }
    fn combine_two(&self, into: &mut T::Accumulator, part: &T::Accumulator) {
        self.0.combine(into, part);
    }
    fn finish_all(&self, accumulators: &[T::Accumulator], windows: &[Window]) -> Result<Processed, Failure> {
        let mut emit = Emit::default();
        self.0.finish(accumulators, windows, &mut emit)?;
        Ok(out::processed(emit.emitted, emit.errors))
    }
}

/// The state table of an aggregator.
pub fn table<A: Accumulator>() -> Table {
    Table {
        name: "accumulator".to_owned(),
        prefetch: true,
        schema: String::new(),
        schema_version: A::VERSION.into(),
        migrates_from: A::MIGRATES_FROM.to_vec(),
        ttl_ms: None,
    }
}

/// `aggregate.fold` of the interface.
pub fn fold<T: RunsAggregate>(plugin: &T, input: &FoldInput) -> Result<Folded, Failure> {
    let accumulators = decode::<T::Accumulator>(&input.accumulators)?;
    let columns = Columns::new(&input.records);
    let mut fold = Fold { columns, row: &input.row, group: &input.group, accumulators, errors: Vec::new() };
    plugin.fold_all(&input.records, &mut fold)?;
    let Fold { accumulators, mut errors, .. } = fold;
    // A record that is in several windows is one record.
    errors.sort_by_key(|error| error.index);
    errors.dedup_by_key(|error| error.index);
    Ok(Folded { accumulators: encode(&accumulators), errors })
}

/// `aggregate.combine` of the interface.
pub fn combine<T: RunsAggregate>(
    plugin: &T,
    parts: &BytesColumn,
    group_offsets: &[u32],
) -> Result<BytesColumn, Failure> {
    let parts = decode::<T::Accumulator>(parts)?;
    let mut groups = Vec::with_capacity(group_offsets.len());
    for pair in group_offsets.windows(2) {
        let parts = parts.get(pair[0] as usize..pair[1] as usize).ok_or("a group has parts that were not sent")?;
        let mut whole = T::Accumulator::default();
        parts.iter().for_each(|part| plugin.combine_two(&mut whole, part));
        groups.push(whole);
    }
    Ok(encode(&groups))
}

/// `aggregate.finish` of the interface.
pub fn finish<T: RunsAggregate>(plugin: &T, closing: &Closing) -> Result<Processed, Failure> {
    let accumulators = decode::<T::Accumulator>(&closing.accumulators)?;
    let count = accumulators.len();
    let bounds = closing.groups.start_ms.iter().zip(&closing.groups.end_ms);
    let firings = closing.firing.iter().zip(&closing.firing_number);
    let window = |((start_ms, end_ms), (firing, number)): ((&i64, &i64), (&Firing, &u32))| Window {
        start_ms: *start_ms,
        end_ms: *end_ms,
        firing: *firing,
        firing_number: *number,
    };
    let windows: Vec<Window> = bounds.zip(firings).map(window).collect();
    if windows.len() != count {
        return Err(format!("{count} accumulators were sent with {} windows", windows.len()).into());
    }
    plugin.finish_all(&accumulators, &windows)
}

/// `migrate-state.migrate` of the interface.
pub fn migrate<T: RunsAggregate>(from: u32, values: &BytesColumn) -> Result<Migrated, String> {
    stateful::migrate(values, |value| {
        <T::Accumulator as Stored>::migrate(from, value).map(|migrated| migrated.as_ref().map(stored::bytes))
    })
}

fn decode<A: Accumulator>(column: &BytesColumn) -> Result<Vec<A>, String> {
    let count = column.offsets.len().saturating_sub(1);
    // No accumulators at all is an absent column.
    if count == 0 {
        return Ok(Vec::new());
    }
    let cells = Bytes::open(column, count).ok_or("the accumulators are not a column")?;
    (0..count).map(|index| crate::accumulator::decode(cells.get(index))).collect()
}

fn encode<A: Accumulator>(accumulators: &[A]) -> BytesColumn {
    let mut column = BytesBuilder::default();
    column.reserve(accumulators.len());
    let mut cell = Vec::with_capacity(64);
    for accumulator in accumulators {
        cell.clear();
        cell.push(A::VERSION);
        accumulator.encode(&mut cell);
        column.push(&cell);
    }
    column.finish()
}
