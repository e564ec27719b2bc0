//! Records become groups in event time.
//!
//! The rule: **a record is late only against its own shard's watermark just before it**, carried as a column of the batch. So the final
//! content of every window is fixed by the log, whatever threads and crashes did. The partition's watermark only fires and
//! purges.
//! Left to others: the fields themselves (`decode`), what is durable (`checkpoint`).

pub mod aggregate;
pub mod assign;
pub mod built_in;
pub mod component;
pub mod event_time;
pub mod exact;
pub mod slots;

#[cfg(test)]
mod tests;
