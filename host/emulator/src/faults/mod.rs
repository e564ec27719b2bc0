//! Faults on request: which calls go wrong, drawn from a seed.
//!
//! The rules: a rule draws only for calls that it names, each rule from a sequence of its own, so that a run is repeated by its
//! rules alone; what was drawn is counted, because a test whose faults never fired shows nothing. There is no wire here: the
//! simulator draws too. Doing what was drawn is for those who ask: `http.rs` (connections, delays), `api/` (errors and
//! answers), `store/` (events), `registry/http.rs` (all that happens to a registry).

mod operations;
mod rule;

#[cfg(test)]
mod tests;

pub use operations::{Service, Throttle};
pub use rule::{BadRule, Fault, Rule, Trimmed, When};

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// A call, as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub service: Service,
    pub operation: &'a str,
    /// The stream, delivery stream or table.
    pub stream: Option<&'a str>,
    pub shard: Option<&'a str>,
    /// It names a position by a sequence number.
    pub at_sequence: bool,
    /// It is a write under a condition.
    pub conditional: bool,
}

/// When a fault acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Call,
    /// A call that was done.
    Done,
    /// An event of a subscription.
    Event,
}

/// A fault that is to happen, with random bits for what it leaves open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fired {
    pub fault: Fault,
    pub bits: u64,
}

#[derive(Debug)]
struct Active {
    rule: Rule,
    random: u64,
    /// Calls or events that it named.
    seen: u64,
    fired: u64,
}

#[derive(Debug, Default)]
pub struct Faults {
    active: Mutex<Vec<Active>>,
}

impl Faults {
    pub fn new(rules: Vec<Rule>) -> Self {
        let faults = Self::default();
        faults.replace(rules);
        faults
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Active>> {
        // Counters are changed in single steps, so a panic elsewhere leaves them whole.
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These rules and no others, with counters at zero.
    pub fn replace(&self, rules: Vec<Rule>) {
        let begin = |rule: Rule| Active { random: rule.seed, rule, seen: 0, fired: 0 };
        *self.lock() = rules.into_iter().map(begin).collect();
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Everything that happens to this call, in the order of the rules.
    pub fn draw(&self, stage: Stage, call: &Call<'_>) -> Vec<Fired> {
        self.lock().iter_mut().filter_map(|active| active.draw(stage, call)).collect()
    }

    /// How often each rule fired, in their order.
    pub fn fired(&self) -> Vec<u64> {
        self.lock().iter().map(|active| active.fired).collect()
    }

    /// The rules with their counters.
    pub fn to_json(&self) -> Value {
        let shown = |active: &Active| {
            let mut rule = active.rule.to_json();
            rule["seen"] = active.seen.into();
            rule["fired"] = active.fired.into();
            rule
        };
        self.lock().iter().map(shown).collect()
    }

    /// Replaces the rules by a JSON list of them.
    pub fn replace_json(&self, body: &[u8]) -> Result<(), BadRule> {
        let list: Value = serde_json::from_slice(body).map_err(|e| BadRule(format!("not JSON: {e}")))?;
        let example = || json!([{ "operation": "SubscribeToShard", "fault": "reset", "probability": 0.1 }]);
        let list = list.as_array().ok_or_else(|| BadRule(format!("give a list of rules, as in {}", example())))?;
        let rules = list.iter().enumerate().map(|(number, rule)| {
            Rule::from_json(rule).map_err(|BadRule(words)| BadRule(format!("rule {number}: {words}")))
        });
        self.replace(rules.collect::<Result<_, _>>()?);
        Ok(())
    }
}

impl Active {
    fn draw(&mut self, stage: Stage, call: &Call<'_>) -> Option<Fired> {
        if self.rule.fault.stage() != stage || !self.rule.names(call) {
            return None;
        }
        self.seen += 1;
        let fires = match self.rule.when {
            When::Always => true,
            When::Next(count) => self.fired < count,
            When::Probability(share) => self.unit() < share,
        };
        if !fires {
            return None;
        }
        self.fired += 1;
        Some(Fired { fault: self.rule.fault, bits: self.next() })
    }

    /// SplitMix64: a sequence from any seed.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to just below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
