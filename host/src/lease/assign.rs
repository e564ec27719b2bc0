//! Which leases a worker should take: the rules of the Kinesis Client Library 2.x, as a function of what was seen.
//!
//! The rules: expiry is judged by the observer's own clock, as "the counter has not changed for a lease's duration since I first saw
//! it", never by a time in a row. Everybody aims at an even share; what nobody holds is taken first; one lease at a time is asked from
//! the busiest.
//! Left to others: doing it (`keeper`).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Checkpoint, Lease};
use crate::planted;

/// What a worker has seen of the table.
#[derive(Debug, Default)]
pub struct Sight {
    /// by key: counter and owner, and since when they are those; a row that was removed and made again may have a counter of before
    counters: BTreeMap<String, (u64, Option<String>, Duration)>,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// take these: nobody runs them
    pub take: Vec<Lease>,
    /// ask for these: they run elsewhere
    pub ask: Vec<Lease>,
}

impl Sight {
    /// Remembers a scan of the table.
    pub fn see(&mut self, leases: &[Lease], now: Duration) {
        let keys: BTreeSet<&str> = leases.iter().map(|lease| lease.key.as_str()).collect();
        self.counters.retain(|key, _| keys.contains(key.as_str()));
        for lease in leases {
            let is = || (lease.counter, lease.owner.clone(), now);
            let seen = self.counters.entry(lease.key.clone()).or_insert_with(is);
            if seen.0 != lease.counter || seen.1 != lease.owner {
                *seen = is();
            }
        }
    }

    /// Whether the row was there when the table was last looked at.
    pub fn knows(&self, key: &str) -> bool {
        self.counters.contains_key(key)
    }

    /// For how long a lease was not renewed.
    pub fn silent(&self, lease: &Lease, now: Duration) -> Duration {
        self.counters.get(&lease.key).map_or(Duration::ZERO, |(.., since)| now.saturating_sub(*since))
    }

    /// Whether nobody runs it: it has no owner, or its owner has not renewed it for its duration.
    pub fn is_free(&self, lease: &Lease, now: Duration, duration: Duration) -> bool {
        let duration = if planted::is("lease-taken-early") { duration / 8 } else { duration };
        lease.runner().is_none() || self.silent(lease, now) > duration
    }

    /// What the worker `me` should do, which holds the leases `mine`. `dice` below a bound spreads equal choices.
    pub fn plan(
        &self,
        leases: &[Lease],
        me: &str,
        mine: &BTreeSet<String>,
        now: Duration,
        duration: Duration,
        mut dice: impl FnMut(usize) -> usize,
    ) -> Plan {
        let open: Vec<&Lease> = leases.iter().filter(|lease| lease.checkpoint != Checkpoint::ShardEnd).collect();
        let is_free = |lease: &Lease| !mine.contains(&lease.key) && self.is_free(lease, now, duration);
        let mut load: BTreeMap<&str, usize> = BTreeMap::from([(me, 0)]);
        for lease in open.iter().filter(|lease| !is_free(lease)) {
            // while it is handed over it counts for the next owner
            *load.entry(lease.owner.as_deref().unwrap_or(me)).or_default() += 1;
        }
        let target = open.len().div_ceil(load.len()).max(1);
        let have = load.get(me).copied().unwrap_or(0);
        let mut free: Vec<&Lease> = open.iter().copied().filter(|lease| is_free(lease)).collect();
        let mut plan = Plan::default();
        // what was left for very long is taken whatever the share: perhaps nobody else is there
        let is_old = |lease: &&Lease| self.silent(lease, now) > 3 * duration;
        let old = free.iter().filter(|lease| is_old(lease)).count();
        let wanted = if old > 0 { old } else { target.saturating_sub(have) };
        while !free.is_empty() && plan.take.len() < wanted {
            let chosen = free.swap_remove(dice(free.len()));
            plan.take.push(chosen.clone());
        }
        if !plan.take.is_empty() || have >= target {
            return plan;
        }
        let busiest = load.iter().filter(|(owner, _)| **owner != me).max_by_key(|(_, count)| **count);
        let Some((owner, count)) = busiest else { return plan };
        let needed = target - have;
        let spare = count.saturating_sub(target);
        if spare == 0 && !(needed > 1 && *count > have + 1) {
            return plan;
        }
        let theirs = |lease: &&&Lease| lease.owner.as_deref() == Some(*owner) && lease.handed_off_by.is_none();
        let theirs: Vec<&Lease> = open.iter().filter(theirs).copied().collect();
        if !theirs.is_empty() {
            plan.ask.push(theirs[dice(theirs.len())].clone());
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(10);

    fn rows(owners: &[Option<&str>]) -> Vec<Lease> {
        let row = |(number, owner): (usize, &Option<&str>)| {
            let mut lease = Lease::new(format!("shard-{number}"), Checkpoint::TrimHorizon);
            lease.owner = owner.map(str::to_owned);
            lease
        };
        owners.iter().enumerate().map(row).collect()
    }

    fn held(leases: &[Lease], me: &str) -> BTreeSet<String> {
        leases.iter().filter(|lease| lease.owner.as_deref() == Some(me)).map(|lease| lease.key.clone()).collect()
    }

    fn plan(leases: &[Lease], me: &str, silent: Duration) -> (usize, usize) {
        let mut sight = Sight::default();
        sight.see(leases, Duration::ZERO);
        let plan = sight.plan(leases, me, &held(leases, me), silent, DURATION, |bound| bound - 1);
        (plan.take.len(), plan.ask.len())
    }

    #[test]
    fn what_nobody_owns_is_taken_up_to_the_even_share() {
        assert_eq!(plan(&rows(&[None; 8]), "a", Duration::ZERO), (8, 0), "alone");
        assert_eq!(plan(&rows(&[None, None, None, Some("b")]), "a", Duration::ZERO), (2, 0));
        assert_eq!(plan(&rows(&[None, None, None, Some("b")]), "b", Duration::ZERO), (3, 0), "b sees nobody else");
    }

    #[test]
    fn an_owner_that_renews_keeps_and_a_silent_one_loses() {
        let leases = rows(&[Some("b"), Some("b")]);
        assert_eq!(plan(&leases, "a", DURATION), (0, 1));
        assert_eq!(plan(&leases, "a", DURATION + Duration::from_millis(1)), (2, 0));
        let mut sight = Sight::default();
        sight.see(&leases, Duration::ZERO);
        let mut renewed = leases.clone();
        renewed.iter_mut().for_each(|lease| lease.counter += 1);
        sight.see(&renewed, DURATION);
        assert!(!sight.is_free(&renewed[0], 2 * DURATION, DURATION));
    }

    #[test]
    fn one_is_asked_from_the_busiest_until_the_shares_are_even() {
        let b = Some("b");
        assert_eq!(plan(&rows(&[b, b, b, b]), "a", Duration::ZERO), (0, 1));
        assert_eq!(plan(&rows(&[b, b, b, Some("a")]), "a", Duration::ZERO), (0, 1));
        assert_eq!(plan(&rows(&[b, b, Some("a"), Some("a")]), "a", Duration::ZERO), (0, 0));
        assert_eq!(plan(&rows(&[b, b, Some("a")]), "a", Duration::ZERO), (0, 0), "2 and 1 is even");
        assert_eq!(plan(&rows(&[b]), "a", Duration::ZERO), (0, 0), "one lease stays where it is");
    }

    #[test]
    fn finished_shards_do_not_count() {
        let mut leases = rows(&[Some("b"), Some("b"), Some("b"), Some("a")]);
        leases[0].checkpoint = Checkpoint::ShardEnd;
        leases[1].checkpoint = Checkpoint::ShardEnd;
        assert_eq!(plan(&leases, "a", Duration::ZERO), (0, 0));
    }
}
