//! Generated from `wit/`, nothing else.
//!
//! One world holds every interface that the host can call; a plugin exports some of them, and each is looked up by itself
//! (`GuestIndices`), so that all worlds share one set of types. Arguments are borrowed: lowering a column is one copy.

wasmtime::component::bindgen!({
    path: "../wit",
    inline: "
        package pelton:host;
        world everything {
            import pelton:plugin/log@0.1.0;
            import pelton:plugin/metrics@0.1.0;
            import pelton:plugin/state@0.1.0;
            export pelton:plugin/lifecycle@0.1.0;
            export pelton:plugin/on-timers@0.1.0;
            export pelton:plugin/transform@0.1.0;
            export pelton:plugin/aggregate@0.1.0;
            export pelton:plugin/keyed@0.1.0;
            export pelton:plugin/migrate-state@0.1.0;
            export pelton:plugin/enrich@0.1.0;
        }
    ",
    imports: { default: trappable },
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
    require_store_data_send: true,
});

pub use self::pelton::plugin::{log, metrics, state, types};
pub use exports::pelton::plugin::{aggregate, enrich, keyed, lifecycle, migrate_state, on_timers, transform};
