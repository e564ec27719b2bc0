//! What was seen of a step: counted always, once a batch; timed and held against an assertion where the step is guarded.
//!
//! The rule: nothing here changes what a step gives. Left to others: what is made of it (`partition::canary`).

use std::{sync::Arc, time::Duration};

use arrow::util::display::array_value_to_string;

use crate::{clock::Clock, job::swap::canary::Breaks, record::Batch, transform::Outputs};

/// What was seen of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// records that it was given
    pub records: u64,
    /// rows that it made
    pub rows: u64,
    /// records that it rejected
    pub rejected: u64,
    /// rows that break the assertion
    pub broken: u64,
    /// the first of them
    pub first_broken: Option<String>,
    /// how long its calls took
    pub times: Times,
}

/// How a step is guarded.
pub struct Guarded {
    /// its place
    pub place: usize,
    /// by which its calls are timed
    pub clock: Arc<dyn Clock>,
    /// what finds rows that break the assertion, by output
    pub breaks: Breaks,
}

impl Guarded {
    /// Looks at what the step has made.
    pub fn look(&self, out: &Outputs, seen: &mut Seen) {
        for (output, batch) in &out.batches {
            let Some(Some(breaks)) = self.breaks.get(*output) else { continue };
            let broken = breaks.apply(batch.clone());
            seen.broken += (broken.batch.len() + broken.rejects.len()) as u64;
            let shown = || match broken.rejects.first() {
                Some((_, words)) => Some(words.clone()),
                None => (!broken.batch.is_empty()).then(|| row(&broken.batch)),
            };
            seen.first_broken = seen.first_broken.take().or_else(shown);
        }
    }
}

/// The first row, for people.
fn row(batch: &Batch) -> String {
    let schema = batch.fields.schema();
    let cells = schema.fields().iter().zip(batch.fields.columns()).map(|(field, column)| {
        let text = array_value_to_string(column, 0).unwrap_or_else(|failed| failed.to_string());
        format!("{} {:?}", field.name(), text.chars().take(80).collect::<String>())
    });
    cells.collect::<Vec<_>>().join(", ")
}

/// Buckets for each doubling.
const FINE: u32 = 8;

/// Times by size: each is known to an eighth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    buckets: Vec<u64>,
    count: u64,
}

impl Times {
    /// One more.
    pub fn add(&mut self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket(us);
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The time that 99 of 100 do not exceed, to an eighth above, microseconds.
    pub fn p99_us(&self) -> u64 {
        let rank = self.count - self.count / 100;
        let mut below = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            below += count;
            if below >= rank && *count > 0 {
                return ends(bucket);
            }
        }
        0
    }
}

fn bucket(us: u64) -> usize {
    let log = us.max(1).ilog2();
    if log < 3 {
        return us as usize;
    }
    let fine = (us >> (log - 3)) as u32 - FINE;
    ((log - 2) * FINE + fine) as usize
}

/// The largest time of a bucket.
fn ends(bucket: usize) -> u64 {
    let (log, fine) = (bucket as u32 / FINE, u64::from(bucket as u32 % FINE));
    if log == 0 {
        return fine;
    }
    (fine + u64::from(FINE) + 1).checked_shl(log - 1).map_or(u64::MAX, |end| end - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_known_to_an_eighth() {
        for us in (0..20_000).chain([1 << 40, (1 << 40) + 12_345]) {
            let end = ends(bucket(us));
            assert!(end >= us && end - us <= us / 8, "{us} is said to be {end}");
        }
    }

    #[test]
    fn one_slow_call_of_a_hundred_is_not_in_the_p99_and_two_are() {
        let mut times = Times::default();
        (0..99).for_each(|_| times.add(Duration::from_micros(4)));
        times.add(Duration::from_secs(1));
        assert_eq!(times.p99_us(), 4);
        times.add(Duration::from_secs(1));
        assert!(times.p99_us() > 900_000);
        assert_eq!(Times::default().p99_us(), 0);
    }
}
