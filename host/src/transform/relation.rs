//! `filter:` and `select:` as steps: SQL expressions over the batch. A row on which an expression fails is a reject of its own.

use super::{
    LocalPending, Outputs, RowReject, Step,
    expression::{Applied, Filter, Select},
};
use crate::{error::Result, record::Batch};

/// An expression step.
#[derive(Debug)]
pub enum Relation {
    /// keeps rows
    Filter(Filter),
    /// makes columns
    Select(Select),
}

impl Step for Relation {
    fn process<'a>(&'a mut self, input: Batch, out: &'a mut Outputs) -> LocalPending<'a, Result<()>> {
        let Applied { batch, rejects } = match self {
            Self::Filter(filter) => filter.apply(input.clone()),
            Self::Select(select) => select.apply(input.clone()),
        };
        out.batches.push((0, batch));
        if !rejects.is_empty() {
            let reject = |(row, message)| RowReject { row, code: "expression_failed".to_owned(), message };
            out.rejects.push((input, rejects.into_iter().map(reject).collect()));
        }
        Box::pin(async { Ok(()) })
    }
}
