//! Results as an author makes them: a struct a record, stored as columns.
//!
//! `#[derive(Output)]` writes the implementation, for a struct (one output) or an enum of structs (one output a variant). A record that
//! is neither emitted nor rejected is dropped: that is how a filter is written. One that is rejected gives no rows, whenever they were emitted.

mod refused;

use crate::bindings::types::{self, Emitted, Failure, RecordError};
use crate::rows::Row;
use crate::value::BytesBuilder;

/// A struct whose fields are columns of an output, or an enum of such structs. Derive it.
pub trait Output: Sized {
    /// Every lifetime of one struct builds the same columns.
    type Columns: Default;
    /// The outputs; a struct takes `name`, an enum names its variants.
    fn declare(name: &str) -> Vec<types::Output>;
    fn reserve(columns: &mut Self::Columns, rows: usize);
    fn push(self, source: u32, columns: &mut Self::Columns);
    /// What was pushed, as output `output` and those after it.
    fn finish(columns: Self::Columns, output: u32, into: &mut Vec<Emitted>);
}

/// Nothing is ever emitted: for plugins that only look.
#[derive(Clone, Copy, Debug)]
pub enum Nothing {}

impl Output for Nothing {
    type Columns = ();
    fn declare(_: &str) -> Vec<types::Output> {
        Vec::new()
    }
    fn reserve(_: &mut (), _: usize) {}
    fn push(self, _: u32, _: &mut ()) {}
    fn finish(_: (), _: u32, _: &mut Vec<Emitted>) {}
}

/// Why one record cannot be processed; it goes where the step's `on_error` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// A short stable word to count by, such as `negative_amount`.
    pub code: String,
    pub message: String,
}

impl Reject {
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// Where the results of one call are collected.
pub struct Out<O: Output> {
    columns: O::Columns,
    errors: Vec<RecordError>,
}

impl<O: Output> Out<O> {
    pub(crate) fn with_capacity(rows: usize) -> Self {
        let mut columns = O::Columns::default();
        O::reserve(&mut columns, rows);
        Self { columns, errors: Vec::new() }
    }

    /// A result of `row`; there may be any number of them.
    #[inline]
    pub fn emit<F, V: Output<Columns = O::Columns>>(&mut self, row: &Row<F>, value: V) {
        self.emit_from(row.index(), value);
    }

    #[inline]
    pub(crate) fn emit_from<V: Output<Columns = O::Columns>>(&mut self, source: u32, value: V) {
        value.push(source, &mut self.columns);
    }

    /// `row` cannot be processed. What is emitted for it, before or after, does not count.
    pub fn reject<F>(&mut self, row: &Row<F>, code: impl Into<String>, message: impl Into<String>) {
        self.reject_at(row.index(), Reject::new(code, message));
    }

    pub(crate) fn reject_at(&mut self, index: u32, Reject { code, message }: Reject) {
        self.errors.push(RecordError { index, code, message });
    }

    pub(crate) fn finish(self) -> (Vec<Emitted>, Vec<RecordError>) {
        let mut emitted = Vec::new();
        O::finish(self.columns, 0, &mut emitted);
        (emitted, self.errors)
    }
}

/// What an output of this plugin sets itself is built here; used by derived code.
#[derive(Debug, Default)]
pub struct Identities {
    pub partition_key: BytesBuilder,
    pub payload: BytesBuilder,
    pub event_us: Vec<i64>,
}

/// The parts of one finished output; used by derived code.
pub fn emitted(
    output: u32,
    source: Vec<u32>,
    identities: Identities,
    sets: types::Identity,
    fields: Vec<types::Column>,
) -> Emitted {
    let strings = |builder: BytesBuilder, flag| {
        if sets.contains(flag) { builder.finish() } else { absent() }
    };
    Emitted {
        output,
        source,
        partition_key: strings(identities.partition_key, types::Identity::PARTITION_KEY),
        event_us: identities.event_us,
        operation: Vec::new(),
        payload: strings(identities.payload, types::Identity::PAYLOAD),
        fields,
    }
}

/// A column of byte strings that nobody asked for.
pub fn absent() -> types::BytesColumn {
    types::BytesColumn { data: Vec::new(), offsets: Vec::new() }
}

/// Results without timers, which only stateful plugins set.
pub fn processed(mut emitted: Vec<Emitted>, errors: Vec<RecordError>) -> types::Processed {
    if !errors.is_empty() {
        refused::take_back(&mut emitted, &errors);
    }
    let none =
        types::TimerOps { key: Vec::new(), tag: absent(), domain: Vec::new(), at_ms: Vec::new(), set: Vec::new() };
    types::Processed { emitted, errors, timers: none }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Fatal(message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self::Fatal(message.to_owned())
    }
}
