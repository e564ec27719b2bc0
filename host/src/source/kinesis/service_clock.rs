//! The service's clock, as its answers show it.
//!
//! The rule: every place in time that the service is asked for, or that is compared with its retention, is by its own clock: ours may be
//! ahead, and what arrived in between would be lost. Each answer says the time to the second, rounded down, and is a moment old,
//! so this clock is behind the service's by at most that, by less the more answers came: what it makes us ask for is a little too
//! much, never too little.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
};

use aws_sdk_kinesis::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextRef},
    error::BoxError,
    primitives::{DateTime, DateTimeFormat},
};

use crate::clock::Clock;

/// Our clock, and how far the service's is from it.
#[derive(Clone, Debug)]
pub struct ServiceClock {
    own: Arc<dyn Clock>,
    ahead_us: Arc<AtomicI64>,
    answered: Arc<AtomicBool>,
}

/// Answers differ by less than this: their second, and the time that they take.
const SET_US: i64 = 5_000_000;

impl ServiceClock {
    /// Before the first answer: our own.
    pub fn new(own: Arc<dyn Clock>) -> Self {
        Self { own, ahead_us: Arc::default(), answered: Arc::default() }
    }

    /// Microseconds since 1970.
    pub fn wall_us(&self) -> i64 {
        self.own.wall_us().saturating_add(self.ahead_us.load(Relaxed))
    }

    fn set(&self, date: &str) {
        if let Ok(time) = DateTime::from_str(date, DateTimeFormat::HttpDate) {
            let ahead_us = time.secs().saturating_mul(1_000_000).saturating_sub(self.own.wall_us());
            let before = self.ahead_us.load(Relaxed);
            let is_first = !self.answered.swap(true, Relaxed);
            // an answer can only be late; one that is much later than others means that our clock was set
            if is_first || ahead_us > before || ahead_us < before - SET_US {
                self.ahead_us.store(ahead_us, Relaxed);
            }
        }
    }
}

impl Intercept for ServiceClock {
    fn name(&self) -> &'static str {
        "ServiceClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            self.set(date);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;

    #[derive(Debug)]
    struct At(i64);

    impl Clock for At {
        fn wall_us(&self) -> i64 {
            self.0
        }

        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[test]
    fn a_clock_of_ours_that_is_ahead_does_not_count() {
        let clock = ServiceClock::new(Arc::new(At(1_700_000_030_500_000)));
        assert_eq!(clock.wall_us(), 1_700_000_030_500_000);
        clock.set("no date");
        assert_eq!(clock.wall_us(), 1_700_000_030_500_000);
        clock.set("Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(clock.wall_us(), 1_700_000_000_000_000);
        clock.set("Tue, 14 Nov 2023 22:13:18 GMT");
        assert_eq!(clock.wall_us(), 1_700_000_000_000_000, "an answer that took long");
        clock.set("Tue, 14 Nov 2023 22:13:21 GMT");
        assert_eq!(clock.wall_us(), 1_700_000_001_000_000);
        clock.set("Tue, 14 Nov 2023 22:12:00 GMT");
        assert_eq!(clock.wall_us(), 1_699_999_920_000_000, "our clock was set ahead");
    }
}
