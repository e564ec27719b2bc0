//! From the exports of a component to a plugin: one instance of the plugin in a cell, and the macros that name it.
//!
//! The macros expand to nothing but wiring, and only for WebAssembly, so that a plugin's own tests run natively.

use crate::aggregate::RunsAggregate;
use crate::bindings::migrate_types::Migrated;
use crate::bindings::types::{BytesColumn, Context, Failure, Manifest};
use crate::config;
use crate::transform::Runs;
use crate::worlds::{enrich::RunsEnricher, keyed::RunsKeyed, stateful::RunsStateful};
use std::cell::RefCell;

/// Where the one instance of a plugin lives.
pub type Slot<P> = RefCell<Option<P>>;

macro_rules! lifecycle {
    ($($runs:ident $describe:ident $start:ident),*) => {
        $(pub fn $describe<P: $runs>(text: &str) -> Result<Manifest, String> {
            P::describe(&config::parse(text)?)
        }

        pub fn $start<P: $runs>(slot: &Slot<P>, context: &Context) -> Result<(), String> {
            let plugin = P::start(config::parse(&context.config)?, context)?;
            slot.replace(Some(plugin));
            Ok(())
        })*
    };
}

lifecycle!(
    Runs describe start,
    RunsAggregate describe_aggregate start_aggregate,
    RunsStateful describe_stateful start_stateful,
    RunsKeyed describe_keyed start_keyed,
    RunsEnricher describe_enricher start_enricher
);

/// What the macros expand to natively, so that a plugin is checked, and seen to be used, there too.
pub const fn is_transformer<P: Runs>() {}

pub const fn is_aggregator<P: RunsAggregate>() {}

pub const fn is_stateful<P: RunsStateful>() {}

pub const fn is_keyed<P: RunsKeyed>() {}

pub const fn is_enricher<P: RunsEnricher>() {}

/// Runs a call on the instance.
pub fn with<P, R>(slot: &Slot<P>, call: impl FnOnce(&mut P) -> Result<R, Failure>) -> Result<R, Failure> {
    match slot.borrow_mut().as_mut() {
        Some(plugin) => call(plugin),
        None => Err("the plugin was called before `init`".into()),
    }
}

/// Runs `migrate`, which has no retry.
pub fn migrate<P>(
    slot: &Slot<P>,
    values: &BytesColumn,
    one: impl Fn(&P, &[u8]) -> Result<Option<Vec<u8>>, String>,
) -> Result<Migrated, String> {
    match slot.borrow().as_ref() {
        Some(plugin) => crate::worlds::stateful::migrate(values, |value| one(plugin, value)),
        None => Err("the plugin was called before `init`".to_owned()),
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

/// Makes a `StatefulTransformer` the plugin of this crate.
#[macro_export]
macro_rules! stateful_transformer {
    ($plugin:ty) => {
        $crate::export_stateful!($crate::worlds::stateful::TypedStateful<$plugin>);
    };
}

/// Makes a `KeyedTransformer` the plugin of this crate.
#[macro_export]
macro_rules! keyed_transformer {
    ($plugin:ty) => {
        $crate::export_keyed!($crate::worlds::keyed::TypedKeyed<$plugin>);
    };
}

/// Makes an `Enricher` the plugin of this crate.
#[macro_export]
macro_rules! enricher {
    ($plugin:ty) => {
        $crate::export_enricher!($crate::worlds::enrich::TypedEnricher<$plugin>);
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
            use $crate::bindings::migrate_types::Migrated;
            use $crate::bindings::types::{BytesColumn, Context, Failure, KeySet, Manifest, Processed};
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
            impl $crate::bindings::migrate::exports::pelton::plugin::migrate_state::Guest for Exports {
                fn migrate(
                    _: u32,
                    from: u32,
                    _: KeySet,
                    _: Vec<u32>,
                    _: BytesColumn,
                    values: BytesColumn,
                ) -> Result<Migrated, String> {
                    $crate::aggregate::migrate::<$runs>(from, &values)
                }
            }
    $crate::bindings::base::export_base!(Exports with_types_in $crate::bindings::base);
    $crate::bindings::aggregate::export_aggregate!(Exports with_types_in $crate::bindings::aggregate);
    $crate::bindings::migrate::export_migrate!(Exports with_types_in $crate::bindings::migrate);
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_stateful {
    ($runs:ty) => {
        #[cfg(not(target_family = "wasm"))]
        const _: () = $crate::export::is_stateful::<$runs>();
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::migrate_types::Migrated;
            use $crate::bindings::types::{
                Batch, BytesColumn, Context, DueTimers, Failure, KeySet, Manifest, Processed,
            };
            use $crate::worlds::stateful::RunsStateful;
            ::std::thread_local! {
                static PLUGIN: $crate::export::Slot<$runs> = const { ::std::cell::RefCell::new(None) };
            }
            struct Exports;
            impl $crate::bindings::base::exports::pelton::plugin::lifecycle::Guest for Exports {
                fn describe(config: String) -> Result<Manifest, String> {
                    $crate::export::describe_stateful::<$runs>(&config)
                }
                fn init(context: Context) -> Result<(), String> {
                    PLUGIN.with(|slot| $crate::export::start_stateful::<$runs>(slot, &context))
                }
            }
            impl $crate::bindings::transform::exports::pelton::plugin::transform::Guest for Exports {
                fn process(batch: Batch) -> Result<Processed, Failure> {
                    PLUGIN.with(|slot| $crate::export::with(slot, |plugin| RunsStateful::run(plugin, &batch)))
                }
            }
            impl $crate::bindings::timers::exports::pelton::plugin::on_timers::Guest for Exports {
                fn fire(due: DueTimers) -> Result<Processed, Failure> {
                    PLUGIN.with(|slot| $crate::export::with(slot, |plugin| RunsStateful::fire(plugin, &due)))
                }
            }
            impl $crate::bindings::migrate::exports::pelton::plugin::migrate_state::Guest for Exports {
                fn migrate(
                    table: u32,
                    from: u32,
                    _: KeySet,
                    _: Vec<u32>,
                    _: BytesColumn,
                    values: BytesColumn,
                ) -> Result<Migrated, String> {
                    PLUGIN.with(|slot| {
                        $crate::export::migrate(slot, &values, |plugin, value| {
                            RunsStateful::migrate(plugin, table, from, value)
                        })
                    })
                }
            }
    $crate::bindings::base::export_base!(Exports with_types_in $crate::bindings::base);
    $crate::bindings::transform::export_transform!(Exports with_types_in $crate::bindings::transform);
    $crate::bindings::timers::export_timers!(Exports with_types_in $crate::bindings::timers);
    $crate::bindings::migrate::export_migrate!(Exports with_types_in $crate::bindings::migrate);
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_keyed {
    ($runs:ty) => {
        #[cfg(not(target_family = "wasm"))]
        const _: () = $crate::export::is_keyed::<$runs>();
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::keyed::exports::pelton::plugin::keyed::KeyedOutput;
            use $crate::bindings::migrate_types::Migrated;
            use $crate::bindings::types::{Batch, BytesColumn, Context, DueTimers, Failure, KeySet, Manifest};
            use $crate::worlds::keyed::RunsKeyed;
            ::std::thread_local! {
                static PLUGIN: $crate::export::Slot<$runs> = const { ::std::cell::RefCell::new(None) };
            }
            struct Exports;
            impl $crate::bindings::base::exports::pelton::plugin::lifecycle::Guest for Exports {
                fn describe(config: String) -> Result<Manifest, String> {
                    $crate::export::describe_keyed::<$runs>(&config)
                }
                fn init(context: Context) -> Result<(), String> {
                    PLUGIN.with(|slot| $crate::export::start_keyed::<$runs>(slot, &context))
                }
            }
            impl $crate::bindings::keyed::exports::pelton::plugin::keyed::Guest for Exports {
                fn process(batch: Batch, states: BytesColumn) -> Result<KeyedOutput, Failure> {
                    PLUGIN.with(|slot| $crate::export::with(slot, |plugin| RunsKeyed::run(plugin, &batch, &states)))
                }
                fn fire(due: DueTimers, states: BytesColumn) -> Result<KeyedOutput, Failure> {
                    PLUGIN.with(|slot| $crate::export::with(slot, |plugin| RunsKeyed::fire(plugin, &due, &states)))
                }
            }
            impl $crate::bindings::migrate::exports::pelton::plugin::migrate_state::Guest for Exports {
                fn migrate(
                    _: u32,
                    from: u32,
                    _: KeySet,
                    _: Vec<u32>,
                    _: BytesColumn,
                    values: BytesColumn,
                ) -> Result<Migrated, String> {
                    PLUGIN.with(|slot| {
                        $crate::export::migrate(slot, &values, |plugin, value| RunsKeyed::migrate(plugin, from, value))
                    })
                }
            }
    $crate::bindings::base::export_base!(Exports with_types_in $crate::bindings::base);
    $crate::bindings::keyed::export_keyed!(Exports with_types_in $crate::bindings::keyed);
    $crate::bindings::migrate::export_migrate!(Exports with_types_in $crate::bindings::migrate);
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_enricher {
    ($runs:ty) => {
        #[cfg(not(target_family = "wasm"))]
        const _: () = $crate::export::is_enricher::<$runs>();
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::enrich_types::{Completed, Request, Response};
            use $crate::bindings::types::{Batch, Context, Failure, Manifest};
            use $crate::worlds::enrich::RunsEnricher;
            ::std::thread_local! {
                static PLUGIN: $crate::export::Slot<$runs> = const { ::std::cell::RefCell::new(None) };
            }
            struct Exports;
            impl $crate::bindings::base::exports::pelton::plugin::lifecycle::Guest for Exports {
                fn describe(config: String) -> Result<Manifest, String> {
                    $crate::export::describe_enricher::<$runs>(&config)
                }
                fn init(context: Context) -> Result<(), String> {
                    PLUGIN.with(|slot| $crate::export::start_enricher::<$runs>(slot, &context))
                }
            }
            impl $crate::bindings::enrich::exports::pelton::plugin::enrich::Guest for Exports {
                fn prepare(batch: Batch) -> Result<Vec<Request>, Failure> {
                    PLUGIN.with(|slot| $crate::export::with(slot, |plugin| RunsEnricher::prepare(plugin, &batch)))
                }
                fn complete(batch: Batch, responses: Vec<Response>) -> Result<Completed, Failure> {
                    PLUGIN.with(|slot| {
                        $crate::export::with(slot, |plugin| RunsEnricher::complete(plugin, &batch, &responses))
                    })
                }
            }
    $crate::bindings::base::export_base!(Exports with_types_in $crate::bindings::base);
    $crate::bindings::enrich::export_enrich!(Exports with_types_in $crate::bindings::enrich);
        };
    };
}
