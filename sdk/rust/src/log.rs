//! Log lines of a plugin: they go to the host's log with job and step, rate-limited there.
//!
//! In a native test they are printed to stderr.

pub use crate::bindings::log::Level;

/// Whether a line of this level would be written; ask before building an expensive one.
pub fn enabled(level: Level) -> bool {
    #[cfg(target_family = "wasm")]
    return level as u8 >= crate::bindings::log::enabled() as u8;
    #[cfg(not(target_family = "wasm"))]
    return level as u8 >= Level::Info as u8;
}

/// Writes a line; `fields` are the members of a JSON object, or empty.
pub fn write(level: Level, message: &str, fields_json: &str) {
    #[cfg(target_family = "wasm")]
    crate::bindings::log::write(level, message, fields_json);
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?}: {message} {fields_json}");
}

pub fn trace(message: &str) {
    write(Level::Trace, message, "");
}

pub fn debug(message: &str) {
    write(Level::Debug, message, "");
}

pub fn info(message: &str) {
    write(Level::Info, message, "");
}

pub fn warn(message: &str) {
    write(Level::Warn, message, "");
}

pub fn error(message: &str) {
    write(Level::Error, message, "");
}
