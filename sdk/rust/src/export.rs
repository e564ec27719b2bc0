//! From the exports of a component to a plugin: one instance of the plugin in a cell, and the macros that name it.
//!
//! The macros expand to nothing but wiring, and only for WebAssembly, so that a plugin's own tests run natively.

use crate::aggregate::RunsAggregate;
use crate::bindings::types::{Context, Failure, Manifest};
use crate::config;
use crate::transform::Runs;
use std::cell::RefCell;

/// Where the one instance of a plugin lives.
pub type Slot<P> = RefCell<Option<P>>;

pub fn describe<P: Runs>(text: &str) -> Result<Manifest, String> {
    P::describe(&config::parse(text)?)
}

pub fn start<P: Runs>(slot: &Slot<P>, context: &Context) -> Result<(), String> {
    let plugin = P::start(config::parse(&context.config)?, context)?;
    slot.replace(Some(plugin));
    Ok(())
}

pub fn describe_aggregate<P: RunsAggregate>(text: &str) -> Result<Manifest, String> {
    P::describe(&config::parse(text)?)
}

pub fn start_aggregate<P: RunsAggregate>(slot: &Slot<P>, context: &Context) -> Result<(), String> {
    let plugin = P::start(config::parse(&context.config)?, context)?;
    slot.replace(Some(plugin));
    Ok(())
}

/// What the macros expand to natively, so that a plugin is checked, and seen to be used, there too.
pub const fn is_transformer<P: Runs>() {}

pub const fn is_aggregator<P: RunsAggregate>() {}

/// Runs a call on the instance.
pub fn with<P, R>(slot: &Slot<P>, call: impl FnOnce(&mut P) -> Result<R, Failure>) -> Result<R, Failure> {
    match slot.borrow_mut().as_mut() {
        Some(plugin) => call(plugin),
        None => Err("the plugin was called before `init`".into()),
    }
}

/// Makes a `Transformer` the plugin of this crate.
#[macro_export]
macro_rules! transformer {
    ($plugin:ty) => {
        $crate::export_transformer!($crate::transform::Typed<$plugin>);
    };
}

/// Makes a `ColumnTransformer` the plugin of this crate.
#[macro_export]
macro_rules! column_transformer {
    ($plugin:ty) => {
        $crate::export_transformer!($crate::transform::Columnar<$plugin>);
    };
}

/// Makes an `Aggregator` the plugin of this crate.
#[macro_export]
macro_rules! aggregator {
    ($plugin:ty) => {
        $crate::export_aggregator!($crate::aggregate::TypedAggregator<$plugin>);
    };
}

/// Makes a `ColumnAggregator` the plugin of this crate.
#[macro_export]
macro_rules! column_aggregator {
    ($plugin:ty) => {
        $crate::export_aggregator!($crate::aggregate::ColumnarAggregator<$plugin>);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_transformer {
    ($runs:ty) => {
        #[cfg(not(target_family = "wasm"))]
        const _: () = $crate::export::is_transformer::<$runs>();
        #[cfg(target_family = "wasm")]
        const _: () = {
            ::std::thread_local! {
                static PLUGIN: $crate::export::Slot<$runs> = const { ::std::cell::RefCell::new(None) };
            }
            struct Exports;
            impl $crate::bindings::base::exports::pelton::plugin::lifecycle::Guest for Exports {
                fn describe(config: String) -> Result<$crate::bindings::types::Manifest, String> {
                    $crate::export::describe::<$runs>(&config)
                }
                fn init(context: $crate::bindings::types::Context) -> Result<(), String> {
                    PLUGIN.with(|slot| $crate::export::start::<$runs>(slot, &context))
                }
            }
            impl $crate::bindings::transform::exports::pelton::plugin::transform::Guest for Exports {
                fn process(
                    batch: $crate::bindings::types::Batch,
                ) -> Result<$crate::bindings::types::Processed, $crate::bindings::types::Failure> {
                    PLUGIN
                        .with(|slot| $crate::export::with(slot, |plugin| $crate::transform::Runs::run(plugin, &batch)))
                }
            }
    $crate::bindings::base::export_base!(Exports with_types_in $crate::bindings::base);
    $crate::bindings::transform::export_transform!(Exports with_types_in $crate::bindings::transform);
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_aggregator {
    ($runs:ty) => {
        #[cfg(not(target_family = "wasm"))]
        const _: () = $crate::export::is_aggregator::<$runs>();
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::aggregate_types::{Closing, FoldInput, Folded};
            use $crate::bindings::types::{BytesColumn, Context, Failure, Manifest, OptionalBytes, Processed};
            ::std::thread_local! {
                static PLUGIN: $crate::export::Slot<$runs> = const { ::std::cell::RefCell::new(None) };
            }
            struct Exports;
            impl $crate::bindings::base::exports::pelton::plugin::lifecycle::Guest for Exports {
                fn describe(config: String) -> Result<Manifest, String> {
                    $crate::export::describe_aggregate::<$runs>(&config)
                }
                fn init(context: Context) -> Result<(), String> {
                    PLUGIN.with(|slot| $crate::export::start_aggregate::<$runs>(slot, &context))
                }
            }
            impl $crate::bindings::aggregate::exports::pelton::plugin::aggregate::Guest for Exports {
                fn fold(input: FoldInput) -> Result<Folded, Failure> {
                    PLUGIN.with(|slot| $crate::export::with(slot, |plugin| $crate::aggregate::fold(plugin, &input)))
                }
                fn combine(parts: BytesColumn, group_offsets: Vec<u32>) -> Result<BytesColumn, Failure> {
                    PLUGIN.with(|slot| {
                        $crate::export::with(slot, |plugin| $crate::aggregate::combine(plugin, &parts, &group_offsets))
                    })
                }
                fn finish(closing: Closing) -> Result<Processed, Failure> {
                    PLUGIN.with(|slot| $crate::export::with(slot, |plugin| $crate::aggregate::finish(plugin, &closing)))
                }
            }
            impl $crate::bindings::aggregate::exports::pelton::plugin::migrate_state::Guest for Exports {
                fn migrate(
                    _: u32,
                    from: u32,
                    _: BytesColumn,
                    _: BytesColumn,
                    values: BytesColumn,
                ) -> Result<OptionalBytes, String> {
                    $crate::aggregate::migrate::<$runs>(from, &values)
                }
            }
    $crate::bindings::base::export_base!(Exports with_types_in $crate::bindings::base);
    $crate::bindings::aggregate::export_aggregate!(Exports with_types_in $crate::bindings::aggregate);
        };
    };
}
