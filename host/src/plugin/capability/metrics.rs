//! What a plugin counts.
//!
//! The rule: names are few and plain, so that a guest cannot fill the memory of whoever collects them; a call that fails counts nothing.
//! Left to others: where the figures are shown.

use std::collections::BTreeMap;

/// Names one instance may use.
const NAMES: usize = 100;

/// One figure since it was last taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// grows by this
    Counter(u64),
    /// is this now
    Gauge(f64),
    /// values seen: how many, their sum, the largest
    Histogram { count: u64, sum: f64, most: f64 },
}

/// Figures by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(BTreeMap<String, Metric>);

impl Metrics {
    /// Each name with its figure.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Metric)> {
        self.0.iter().map(|(name, metric)| (name.as_str(), metric))
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in crate::plugin) fn record(&mut self, name: &str, metric: Metric) {
        if let Some(known) = self.0.get_mut(name) {
            known.join(metric);
        } else if self.0.len() < NAMES && plain(name) {
            self.0.insert(name.to_owned(), metric);
        }
    }

    pub(in crate::plugin) fn values(&mut self, name: &str, values: &[f64]) {
        let real = values.iter().copied().filter(|value| value.is_finite());
        let (count, sum, most) =
            real.fold((0, 0.0, f64::MIN), |(count, sum, most), value| (count + 1, sum + value, value.max(most)));
        if count > 0 {
            self.record(name, Metric::Histogram { count, sum, most });
        }
    }

    pub(in crate::plugin) fn merge(&mut self, other: Self) {
        for (name, metric) in other.0 {
            self.record(&name, metric);
        }
    }
}

impl Metric {
    /// A name keeps the kind it was first used with.
    fn join(&mut self, other: Self) {
        match (self, other) {
            (Self::Counter(mine), Self::Counter(more)) => *mine = mine.saturating_add(more),
            (Self::Gauge(mine), Self::Gauge(now)) => *mine = now,
            (Self::Histogram { count, sum, most }, Self::Histogram { count: more, sum: further, most: other }) => {
                *count = count.saturating_add(more);
                *sum += further;
                *most = most.max(other);
            }
            _ => {}
        }
    }
}

fn plain(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_few_and_plain() {
        let mut metrics = Metrics::default();
        (0..1000).for_each(|n| metrics.record(&format!("n{n}"), Metric::Counter(1)));
        assert_eq!(metrics.iter().count(), NAMES);
        let mut metrics = Metrics::default();
        ["", "A", "a b", "é"].iter().for_each(|name| metrics.record(name, Metric::Counter(1)));
        assert!(metrics.is_empty());
    }

    #[test]
    fn figures_add_up_and_keep_their_kind() {
        let mut metrics = Metrics::default();
        metrics.record("a", Metric::Counter(u64::MAX));
        metrics.record("a", Metric::Counter(2));
        metrics.record("a", Metric::Gauge(1.0));
        metrics.values("h", &[1.0, f64::NAN, 3.0]);
        metrics.values("empty", &[f64::NAN]);
        let mut all = Metrics::default();
        all.merge(metrics);
        let figures: Vec<_> = all.iter().collect();
        assert_eq!(
            figures,
            [("a", &Metric::Counter(u64::MAX)), ("h", &Metric::Histogram { count: 2, sum: 4.0, most: 3.0 })]
        );
    }
}
