//! The only door to time. Everything that reads a clock or waits does it here, so that the simulator can own time.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Where time comes from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Microseconds since 1970 by the wall clock. May jump.
    fn wall_us(&self) -> i64;
    /// Time since an unspecified start. Never falls.
    fn elapsed(&self) -> Duration;
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock that counts from now.
    #[expect(clippy::disallowed_methods, reason = "this file is the door to time")]
    pub fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// The clock, shared.
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this file is the door to time")]
    fn wall_us(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        }
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "this file is the door to time")]
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// `None` when `future` takes longer than `limit`.
#[expect(clippy::disallowed_methods, reason = "this file is the door to time")]
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(limit, future).await.ok()
}
