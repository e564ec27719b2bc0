//! Derives for `pelton-sdk`: they turn an author's struct into declared columns, readers and builders.
//!
//! Generated code names everything by its full path in `pelton_sdk`, so an author needs no other dependency; it holds no logic beyond
//! calling the traits of the SDK field by field.

mod accumulator;
mod attribute;
mod config;
mod fields;
mod inputs;
mod output;
mod stored;
mod tables;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Fields of a struct are wanted columns of the input.
///
/// `#[field(path = "a.b")]` reads a nested field, `#[field(event_time)]`, `arrival_time`, `partition_key`, `position` and `payload` read
/// what a record carries beside its fields. On an enum whose variants hold one such struct each, the variants are inputs;
/// `#[input(name = "...")]` on a variant names it.
#[proc_macro_derive(Fields, attributes(field, input))]
pub fn fields(input: TokenStream) -> TokenStream {
    answer(fields::derive(&parse_macro_input!(input as DeriveInput)))
}

/// Fields of a struct are columns of an output; the variants of an enum are outputs.
///
/// `#[field(path = "name")]` renames a column; `#[field(event_time)]` (microseconds), `partition_key` and `payload` (bytes) set what the
/// record carries beside its fields. `#[output(name = "late")]` on a variant names its output.
#[proc_macro_derive(Output, attributes(field, output))]
pub fn output(input: TokenStream) -> TokenStream {
    answer(output::derive(&parse_macro_input!(input as DeriveInput)))
}

/// Fields of a struct are an accumulator, in their order. `#[accumulator(version = 2)]` names the layout.
#[proc_macro_derive(Accumulator, attributes(accumulator))]
pub fn accumulator(input: TokenStream) -> TokenStream {
    answer(accumulator::derive(&parse_macro_input!(input as DeriveInput)))
}

/// A struct is a stored value: its fields in order. `#[stored(version = 2)]` names the layout.
#[proc_macro_derive(Stored, attributes(stored))]
pub fn stored(input: TokenStream) -> TokenStream {
    answer(stored::derive(&parse_macro_input!(input as DeriveInput)))
}

/// Fields of a struct, each a `Table` or a `Map`, are the tables of a plugin, in their order.
///
/// `#[table(name = "...")]` renames one, `prefetch` asks the host to read it ahead, `ttl_ms = N` lets values go that were not written for so
/// long.
#[proc_macro_derive(Tables, attributes(table))]
pub fn tables(input: TokenStream) -> TokenStream {
    answer(tables::derive(&parse_macro_input!(input as DeriveInput)))
}

/// A struct, or an enum without fields, is (part of) the step's `config:`. Unknown keys are errors. A field that is an `Option` or has
/// `#[serde(default)]` may be left out.
#[proc_macro_attribute]
pub fn config(_: TokenStream, input: TokenStream) -> TokenStream {
    answer(config::attribute(&parse_macro_input!(input as DeriveInput)))
}

fn answer(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(|error| error.to_compile_error()).into()
}
