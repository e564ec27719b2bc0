//! The one place that reads the system's clock; the core gets the time from its callers.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::store::Millis;

pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| d.as_millis() as Millis)
}
