//! Canaries: some partitions run what is new, and commit nothing of it until all of them have found nothing wrong.
//!
//! The rules:
//! 1. A canary is a record like any other: which partitions, how long, what must hold, and which have passed. So a worker that begins later,
//!    or another worker of a fleet, goes on with it.
//! 2. A partition of a canary keeps its epoch open until the verdict. What it did is committed when all have passed, or never.
//! 3. The others stay at the generation that they were of.
//!
//! Left to others: what is measured and when it is judged (`job::partition::canary`), who writes records (`swap`).

use std::{collections::BTreeSet, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use super::store::digest;
pub use crate::checkpoint::manifest::{Canary, Guards};
use crate::{
    error::{Error, Kind, Result},
    job::{
        self,
        graph::{Graph, Node},
    },
    transform::expression::{Expression, Filter},
};

/// How a canary is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// how many of the partitions
    pub percent: u32,
    /// how long each of them looks
    pub for_ms: u64,
    /// what must hold
    #[serde(default)]
    pub guards: Guards,
}

impl Wanted {
    /// The canary of a step, on some of these partitions: which ones rests on the plugin, so that it is not always the same.
    pub fn canary(&self, step: &str, plugin: &str, base: u64, names: Vec<String>, trial: Duration) -> Result<Canary> {
        let Self { percent, for_ms, guards } = self;
        let refused = |words: String| Err(Error::new(Kind::Config, words));
        if !(1..=100).contains(percent) {
            return refused(format!("a canary of {percent}% is none: give 1% to 100%"));
        }
        if *for_ms == 0 {
            return refused("a canary that looks for no time sees nothing: give --for 5m or the like".to_owned());
        }
        let (all, share) = (names.len(), usize::try_from(*percent).unwrap_or(100));
        let count = all * share / 100;
        if count == 0 {
            let least = if all == 0 { 100 } else { 100usize.div_ceil(all) };
            return refused(format!(
                "{percent}% of {all} partitions is less than one: a canary needs at least {least}% here"
            ));
        }
        let mut names: Vec<(String, String)> =
            names.into_iter().map(|name| (digest(format!("{plugin} {name}").as_bytes()), name)).collect();
        names.sort();
        Ok(Canary {
            step: step.to_owned(),
            partitions: names.into_iter().take(count).map(|(_, name)| name).collect(),
            passed: BTreeSet::new(),
            quiet: BTreeSet::new(),
            base,
            for_ms: *for_ms,
            trial_ms: u64::try_from(trial.as_millis()).unwrap_or(u64::MAX),
            guards: guards.clone(),
        })
    }
}

/// One guard as a person writes it: `rejects=1%`, `p99=20ms`, `output=50%..200%`, `assert=cents >= 0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// at most this share of the records is rejected, in millionths
    Rejects(u32),
    /// 99 of 100 calls take no longer, microseconds
    P99(u64),
    /// rows a record, in percent of what it was before
    Output(u32, u32),
    /// true of every row that it makes
    Assert(String),
}

impl FromStr for Guard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let percent = |text: &str| -> std::result::Result<f64, String> {
            let number = text.trim().strip_suffix('%').and_then(|text| text.trim().parse::<f64>().ok());
            let sound = number.filter(|number| number.is_finite() && (0.0..=1e6).contains(number));
            sound.ok_or_else(|| format!("`{text}` is no share: write 5%"))
        };
        match name.trim() {
            "rejects" => Ok(Self::Rejects((percent(value)? * 1e4).round().min(1e6) as u32)),
            "p99" => {
                let time = job::duration(value.trim()).map_err(|e| format!("`{value}`: {e}"))?;
                Ok(Self::P99(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
            }
            "output" => {
                let (least, most) = value.split_once("..").ok_or("write output=50%..200%")?;
                let (least, most) = (percent(least)?.round() as u32, percent(most)?.round() as u32);
                if least > most {
                    Err(format!("`{value}` ends before it begins"))
                } else {
                    Ok(Self::Output(least, most))
                }
            }
            "assert" if !value.trim().is_empty() => Ok(Self::Assert(value.trim().to_owned())),
            _ => Err("a guard is rejects=1%, p99=20ms, output=50%..200% or assert=CONDITION".to_owned()),
        }
    }
}

impl Extend<Guard> for Guards {
    fn extend<I: IntoIterator<Item = Guard>>(&mut self, guards: I) {
        for guard in guards {
            match guard {
                Guard::Rejects(most) => self.rejects_ppm = Some(most),
                Guard::P99(most) => self.p99_us = Some(most),
                Guard::Output(least, most) => self.output_percent = Some((least, most)),
                Guard::Assert(condition) => self.assertion = Some(condition),
            }
        }
    }
}

/// What a row breaks an assertion with, by number of the step's output; none for an output that lacks a field of it.
pub type Breaks = Vec<Option<Filter>>;

/// Finds the rows of a step that break an assertion: those of which it is not true.
pub fn breaks(graph: &Graph, step: &str, assertion: &str) -> Result<Breaks> {
    let node = graph.nodes.iter().find(|node| node.name == step);
    let outputs = node.map_or(&[][..], |node: &Node| node.outputs.as_slice());
    let refused = |words: String| Error::new(Kind::Config, format!("the guard assert={assertion}: {words}"));
    let mut wrong = "the step has no output".to_owned();
    let mut breaks = Breaks::new();
    for output in outputs {
        let inverted = format!("({assertion}) IS NOT TRUE");
        let plain = Expression::compile(assertion, &output.schema);
        let filter = plain.and_then(|_| Expression::compile(&inverted, &output.schema));
        breaks.push(match filter {
            Ok(compiled) => Filter::new(compiled),
            Err(problem) => {
                wrong = problem.message;
                None
            }
        });
    }
    if breaks.iter().all(Option::is_none) { Err(refused(wrong)) } else { Ok(breaks) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn wanted(percent: u32) -> Wanted {
        Wanted { percent, for_ms: 1000, guards: Guards::default() }
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("p{number}")).collect()
    }

    #[test]
    fn a_canary_has_its_share_of_partitions_and_never_none() {
        let of = |percent, count| wanted(percent).canary("s", "d", 1, names(count), Duration::ZERO);
        assert_eq!(of(10, 10).unwrap().partitions.len(), 1);
        assert_eq!(of(50, 5).unwrap().partitions.len(), 2);
        assert_eq!(of(100, 1).unwrap().partitions.len(), 1);
        assert!(of(10, 9).unwrap_err().to_string().contains("at least 12%"));
        assert!(of(0, 9).is_err() && of(101, 9).is_err() && of(100, 0).is_err());
        let other = wanted(10).canary("s", "e", 1, names(100), Duration::ZERO).unwrap();
        assert_ne!(of(10, 100).unwrap().partitions, other.partitions, "another plugin looks elsewhere");
    }

    #[test]
    fn guards_are_read_as_people_write_them() {
        assert_eq!("rejects=0.5%".parse(), Ok(Guard::Rejects(5000)));
        assert_eq!("p99=20ms".parse(), Ok(Guard::P99(20_000)));
        assert_eq!("output=50%..200%".parse(), Ok(Guard::Output(50, 200)));
        assert_eq!("assert=a >= 0".parse(), Ok(Guard::Assert("a >= 0".into())));
        for wrong in
            ["", "rejects", "rejects=5", "rejects=NaN%", "p99=quick", "output=2%", "output=9%..1%", "assert=", "x=1"]
        {
            assert!(wrong.parse::<Guard>().is_err(), "{wrong}");
        }
    }
}
