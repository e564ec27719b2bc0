//! Figures of a plugin, shown by the host beside its own with the step's labels. Each call crosses the boundary: once a batch, not
//! once a record.
//!
//! In a native test they go nowhere.

/// Adds to a counter.
pub fn counter_add(name: &str, delta: u64) {
    #[cfg(target_family = "wasm")]
    crate::bindings::metrics::counter_add(name, delta);
    #[cfg(not(target_family = "wasm"))]
    let _ = (name, delta);
}

/// Sets a gauge.
pub fn gauge_set(name: &str, value: f64) {
    #[cfg(target_family = "wasm")]
    crate::bindings::metrics::gauge_set(name, value);
    #[cfg(not(target_family = "wasm"))]
    let _ = (name, value);
}

/// Adds values to a histogram.
pub fn histogram_record(name: &str, values: &[f64]) {
    #[cfg(target_family = "wasm")]
    crate::bindings::metrics::histogram_record(name, values);
    #[cfg(not(target_family = "wasm"))]
    let _ = (name, values);
}
