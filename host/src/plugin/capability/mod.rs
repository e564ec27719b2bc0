//! What a plugin may do beyond computing: one file each, linked once, denied unless it is here.
//!
//! The rule: what is not in [`ALLOWED`] is refused by name when a plugin is loaded, never answered by a trap while it runs.
//! Left to others: the refusal itself (`package`).

use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker};

use super::{
    bindings,
    limits::{Growth, HANDLES, Limits, Meter},
};

pub mod log;
pub mod metrics;
pub mod names;
pub mod state;
pub(super) mod wasi;

/// Interfaces of our own that every plugin may import, by name without version.
pub(super) const ALLOWED: [&str; 3] = ["pelton:plugin/types", "pelton:plugin/log", "pelton:plugin/metrics"];

/// The one that plugins of some worlds may import beside them.
pub(super) const STATE: &str = "pelton:plugin/state";

/// What the host keeps for one instance while it runs.
pub(super) struct Guest {
    pub(super) growth: Growth,
    pub(super) meter: Arc<Meter>,
    pub(super) log: log::Log,
    pub(super) metrics: metrics::Metrics,
    pub(super) now_ms: i64,
    pub(super) state: state::Access,
    wasi: wasi::Wasi,
}

impl Guest {
    pub(super) fn new(limits: &Limits, log: log::Log) -> Self {
        Self {
            growth: Growth::new(limits.memory),
            meter: Arc::default(),
            log,
            metrics: metrics::Metrics::default(),
            now_ms: 0,
            state: state::Access::default(),
            wasi: wasi::Wasi::new(HANDLES),
        }
    }
}

/// A linker with everything that plugins are given.
pub(super) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    bindings::types::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    bindings::log::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    bindings::metrics::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    state::link(&mut linker)?;
    wasi::link(&mut linker)?;
    Ok(linker)
}

impl bindings::types::Host for Guest {}

impl bindings::log::Host for Guest {
    fn enabled(&mut self) -> wasmtime::Result<bindings::log::Level> {
        Ok(match self.log.enabled() {
            log::Level::Trace => bindings::log::Level::Trace,
            log::Level::Debug => bindings::log::Level::Debug,
            log::Level::Info => bindings::log::Level::Info,
            log::Level::Warn => bindings::log::Level::Warn,
            log::Level::Error => bindings::log::Level::Error,
        })
    }

    fn write(&mut self, level: bindings::log::Level, message: String, fields: String) -> wasmtime::Result<()> {
        let level = match level {
            bindings::log::Level::Trace => log::Level::Trace,
            bindings::log::Level::Debug => log::Level::Debug,
            bindings::log::Level::Info => log::Level::Info,
            bindings::log::Level::Warn => log::Level::Warn,
            bindings::log::Level::Error => log::Level::Error,
        };
        self.log.write(level, &message, &fields);
        Ok(())
    }
}

impl bindings::metrics::Host for Guest {
    fn counter_add(&mut self, name: String, delta: u64) -> wasmtime::Result<()> {
        self.metrics.record(&name, metrics::Metric::Counter(delta));
        Ok(())
    }

    fn gauge_set(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.metrics.record(&name, metrics::Metric::Gauge(value));
        Ok(())
    }

    fn histogram_record(&mut self, name: String, values: Vec<f64>) -> wasmtime::Result<()> {
        self.metrics.values(&name, &values);
        Ok(())
    }
}
