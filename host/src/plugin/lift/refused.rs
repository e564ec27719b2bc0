//! Rows of records that the guest refused as well.
//!
//! The rule: **a refused record gives no rows**, whichever SDK its plugin was made with: a dead letter that is redriven would bring them again.
//! Left to others: what is refused (`lift`).

use std::collections::HashSet;

use arrow::{array::BooleanArray, compute::filter_record_batch};

use super::{Emitted, Lifted, Processed};
use crate::record::Cells;

impl Processed {
    /// Without the rows of refused records.
    pub(in crate::plugin) fn without_refused(mut self) -> Lifted<Self> {
        let refused: HashSet<u32> = self.errors.iter().map(|error| error.row).collect();
        if !refused.is_empty() {
            let kept = |emitted: Emitted| match emitted.source.iter().any(|row| refused.contains(row)) {
                true => without(emitted, &refused),
                false => Ok(emitted),
            };
            self.outputs = self.outputs.into_iter().map(kept).collect::<Lifted<_>>()?;
        }
        Ok(self)
    }
}

fn without(emitted: Emitted, refused: &HashSet<u32>) -> Lifted<Emitted> {
    let Emitted { source, fields, event_us, partition_key, payload, operation } = emitted;
    let keep: Vec<bool> = source.iter().map(|row| !refused.contains(row)).collect();
    let cells = |cells: Cells| some(cells.iter(), &keep).collect::<Cells>();
    Ok(Emitted {
        fields: filter_record_batch(&fields, &BooleanArray::from(keep.clone())).map_err(|error| error.to_string())?,
        source: some(source.into_iter(), &keep).collect(),
        event_us: event_us.map(|times| some(times.into_iter(), &keep).collect()),
        partition_key: partition_key.map(cells),
        payload: payload.map(cells),
        operation: operation.map(|all| some(all.into_iter(), &keep).collect()),
    })
}

fn some<T>(cells: impl Iterator<Item = T>, keep: &[bool]) -> impl Iterator<Item = T> {
    cells.zip(keep).filter(|(_, keep)| **keep).map(|(cell, _)| cell)
}
