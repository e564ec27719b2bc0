//! What a plugin keeps by key: how values and keys become bytes and back, tables, timers.
//!
//! The rule: bytes are the plugin's, keys are the host's. A plugin names a key by its place in the call, so it reaches only those that the
//! call is about; what it writes counts when the call returns.
//! Left to others: when a plugin is called (`worlds`), where values are kept (the host, or `testing`).

pub mod host;
pub mod key;
pub mod stored;
pub mod sub_key;
pub mod table;
pub mod timers;
