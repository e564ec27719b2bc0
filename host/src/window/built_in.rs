//! Built-in aggregates: count, sum, avg, min, max. They keep the contract that a plugin's aggregate keeps, and fold a column of a batch at
//! a time.
//!
//! The rule: the result does not depend on the order of the records. Integers are summed in 128 bits; floats exactly, as a sum of
//! partials that do not overlap (Shewchuk 1997), rounded once at the end. The bytes of an accumulator are kept stable.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, SchemaRef},
};

use super::{
    aggregate::{Aggregate, Finished, Folding},
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
    cells: Vec<Cell>,
}

/// What one aggregate of one group knows.
#[derive(Clone, Debug, Default, PartialEq)]
struct Cell {
    count: u64,
    int: i128,
    float: Exact,
    extreme_int: i64,
    extreme_float: f64,
}

impl BuiltIn {
    /// Checks the columns. `Kind::Config` for a missing column or one that is no number.
    pub fn new(schema: &SchemaRef, wanted: &[Wanted]) -> Result<Self> {
        let mut built_in = Self { slots: Vec::new(), fields: Vec::new(), cells: Vec::new() };
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
            built_in.slots.push(Slot { function: want.function, column, number });
        }
        Ok(built_in)
    }

    fn load(&mut self, accumulators: &[Vec<u8>]) -> Result<()> {
        self.cells.clear();
        for bytes in accumulators {
            let mut rest = bytes.as_slice();
            for slot in &self.slots {
                let cell = if bytes.is_empty() { Some(Cell::default()) } else { Cell::read(slot, &mut rest) };
                self.cells.push(cell.ok_or_else(bad_accumulator)?);
            }
            if !rest.is_empty() {
                return Err(bad_accumulator());
            }
        }
        Ok(())
    }

    fn fold_column(&mut self, place: usize, batch: &Batch, folding: &Folding<'_>) -> Result<()> {
        let width = self.slots.len();
        let slot = &self.slots[place];
        let groups = folding
            .rows
            .iter()
            .zip(folding.groups)
            .map(|(row, group)| (*row as usize, *group as usize * width + place));
        let Some(column) = slot.column.map(|c| batch.fields.column(c)) else {
            groups.for_each(|(_, cell)| self.cells[cell].count += 1);
            return Ok(());
        };
        if slot.function == Function::Count {
            groups.filter(|(row, _)| column.is_valid(*row)).for_each(|(_, cell)| self.cells[cell].count += 1);
            return Ok(());
        }
        let internal = |e: arrow::error::ArrowError| Error::new(Kind::Internal, e.to_string());
        match slot.number {
            Number::Int => {
                let wide = cast(column, &DataType::Int64).map_err(internal)?;
                let values = wide.as_primitive::<Int64Type>();
                groups
                    .filter(|(row, _)| values.is_valid(*row))
                    .for_each(|(row, cell)| self.cells[cell].add_int(slot.function, values.value(row)));
            }
            Number::Float => {
                let values = column.as_primitive::<Float64Type>();
                groups
                    .filter(|(row, _)| values.is_valid(*row))
                    .for_each(|(row, cell)| self.cells[cell].add_float(slot.function, values.value(row)));
            }
        }
        Ok(())
    }

    fn result(&self, place: usize) -> (ArrayRef, Vec<RowReject>) {
        let (slot, width) = (&self.slots[place], self.slots.len());
        let cells = self.cells.iter().skip(place).step_by(width);
        let mut rejects = Vec::new();
        let column: ArrayRef = match (slot.function, slot.number) {
            (Function::Count, _) => Arc::new(cells.map(|c| Some(c.count as i64)).collect::<Int64Array>()),
            (Function::Sum, Number::Int) => Arc::new(
                cells
                    .enumerate()
                    .map(|(row, c)| {
                        let sum = i64::try_from(c.int).ok();
                        if sum.is_none() {
                            let message = format!(
                                "the sum {} of `{}` does not fit into 64 bits",
                                c.int,
                                self.fields[place].name()
                            );
                            rejects.push(RowReject { row: row as u32, code: "overflow".to_owned(), message });
                        }
                        sum.filter(|_| c.count > 0)
                    })
                    .collect::<Int64Array>(),
            ),
            (Function::Min | Function::Max, Number::Int) => {
                Arc::new(cells.map(|c| (c.count > 0).then_some(c.extreme_int)).collect::<Int64Array>())
            }
            _ => Arc::new(cells.map(|c| c.float_result(slot)).collect::<Float64Array>()),
        };
        (column, rejects)
    }
}

impl Cell {
    fn add_int(&mut self, function: Function, value: i64) {
        match function {
            Function::Min if self.count == 0 || value < self.extreme_int => self.extreme_int = value,
            Function::Max if self.count == 0 || value > self.extreme_int => self.extreme_int = value,
            Function::Min | Function::Max => {}
            _ => self.int += i128::from(value),
        }
        self.count += 1;
    }

    fn add_float(&mut self, function: Function, value: f64) {
        match function {
            Function::Min if self.count == 0 || value.total_cmp(&self.extreme_float).is_lt() => {
                self.extreme_float = value
            }
            Function::Max if self.count == 0 || value.total_cmp(&self.extreme_float).is_gt() => {
                self.extreme_float = value
            }
            Function::Min | Function::Max => {}
            _ => self.float.add(value),
        }
        self.count += 1;
    }

    fn float_result(&self, slot: &Slot) -> Option<f64> {
        (self.count > 0).then(|| match (slot.function, slot.number) {
            (Function::Avg, Number::Int) => self.int as f64 / self.count as f64,
            (Function::Avg, Number::Float) => self.float.value() / self.count as f64,
            (Function::Sum, _) => self.float.value(),
            _ => self.extreme_float,
        })
    }

    fn write(&self, slot: &Slot, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.count.to_be_bytes());
        match (slot.function, slot.number) {
            (Function::Count, _) => {}
            (Function::Sum | Function::Avg, Number::Int) => into.extend_from_slice(&self.int.to_be_bytes()),
            (Function::Sum | Function::Avg, Number::Float) => self.float.write(into),
            (Function::Min | Function::Max, Number::Int) => into.extend_from_slice(&self.extreme_int.to_be_bytes()),
            (Function::Min | Function::Max, Number::Float) => into.extend_from_slice(&self.extreme_float.to_be_bytes()),
        }
    }

    fn read(slot: &Slot, rest: &mut &[u8]) -> Option<Self> {
        let mut cell = Self { count: u64::from_be_bytes(take(rest)?), ..Self::default() };
        match (slot.function, slot.number) {
            (Function::Count, _) => {}
            (Function::Sum | Function::Avg, Number::Int) => cell.int = i128::from_be_bytes(take(rest)?),
            (Function::Sum | Function::Avg, Number::Float) => cell.float = Exact::read(rest)?,
            (Function::Min | Function::Max, Number::Int) => cell.extreme_int = i64::from_be_bytes(take(rest)?),
            (Function::Min | Function::Max, Number::Float) => cell.extreme_float = f64::from_be_bytes(take(rest)?),
        }
        Some(cell)
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

    fn fold<'a>(&'a mut self, batch: &'a Batch, folding: Folding<'a>) -> LocalPending<'a, Result<Vec<RowReject>>> {
        Box::pin(async move {
            self.load(folding.accumulators)?;
            for place in 0..self.slots.len() {
                self.fold_column(place, batch, &folding)?;
            }
            for (bytes, cells) in folding.accumulators.iter_mut().zip(self.cells.chunks(self.slots.len().max(1))) {
                bytes.clear();
                self.slots.iter().zip(cells).for_each(|(slot, cell)| cell.write(slot, bytes));
            }
            Ok(Vec::new())
        })
    }

    fn finish<'a>(
        &'a mut self,
        firings: &'a Firings,
        accumulators: &'a [Vec<u8>],
    ) -> LocalPending<'a, Result<Finished>> {
        Box::pin(async move {
            self.load(accumulators)?;
            let mut finished = Finished { source: (0..firings.key.len() as u32).collect(), ..Finished::default() };
            for place in 0..self.slots.len() {
                let (column, rejects) = self.result(place);
                finished.columns.push(column);
                finished.rejects.extend(rejects);
            }
            Ok(finished)
        })
    }
}
