//! Partitions whose step has failed, where the job says that they are tried again: a breaker for each.
//!
//! The rule: a partition that fails is left alone for a while, twice as long each time, so that a bad plugin costs its neighbours next to
//! nothing; one that has run for longer than it waited counts as mended.
//! Left to others: what is tried (`worker`), from where (`checkpoint`).

use std::{collections::BTreeMap, time::Duration};

use super::shards::Id;
use crate::random;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// By partition. All times are of one clock.
#[derive(Debug, Default)]
pub struct Failing(BTreeMap<Id, Breaker>);

#[derive(Debug)]
struct Breaker {
    attempts: u32,
    waited: Duration,
    not_before: Duration,
}

impl Failing {
    /// It has failed: how long it is left alone.
    pub fn failed(&mut self, id: &Id, now: Duration) -> Duration {
        let attempts = match self.0.get(id) {
            Some(last) if now.saturating_sub(last.not_before) <= last.waited => last.attempts + 1,
            _ => 0,
        };
        let waited = random::back_off(attempts, FIRST, LONGEST);
        self.0.insert(id.clone(), Breaker { attempts, waited, not_before: now + waited });
        waited
    }

    /// Whether it may be tried.
    pub fn may_begin(&self, id: &Id, now: Duration) -> bool {
        self.0.get(id).is_none_or(|breaker| breaker.not_before <= now)
    }

    /// How long until the next one may be tried; none where nothing waits.
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        let waiting = self.0.values().map(|breaker| breaker.not_before).filter(|until| *until > now);
        waiting.min().map(|until| until - now)
    }

    /// Something else is deployed: all may be tried.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ShardId;

    #[test]
    fn each_failure_in_a_row_is_waited_for_longer_and_a_good_run_counts() {
        let (mut failing, id) = (Failing::default(), ("in".to_owned(), ShardId::new("0")));
        let mut now = Duration::from_secs(1);
        let mut last = Duration::ZERO;
        for attempt in 0..12 {
            assert!(failing.may_begin(&id, now));
            let wait = failing.failed(&id, now);
            assert!(!failing.may_begin(&id, now) && wait <= LONGEST, "{attempt}: {wait:?}");
            assert_eq!(failing.wait(now), Some(wait));
            last = last.max(wait);
            now += wait;
        }
        assert!(last > LONGEST / 4, "{last:?}");
        now += LONGEST * 2;
        assert!(failing.failed(&id, now) <= FIRST, "it has run for long");
        failing.forget();
        assert!(failing.may_begin(&id, now) && failing.wait(now).is_none());
    }
}
