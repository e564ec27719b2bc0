//! Who held which lease when, as somebody saw who looked at the table again and again.
//!
//! The rule: a holder is silent once its row was not written for a lease's duration, by the clock of whoever looks; what happened between two
//! looks and left no trace is not known. Nothing is changed here.
//! Left to others: how it is drawn (`cli::leases`).

use std::{collections::BTreeMap, time::Duration};

use super::{Checkpoint, Lease};

/// How a lease stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// nobody holds it
    Free,
    /// this worker renews it
    Held(String),
    /// this worker should renew it, and does not
    Silent(String),
    /// the first worker still holds it, the second one waits for it
    HandedOver(String, String),
    /// its shard was read to the end
    Ended,
}

/// A time during which a lease stood in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// how
    pub standing: Standing,
    /// since it was first looked at
    pub from: Duration,
    /// until it stood in another way, or was last looked at
    pub to: Duration,
}

/// A lease that stands in another way than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// which
    pub key: String,
    /// how before; none where it was not seen before
    pub was: Option<Standing>,
    /// how now; none where its row is gone
    pub is: Option<Standing>,
}

/// Everything that was seen of one table.
#[derive(Clone, Debug)]
pub struct History {
    duration: Duration,
    /// by key: the counter, and since when it is that
    counters: BTreeMap<String, (u64, Duration)>,
    spans: BTreeMap<String, Vec<Span>>,
    gone: Vec<String>,
}

impl History {
    /// Nothing was seen yet. `duration`: how long a lease lasts without being renewed.
    pub fn new(duration: Duration) -> Self {
        Self { duration, counters: BTreeMap::new(), spans: BTreeMap::new(), gone: Vec::new() }
    }

    /// By lease, in the order of their names.
    pub fn spans(&self) -> &BTreeMap<String, Vec<Span>> {
        &self.spans
    }

    /// Remembers a look at the table.
    pub fn see(&mut self, rows: &[Lease], now: Duration) -> Vec<Turn> {
        let mut turns: Vec<Turn> = rows.iter().filter_map(|row| self.see_one(row, now)).collect();
        for (key, spans) in &self.spans {
            if rows.iter().all(|row| row.key != *key) && !self.gone.contains(key) {
                self.gone.push(key.clone());
                turns.push(Turn { key: key.clone(), was: spans.last().map(|span| span.standing.clone()), is: None });
            }
        }
        turns
    }

    fn see_one(&mut self, row: &Lease, now: Duration) -> Option<Turn> {
        self.gone.retain(|key| *key != row.key);
        let seen = self.counters.entry(row.key.clone()).or_insert((row.counter, now));
        if seen.0 != row.counter {
            *seen = (row.counter, now);
        }
        let silent = now.saturating_sub(seen.1) > self.duration;
        let is = standing(row, silent);
        let spans = self.spans.entry(row.key.clone()).or_default();
        let was = spans.last().map(|span| span.standing.clone());
        if let Some(last) = spans.last_mut() {
            last.to = now;
            if last.standing == is {
                return None;
            }
        }
        spans.push(Span { standing: is.clone(), from: now, to: now });
        Some(Turn { key: row.key.clone(), was, is: Some(is) })
    }
}

fn standing(row: &Lease, silent: bool) -> Standing {
    match (&row.owner, &row.handed_off_by) {
        _ if row.checkpoint == Checkpoint::ShardEnd => Standing::Ended,
        (Some(next), Some(by)) => Standing::HandedOver(by.clone(), next.clone()),
        (Some(owner), None) if silent => Standing::Silent(owner.clone()),
        (Some(owner), None) => Standing::Held(owner.clone()),
        (None, _) => Standing::Free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(counter: u64, owner: Option<&str>, by: Option<&str>) -> Lease {
        let (owner, handed_off_by) = (owner.map(str::to_owned), by.map(str::to_owned));
        Lease { counter, owner, handed_off_by, ..Lease::new("s", Checkpoint::TrimHorizon) }
    }

    #[test]
    fn spans_touch_and_a_holder_that_does_not_renew_is_silent() {
        let mut history = History::new(Duration::from_secs(3));
        let looks = [
            row(0, None, None),
            row(1, Some("a"), None),
            row(2, Some("a"), None),
            row(2, Some("a"), None),
            row(2, Some("a"), None),
            row(2, Some("a"), None),
            row(2, Some("a"), None),
            row(3, Some("b"), None),
            row(3, Some("c"), Some("b")),
            row(4, Some("c"), None),
        ];
        let mut turns = 0;
        for (second, look) in looks.into_iter().enumerate() {
            turns += history.see(&[look], Duration::from_secs(second as u64)).len();
        }
        let turn = history.see(&[], Duration::from_secs(11)).pop();
        let held = |name: &str| Standing::Held(name.to_owned());
        assert_eq!(turn, Some(Turn { key: "s".to_owned(), was: Some(held("c")), is: None }));
        assert!(history.see(&[], Duration::from_secs(12)).is_empty(), "said once");
        let spans: Vec<_> = history.spans()["s"]
            .iter()
            .map(|span| (span.standing.clone(), span.from.as_secs(), span.to.as_secs()))
            .collect();
        let expected = [
            (Standing::Free, 0, 1),
            (held("a"), 1, 6),
            (Standing::Silent("a".to_owned()), 6, 7),
            (held("b"), 7, 8),
            (Standing::HandedOver("b".to_owned(), "c".to_owned()), 8, 9),
            (held("c"), 9, 9),
        ];
        assert_eq!((spans.as_slice(), turns), (&expected[..], 6));
    }

    #[test]
    fn a_shard_that_was_read_to_its_end_has_ended_whoever_did_it() {
        let mut history = History::new(Duration::from_secs(3));
        let ended = Lease { checkpoint: Checkpoint::ShardEnd, ..row(9, Some("a"), None) };
        assert_eq!(history.see(&[ended], Duration::ZERO)[0].is, Some(Standing::Ended));
    }
}
