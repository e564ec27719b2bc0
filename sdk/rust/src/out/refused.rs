//! Rows of refused records, taken back.
//!
//! The rule: a record that is refused gives no rows, whenever they were emitted. A column that has another length than its output has rows is left as
//! it is, for the host to name. Left to others: state and timers, which belong to a key and stay.

use crate::bindings::types::{BytesColumn, Column, Emitted, RecordError, Values};

/// Takes back the rows of refused records; an output that has none left is gone.
pub(crate) fn take_back(emitted: &mut Vec<Emitted>, errors: &[RecordError]) {
    let last = errors.iter().map(|error| error.index).max().unwrap_or(0);
    let mut refused = vec![false; last as usize + 1];
    errors.iter().for_each(|error| refused[error.index as usize] = true);
    for rows in emitted.iter_mut() {
        let kept: Vec<bool> =
            rows.source.iter().map(|source| !refused.get(*source as usize).unwrap_or(&false)).collect();
        if kept.contains(&false) {
            keep_rows(rows, &kept);
        }
    }
    emitted.retain(|rows| !rows.source.is_empty());
}

fn keep_rows(rows: &mut Emitted, kept: &[bool]) {
    keep(&mut rows.source, kept);
    keep(&mut rows.event_us, kept);
    keep(&mut rows.operation, kept);
    keep_cells(&mut rows.partition_key, kept);
    keep_cells(&mut rows.payload, kept);
    for Column { values, null } in &mut rows.fields {
        keep(null, kept);
        match values {
            Values::Boolean(cells) => keep(cells, kept),
            Values::Int32(cells) | Values::Date(cells) => keep(cells, kept),
            Values::Int64(cells) | Values::Timestamp(cells) => keep(cells, kept),
            Values::Float64(cells) => keep(cells, kept),
            Values::Text(cells) | Values::Binary(cells) | Values::Json(cells) => keep_cells(cells, kept),
            Values::Decimal(decimals) => keep_cells(&mut decimals.unscaled, kept),
        }
    }
}

fn keep<T>(cells: &mut Vec<T>, kept: &[bool]) {
    if cells.len() == kept.len() {
        let mut kept = kept.iter();
        cells.retain(|_| *kept.next().unwrap_or(&true));
    }
}

fn keep_cells(cells: &mut BytesColumn, kept: &[bool]) {
    if cells.offsets.len() != kept.len() + 1 {
        return;
    }
    let (mut data, mut offsets) = (Vec::with_capacity(cells.data.len()), vec![0]);
    for (bounds, _) in cells.offsets.windows(2).zip(kept).filter(|(_, kept)| **kept) {
        data.extend_from_slice(cells.data.get(bounds[0] as usize..bounds[1] as usize).unwrap_or_default());
        offsets.push(data.len() as u32);
    }
    *cells = BytesColumn { data, offsets };
}
