//! What may go wrong, and how often in one run.
//!
//! The rule: a run has some kinds of faults and not others, each in a strength of its own: a run in which everything fails at once finds
//! little, because nothing gets far.

use super::dice::Dice;

/// Every kind of fault, as the figures name it.
pub const KINDS: &[&str] = &[
    "crash",
    "crash_at_point",
    "power_loss",
    "disk_lost",
    "pause",
    "pause_at_point",
    "slow",
    "stuck",
    "outage",
    "fail_before",
    "fail_after",
    "throttle",
    "subscription_broken",
    "event_delayed",
    "partial_put",
    "clock_jump",
    "split",
    "merge",
    "stop",
    "new_schema",
    "unknown_schema",
    "incompatible_schema",
    "registry_404",
    "registry_500",
];

/// How often each kind happens, of a million chances; what a chance is depends on the kind.
#[derive(Clone, Debug)]
pub struct Faults {
    rates: Vec<(&'static str, u64)>,
}

impl Faults {
    /// Those of a run. About half of the kinds are off. `without` is dropped, for shrinking.
    pub fn roll(dice: &mut Dice, without: &[String]) -> Self {
        let mut rates = Vec::new();
        for kind in KINDS {
            let (is_on, strength) = (dice.below(100) < 55, 1 + dice.below(4));
            let often: u64 = match *kind {
                // of each poll of a process
                "crash" => 150,
                // of each kill point that is passed
                "crash_at_point" => 4_000,
                "pause_at_point" => 2_500,
                // of each crash
                "power_loss" | "disk_lost" => 200_000,
                // of each second
                "pause" => 25_000,
                "outage" => 15_000,
                "clock_jump" => 30_000,
                "split" | "merge" => 70_000,
                "stop" => 10_000,
                // of each call
                "slow" => 5_000,
                "stuck" => 700,
                "fail_before" | "fail_after" | "throttle" => 12_000,
                "partial_put" => 8_000,
                // of each batch that is put
                "new_schema" => 30_000,
                "unknown_schema" | "incompatible_schema" => 4_000,
                // of each question
                "registry_404" | "registry_500" => 60_000,
                // of each event
                "subscription_broken" => 15_000,
                _ => 30_000,
            };
            if is_on && !without.iter().any(|other| other == kind) {
                rates.push((*kind, often * strength));
            }
        }
        Self { rates }
    }

    /// How often, of a million.
    pub fn rate(&self, kind: &str) -> u64 {
        self.rates.iter().find(|(known, _)| *known == kind).map_or(0, |(_, rate)| *rate)
    }

    /// The kinds of this run.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.rates.iter().map(|(kind, _)| *kind).collect()
    }
}
