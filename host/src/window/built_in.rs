//! Built-in aggregates: count, sum, avg, min, max. They keep the contract that a plugin's aggregate keeps, and fold a column of a batch at
//! a time.
//!
//! The rule: the result does not depend on the order of the records. Integers are summed in 128 bits; floats exactly, as a sum of
//! partials that do not overlap (Shewchuk 1997), rounded once at the end. The bytes of an accumulator are kept stable.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Float64Array, Int64Array, PrimitiveArray},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, SchemaRef},
};

use super::{
    aggregate::{Accumulators, Aggregate, Finished, Folding, Unfolded, Why},
    exact::Exact,
};
use crate::{
    error::{Error, Kind, Result},
    record::{Batch, Firings},
    transform::{LocalPending, RowReject},
};

/// What to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// rows
    Count,
    /// total of the values that are not null
    Sum,
    /// mean of the values that are not null
    Avg,
    /// the smallest
    Min,
    /// the largest
    Max,
}

/// One aggregate: the name of the result, what to compute, and of which column (`count` needs none).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// name of the result field
    pub name: String,
    /// what to compute
    pub function: Function,
    /// the column of the input
    pub column: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Int,
    Float,
}

#[derive(Debug)]
struct Slot {
    function: Function,
    column: Option<usize>,
    number: Number,
}

/// Several aggregates over the same windows.
#[derive(Debug)]
pub struct BuiltIn {
    slots: Vec<Slot>,
    fields: Vec<FieldRef>,
    /// one for each aggregate
    columns: Vec<Cells>,
}

/// What one aggregate knows, by the slot of the window: only what the function needs, so that many windows stay near the processor.
#[derive(Debug)]
enum Cells {
    Count(Vec<u64>),
    /// totals and means of integers
    Int(Vec<(u64, i128)>),
    /// totals and means of floats
    Float(Vec<(u64, Exact)>),
    ExtremeInt(Vec<(u64, i64)>),
    ExtremeFloat(Vec<(u64, f64)>),
}

/// Every case of `Cells` with its vector, for what is done alike.
macro_rules! each {
    ($cells:expr, $list:ident => $do:expr) => {
        match $cells {
            Cells::Count($list) => $do,
            Cells::Int($list) => $do,
            Cells::Float($list) => $do,
            Cells::ExtremeInt($list) => $do,
            Cells::ExtremeFloat($list) => $do,
        }
    };
}

impl BuiltIn {
    /// Checks the columns. `Kind::Config` for a missing column or one that is no number.
    pub fn new(schema: &SchemaRef, wanted: &[Wanted]) -> Result<Self> {
        let mut built_in = Self { slots: Vec::new(), fields: Vec::new(), columns: Vec::new() };
        for want in wanted {
            let config = |what: String| Error::new(Kind::Config, format!("aggregate `{}`: {what}", want.name));
            let (column, number) = match &want.column {
                None if want.function == Function::Count => (None, Number::Int),
                None => return Err(config("needs a field, as in `sum(amount)`".to_owned())),
                Some(name) => {
                    let (column, field) =
                        schema.fields().find(name).ok_or_else(|| config(format!("the input has no field `{name}`")))?;
                    let number = match field.data_type() {
                        DataType::Int32 | DataType::Int64 => Number::Int,
                        DataType::Float64 => Number::Float,
                        _ if want.function == Function::Count => Number::Int,
                        other => return Err(config(format!("the field `{name}` is {other}; it must be a number"))),
                    };
                    (Some(column), number)
                }
            };
            let result = match (want.function, number) {
                (Function::Count, _) | (Function::Sum | Function::Min | Function::Max, Number::Int) => DataType::Int64,
                _ => DataType::Float64,
            };
            built_in.fields.push(Arc::new(Field::new(&want.name, result, want.function != Function::Count)));
            built_in.columns.push(Cells::new(want.function, number));
            built_in.slots.push(Slot { function: want.function, column, number });
        }
        Ok(built_in)
    }

    fn reserve(&mut self, slots: &[u32]) {
        let most = slots.iter().max().map_or(0, |slot| *slot as usize + 1);
        self.columns.iter_mut().for_each(|cells| cells.reserve(most));
    }

    fn fold_column(&mut self, place: usize, batch: &Batch, folding: &Folding<'_>) -> Result<()> {
        let slot = &self.slots[place];
        let cells = &mut self.columns[place];
        let Some(column) = slot.column.map(|c| batch.fields.column(c)) else {
            cells.count(folding.slots.iter());
            return Ok(());
        };
        let internal = |e: arrow::error::ArrowError| Error::new(Kind::Internal, e.to_string());
        let least = slot.function == Function::Min;
        match (cells, slot.number) {
            (cells @ Cells::Count(_), _) => match column.logical_nulls() {
                None => cells.count(folding.slots.iter()),
                Some(nulls) => {
                    let valid =
                        folding.rows.iter().zip(folding.slots).filter(|(row, _)| nulls.is_valid(**row as usize));
                    cells.count(valid.map(|(_, slot)| slot));
                }
            },
            (Cells::Int(list), _) => {
                let wide = cast(column, &DataType::Int64).map_err(internal)?;
                pairs(wide.as_primitive::<Int64Type>(), folding, |slot, value| {
                    list[slot].0 += 1;
                    list[slot].1 += i128::from(value);
                });
            }
            (Cells::ExtremeInt(list), _) => {
                let wide = cast(column, &DataType::Int64).map_err(internal)?;
                pairs(wide.as_primitive::<Int64Type>(), folding, |slot, value| {
                    let (count, best) = &mut list[slot];
                    if *count == 0 || if least { value < *best } else { value > *best } {
                        *best = value;
                    }
                    *count += 1;
                });
            }
            (Cells::Float(list), _) => pairs(column.as_primitive::<Float64Type>(), folding, |slot, value| {
                list[slot].0 += 1;
                list[slot].1.add(value);
            }),
            (Cells::ExtremeFloat(list), _) => pairs(column.as_primitive::<Float64Type>(), folding, |slot, value| {
                let (count, best) = &mut list[slot];
                let order = value.total_cmp(best);
                if *count == 0 || if least { order.is_lt() } else { order.is_gt() } {
                    *best = value;
                }
                *count += 1;
            }),
        }
        Ok(())
    }

    fn result(&self, place: usize, slots: &[u32]) -> (ArrayRef, Vec<RowReject>) {
        let at = |slot: &u32| *slot as usize;
        let mut rejects = Vec::new();
        let function = self.slots[place].function;
        let column: ArrayRef = match &self.columns[place] {
            Cells::Count(list) => Arc::new(slots.iter().map(|s| Some(list[at(s)] as i64)).collect::<Int64Array>()),
            Cells::Int(list) if function == Function::Avg => Arc::new(
                slots
                    .iter()
                    .map(|s| list[at(s)])
                    .map(|(n, sum)| (n > 0).then(|| sum as f64 / n as f64))
                    .collect::<Float64Array>(),
            ),
            Cells::Int(list) => {
                let sums = slots.iter().map(|s| list[at(s)]).enumerate().map(|(row, (count, sum))| {
                    let fits = i64::try_from(sum).ok();
                    if fits.is_none() {
                        let name = self.fields[place].name();
                        let message = format!("the sum {sum} of `{name}` does not fit into 64 bits");
                        rejects.push(RowReject { row: row as u32, code: "overflow".to_owned(), message });
                    }
                    fits.filter(|_| count > 0)
                });
                Arc::new(sums.collect::<Int64Array>())
            }
            Cells::Float(list) => {
                let of = |(count, sum): &(u64, Exact)| match function {
                    Function::Avg => sum.value() / *count as f64,
                    _ => sum.value(),
                };
                let values = slots.iter().map(|s| &list[at(s)]).map(|cell| (cell.0 > 0).then(|| of(cell)));
                Arc::new(values.collect::<Float64Array>())
            }
            Cells::ExtremeInt(list) => Arc::new(
                slots.iter().map(|s| list[at(s)]).map(|(n, best)| (n > 0).then_some(best)).collect::<Int64Array>(),
            ),
            Cells::ExtremeFloat(list) => Arc::new(
                slots.iter().map(|s| list[at(s)]).map(|(n, best)| (n > 0).then_some(best)).collect::<Float64Array>(),
            ),
        };
        (column, rejects)
    }
}

/// Calls `each` with the slot and the value of every row that takes part and has one.
#[inline]
fn pairs<T: ArrowPrimitiveType>(
    column: &PrimitiveArray<T>,
    folding: &Folding<'_>,
    mut each: impl FnMut(usize, T::Native),
) {
    let values = column.values();
    let pairs = folding.rows.iter().zip(folding.slots).map(|(row, slot)| (*row as usize, *slot as usize));
    match column.nulls() {
        None => pairs.for_each(|(row, slot)| each(slot, values[row])),
        Some(nulls) => {
            pairs.filter(|(row, _)| nulls.is_valid(*row)).for_each(|(row, slot)| each(slot, values[row]));
        }
    }
}

impl Cells {
    fn new(function: Function, number: Number) -> Self {
        match (function, number) {
            (Function::Count, _) => Self::Count(Vec::new()),
            (Function::Sum | Function::Avg, Number::Int) => Self::Int(Vec::new()),
            (Function::Sum | Function::Avg, Number::Float) => Self::Float(Vec::new()),
            (Function::Min | Function::Max, Number::Int) => Self::ExtremeInt(Vec::new()),
            (Function::Min | Function::Max, Number::Float) => Self::ExtremeFloat(Vec::new()),
        }
    }

    fn count<'a>(&mut self, slots: impl Iterator<Item = &'a u32>) {
        if let Self::Count(list) = self {
            slots.for_each(|slot| list[*slot as usize] += 1);
        }
    }

    /// Has a cell for each slot below `slots`.
    fn reserve(&mut self, slots: usize) {
        each!(self, list => if list.len() < slots {
            list.resize_with(slots, Default::default);
        });
    }

    fn clear(&mut self, slots: &[u32]) {
        each!(self, list => slots.iter().for_each(|slot| {
            if let Some(cell) = list.get_mut(*slot as usize) {
                *cell = Default::default();
            }
        }));
    }

    fn save(&self, slot: usize, into: &mut Vec<u8>) {
        match self {
            Self::Count(list) => into.extend_from_slice(&list[slot].to_be_bytes()),
            Self::Int(list) => {
                into.extend_from_slice(&list[slot].0.to_be_bytes());
                into.extend_from_slice(&list[slot].1.to_be_bytes());
            }
            Self::Float(list) => {
                into.extend_from_slice(&list[slot].0.to_be_bytes());
                list[slot].1.write(into);
            }
            Self::ExtremeInt(list) => {
                into.extend_from_slice(&list[slot].0.to_be_bytes());
                into.extend_from_slice(&list[slot].1.to_be_bytes());
            }
            Self::ExtremeFloat(list) => {
                into.extend_from_slice(&list[slot].0.to_be_bytes());
                into.extend_from_slice(&list[slot].1.to_be_bytes());
            }
        }
    }

    fn load(&mut self, slot: usize, rest: &mut &[u8]) -> Option<()> {
        let count = u64::from_be_bytes(take(rest)?);
        match self {
            Self::Count(list) => list[slot] = count,
            Self::Int(list) => list[slot] = (count, i128::from_be_bytes(take(rest)?)),
            Self::Float(list) => list[slot] = (count, Exact::read(rest)?),
            Self::ExtremeInt(list) => list[slot] = (count, i64::from_be_bytes(take(rest)?)),
            Self::ExtremeFloat(list) => list[slot] = (count, f64::from_be_bytes(take(rest)?)),
        }
        Some(())
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

fn bad_accumulator() -> Error {
    Error::new(
        Kind::State,
        "an accumulator in the state does not fit the step's aggregates; the state was made by another job",
    )
}

impl Aggregate for BuiltIn {
    fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    fn fold<'a>(&'a mut self, batch: &'a mut Batch, folding: Folding<'a>) -> LocalPending<'a, Result<Unfolded>> {
        Box::pin(async move {
            self.reserve(folding.slots);
            for place in 0..self.slots.len() {
                self.fold_column(place, batch, &folding)?;
            }
            Ok(Unfolded::default())
        })
    }

    fn finish<'a>(&'a mut self, _: &'a Firings, slots: &'a [u32], _: Why) -> LocalPending<'a, Result<Finished>> {
        Box::pin(async move {
            self.reserve(slots);
            let mut finished = Finished { source: (0..slots.len() as u32).collect(), ..Finished::default() };
            for place in 0..self.slots.len() {
                let (column, rejects) = self.result(place, slots);
                finished.columns.push(column);
                finished.rejects.extend(rejects);
            }
            Ok(finished)
        })
    }
}

impl Accumulators for BuiltIn {
    fn save(&self, slot: u32, into: &mut Vec<u8>) {
        self.columns.iter().for_each(|cells| cells.save(slot as usize, into));
    }

    fn load(&mut self, slot: u32, mut bytes: &[u8]) -> Result<()> {
        self.reserve(&[slot]);
        for cells in &mut self.columns {
            cells.load(slot as usize, &mut bytes).ok_or_else(bad_accumulator)?;
        }
        if bytes.is_empty() { Ok(()) } else { Err(bad_accumulator()) }
    }

    fn clear(&mut self, slots: &[u32]) {
        self.columns.iter_mut().for_each(|cells| cells.clear(slots));
    }
}
