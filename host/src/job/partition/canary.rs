//! A partition of a canary: its epoch stays open until the verdict.
//!
//! The rules: nothing of what a canary does is handed over to be made durable before the record says that all of it have passed; when it is
//! taken back, or the partition is given away or stopped, the epoch is dropped as in a crash, and the last commit is what counts. A verdict is
//! given after the time that was asked for, or when the epoch can hold no more, or when nothing more comes. A partition that has seen nothing by
//! then says so, and looks on: the others do not wait for it.
//! Left to others: who decides (`swap`), what a step is seen to do (`flow::seen`).

use std::time::Duration;

use super::{Partition, Swaps, swapping::Change};
use crate::{
    checkpoint::manifest::Guards,
    error::{Error, Kind, Result},
    job::{flow::seen::Seen, live::CanaryNow, swap::canary::Breaks},
    planted,
};

/// A guard about shares or times is asked before the end only when so much was seen.
const LEAST: u64 = 100;

/// What a partition of a canary remembers of it.
pub struct Trying {
    step: String,
    guards: Guards,
    until: Duration,
    /// what was seen of the old plugin here
    before: Seen,
    /// its part of the verdict is written
    passed: bool,
    /// that it has seen nothing in its time is written
    quiet: bool,
    /// bytes of records that its epoch may hold: all partitions of the canary together hold no more than one may
    most: u64,
}

/// The epoch of a partition of a canary may hold this much at least.
const LEAST_BYTES: u64 = 8 << 20;

impl Partition {
    /// Begins to hold the epoch, if the record says that this partition is one of a canary.
    pub(super) fn begin_canary(&mut self, swaps: &Swaps<'_>) -> Result<()> {
        let Some(canary) = self.record.canary_of(&self.settings.name).cloned() else { return Ok(()) };
        let breaks = match &canary.guards.assertion {
            Some(assertion) => swaps.fit.breaks(&canary.step, assertion)?,
            None => Breaks::new(),
        };
        let until = self.clock.elapsed() + Duration::from_millis(canary.for_ms);
        let before = self.flow.guard(&canary.step, self.clock.clone(), breaks);
        tracing::info!(
            partition = self.settings.name,
            generation = self.record.generation,
            "step {} is tried here for {:?}: nothing of it is committed before all have passed",
            canary.step,
            Duration::from_millis(canary.for_ms)
        );
        let partitions = u64::try_from(canary.partitions.len()).unwrap_or(1).max(1);
        let most = (self.settings.bytes / partitions).max(LEAST_BYTES.min(self.settings.bytes));
        self.canary =
            Some(Trying { step: canary.step, guards: canary.guards, until, before, passed: false, quiet: false, most });
        Ok(())
    }

    /// Whether what comes has to wait for the verdict.
    pub(super) fn is_full(&self) -> bool {
        self.canary.is_some() && (self.counted.bytes >= self.most_bytes() || self.ended.is_some())
    }

    /// Bytes of records of one epoch.
    pub(super) fn most_bytes(&self) -> u64 {
        self.canary.as_ref().map_or(self.settings.bytes, |trying| trying.most)
    }

    /// Whether a row was seen that no verdict can let pass: that is said at once.
    pub(super) fn breaks_assertion(&self) -> bool {
        self.canary.as_ref().is_some_and(|trying| self.flow.breaks(&trying.step))
    }

    /// The epoch's time has passed: it ends, or is judged.
    pub(super) async fn end_or_judge(&mut self, swaps: &Swaps<'_>) -> Result<Change> {
        if self.canary.is_none() || planted::is("canary-commits") {
            // decided once: what is not worth an epoch now settles nothing, and must not become one a moment later
            if !self.record.may_commit() && !self.is_worth_an_epoch() {
                self.epoch_began = self.clock.elapsed();
                return Ok(Change::GoesOn);
            }
            return match self.settles(swaps).await? {
                true => self.end_epoch().await.map(|()| Change::GoesOn),
                false => Ok(Change::TakenBack),
            };
        }
        self.judge(swaps).await.map(|()| Change::GoesOn)
    }

    /// It has seen so much: whether that is enough, and good.
    async fn judge(&mut self, swaps: &Swaps<'_>) -> Result<()> {
        self.epoch_began = self.clock.elapsed();
        self.refuse_too_many_rejects()?;
        // what was durable before the canary does not wait for it
        if !self.epochs.unpublished().is_empty() && !self.epochs.is_pending() {
            self.publish().await?;
        }
        let nothing_comes = self.settings.until_caught_up && !self.settings.closed && self.intake.caught_up();
        let enough = self.is_full() || nothing_comes;
        let Some(trying) = &self.canary else { return Ok(()) };
        let seen = self.flow.seen(&trying.step);
        let left = trying.until.saturating_sub(self.epoch_began);
        let is_last = left.is_zero() || enough;
        let (passed, is_quiet) = (trying.passed, trying.quiet);
        self.live.update(&self.settings.name, |now| {
            now.canary = Some(CanaryNow {
                records: seen.records,
                rows: seen.rows,
                rejected: seen.rejected,
                p99_us: seen.times.p99_us(),
                left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
                passed,
            });
        });
        if let Some(words) =
            broken(&trying.guards, &trying.before, &seen, is_last).filter(|_| !planted::is("canary-unguarded"))
        {
            let words = format!("step {}: the canary has seen enough: {words}", trying.step);
            return Err(Error::new(Kind::Step, words));
        }
        match (is_last && !passed, seen.records > 0) {
            (true, true) => self.say(swaps, true).await,
            (true, false) if !enough && !is_quiet => self.say(swaps, false).await,
            (true, false) if enough => {
                let why = match nothing_comes || self.ended.is_some() {
                    true => "none comes any more",
                    false => "its epoch holds no more of what comes to other steps",
                };
                return Err(Error::new(
                    Kind::Step,
                    format!("step {}: the canary has seen no record, and {why}", trying.step),
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// Says that it has found nothing wrong, or has seen nothing. Whoever cannot be told now is told again.
    async fn say(&mut self, swaps: &Swaps<'_>, has_seen: bool) {
        let Some(deployer) = swaps.deployer else { return };
        match deployer.looked((&self.settings.name, self.record.generation), has_seen).await {
            Ok(()) => {
                let words =
                    if has_seen { "the canary has passed here" } else { "the canary has seen no record here yet" };
                tracing::info!(partition = self.settings.name, "{words}");
                if let Some(trying) = &mut self.canary {
                    *(if has_seen { &mut trying.passed } else { &mut trying.quiet }) = true;
                }
            }
            Err(failed) => tracing::warn!("what the canary has seen here cannot be written yet: {failed}"),
        }
    }

    /// The verdict is that it stays: the epoch may end, if what came since it was judged here is as good.
    pub(super) fn end_canary(&mut self) -> Result<()> {
        let Some(trying) = self.canary.take() else { return Ok(()) };
        let seen = self.flow.seen(&trying.step);
        self.flow.unguard();
        self.live.update(&self.settings.name, |now| now.canary = None);
        match broken(&trying.guards, &trying.before, &seen, true).filter(|_| !planted::is("canary-unguarded")) {
            Some(words) => {
                Err(Error::new(Kind::Step, format!("step {}: after the canary has passed: {words}", trying.step)))
            }
            None => Ok(()),
        }
    }
}

/// Which guard does not hold.
fn broken(guards: &Guards, before: &Seen, seen: &Seen, is_last: bool) -> Option<String> {
    if let (Some(assertion), Some(row)) = (&guards.assertion, &seen.first_broken) {
        return Some(format!("`{assertion}` is not true of {} of {} rows, first of {row}", seen.broken, seen.rows));
    }
    let enough = |count: u64| count > 0 && (is_last || count >= LEAST);
    if let Some(most) = guards.rejects_ppm.filter(|_| enough(seen.records)) {
        let share = u128::from(seen.rejected) * 1_000_000 / u128::from(seen.records);
        if share > u128::from(most) {
            let (rejected, records) = (seen.rejected, seen.records);
            return Some(format!(
                "{rejected} of {records} records were rejected, allowed are {}%",
                f64::from(most) / 1e4
            ));
        }
    }
    if let Some(most) = guards.p99_us.filter(|_| enough(seen.times.count())) {
        let p99 = seen.times.p99_us();
        if p99 > most {
            let (took, most) = (Duration::from_micros(p99), Duration::from_micros(most));
            return Some(format!("1 of 100 of its calls takes {took:?} or longer, allowed are {most:?}"));
        }
    }
    if guards.output_percent.is_some() && before.records == 0 && is_last && seen.records > 0 {
        let words = "nothing was seen here of what ran before, so that `output=` has nothing to compare with: try again when it has run for a \
                     while";
        return Some(words.to_owned());
    }
    if let Some((least, most)) = guards.output_percent.filter(|_| enough(seen.records) && before.records > 0) {
        let ratio = |seen: &Seen| seen.rows as f64 / seen.records as f64;
        let (now, was) = (ratio(seen), ratio(before));
        let (low, high) = (was * f64::from(least) / 100.0, was * f64::from(most) / 100.0);
        if now < low || now > high {
            return Some(format!(
                "it makes {now:.3} rows of a record, what ran before made {was:.3}, allowed are {least}% to {most}% of that"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn seen(records: u64, rows: u64, rejected: u64) -> Seen {
        Seen { records, rows, rejected, ..Seen::default() }
    }

    #[test]
    fn each_guard_says_what_it_has_seen() {
        let none = Guards::default();
        assert_eq!(broken(&none, &seen(9, 9, 0), &seen(9, 0, 9), true), None);
        let rejects = Guards { rejects_ppm: Some(10_000), ..Guards::default() };
        let words = broken(&rejects, &none_seen(), &seen(200, 190, 3), false).unwrap();
        assert_eq!(words, "3 of 200 records were rejected, allowed are 1%");
        assert_eq!(broken(&rejects, &none_seen(), &seen(200, 190, 2), true), None);
        assert_eq!(broken(&rejects, &none_seen(), &seen(20, 10, 10), false), None, "too little was seen");
        assert!(broken(&rejects, &none_seen(), &seen(20, 10, 10), true).is_some());

        let output = Guards { output_percent: Some((50, 200)), ..Guards::default() };
        let words = broken(&output, &seen(1000, 500, 0), &seen(100, 20, 0), false).unwrap();
        assert!(words.starts_with("it makes 0.200 rows of a record, what ran before made 0.500"), "{words}");
        assert_eq!(broken(&output, &none_seen(), &seen(100, 0, 0), false), None, "nothing to compare with");
        assert!(broken(&output, &none_seen(), &seen(100, 0, 0), true).unwrap().contains("nothing to compare with"));
        assert_eq!(broken(&output, &seen(1000, 500, 0), &seen(100, 100, 0), true), None);

        let mut slow = seen(10, 10, 0);
        slow.times.add(Duration::from_millis(30));
        let p99 = Guards { p99_us: Some(20_000), ..Guards::default() };
        assert!(broken(&p99, &none_seen(), &slow, true).unwrap().contains("allowed are 20ms"));
        assert_eq!(broken(&p99, &none_seen(), &slow, false), None);

        let row = Seen { broken: 1, first_broken: Some("cents \"-1\"".into()), ..seen(10, 10, 0) };
        let assert = Guards { assertion: Some("cents >= 0".into()), ..Guards::default() };
        let words = broken(&assert, &none_seen(), &row, false).unwrap();
        assert_eq!(words, "`cents >= 0` is not true of 1 of 10 rows, first of cents \"-1\"");
    }

    fn none_seen() -> Seen {
        Seen::default()
    }
}
