//! The share of a processor that a plugin may take over time.
//!
//! The rule: **a plugin that has had its share waits; no record is rejected for it.** What it has taken is paid back at the rate of its
//! share, so that over any longer time it has had no more.
//! Left to others: how long one call may take (`limits`), measuring it (`instance`).

use std::time::Duration;

/// So much of the share may be taken ahead: a call now and then is not slowed.
const BURST: Duration = Duration::from_millis(100);

/// Who took how much. All times are of one clock.
#[derive(Debug)]
pub(super) struct Share {
    percent: u32,
    /// when what was taken is paid back
    paid_at: Duration,
}

impl Share {
    pub(super) fn new(percent: u32) -> Self {
        Self { percent: percent.clamp(1, 100), paid_at: Duration::ZERO }
    }

    /// How long the next call has to wait.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        self.paid_at.saturating_sub(now.saturating_add(BURST))
    }

    /// A call took this much CPU time.
    pub(super) fn charge(&mut self, spent: Duration, now: Duration) {
        self.paid_at = self.paid_at.max(now).saturating_add(spent * 100 / self.percent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_time_no_more_than_the_share_is_taken() {
        let (mut share, call) = (Share::new(20), Duration::from_millis(50));
        let (mut now, mut taken) = (Duration::from_secs(5), Duration::ZERO);
        let began = now;
        while now - began < Duration::from_secs(60) {
            now += share.wait(now) + call;
            taken += call;
            share.charge(call, now);
        }
        let part = taken.as_secs_f64() / (now - began).as_secs_f64();
        assert!((0.19..0.21).contains(&part), "{part}");
    }

    #[test]
    fn a_short_call_after_a_pause_does_not_wait() {
        let mut share = Share::new(10);
        share.charge(Duration::from_millis(10), Duration::from_secs(1));
        assert_eq!(share.wait(Duration::from_secs(1)), Duration::ZERO);
        share.charge(Duration::from_millis(10), Duration::from_secs(1));
        assert_eq!(share.wait(Duration::from_secs(1)), Duration::from_millis(100));
    }
}
