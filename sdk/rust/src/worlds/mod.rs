//! The worlds with state or requests: what an author writes for each, and how it is called.
//!
//! The rule: a call is opened, the author's method runs once over all of it, and what it made is closed; nothing is kept in between.
//! Left to others: transformers (`transform`) and aggregators (`aggregate`), the wiring of exports (`export`).

pub mod enrich;
pub mod keyed;
pub mod stateful;
