//! Where a job begins: the job record of this run, made of the one that is known and of what its sources say.
//!
//! Keeps rule 0: the time at which each source was first read is by the clock that stamps its records, taken before its shards are
//! listed, so that nothing falls between the two. A source that is added later begins when it is added. A store that knows no job where
//! lease rows say how far it is was emptied, or is another one: nothing begins in it unless somebody accepts that.
//! Left to others: whether the change is accepted (`run`), and what the times mean for a shard (`intake`).

use std::collections::BTreeMap;

use super::Place;
use crate::{
    checkpoint::{
        manifest::{Began, JobRecord, Swapped},
        row,
    },
    clock::Clock,
    error::{Error, Kind, Result},
    job::{build::Connected, worker::partition_of},
    lease::Expect,
};

/// The record that is known; none where the job begins.
pub async fn known(place: &Place, accept_repeats: bool) -> Result<Option<JobRecord>> {
    let record = place.records.record().await?;
    let (None, Some((tables, _))) = (&record, &place.leases) else { return Ok(record) };
    let mut told = Vec::new();
    for (source, table) in tables {
        let rows = table.list().await?.into_iter();
        told.extend(rows.filter_map(|row| Some((source, table, row.epoch?, row))));
    }
    // others may have begun it meanwhile: rows say nothing before the record is there
    let record = place.records.record().await?;
    if record.is_some() {
        return Ok(record);
    }
    for (source, table, epoch, lease) in told {
        let partition = partition_of(source, &lease.key);
        if !accept_repeats {
            return Err(row::behind(&partition, 0, epoch));
        }
        tracing::warn!(partition, epoch, "the store knows nothing of it: it begins anew, as was accepted");
        table.delete(&lease.key, &Expect::Counter(lease.counter)).await?;
    }
    Ok(None)
}

/// The record of this generation; the known one where nothing has changed.
pub async fn record(
    job: &str,
    known: Option<JobRecord>,
    generation: u64,
    digests: BTreeMap<String, String>,
    sources: &[Connected],
    clock: &dyn Clock,
) -> Result<JobRecord> {
    let first = || JobRecord { job: job.to_owned(), created_us: clock.wall_us(), ..JobRecord::default() };
    let record = known.unwrap_or_else(first);
    refuse_made_again(&record, sources)?;
    if record.generation == generation {
        return Ok(record);
    }
    let JobRecord { mut starts, mut began, .. } = record.clone();
    for source in sources {
        if !starts.contains_key(&source.name) {
            let at_us = source.source.now_us().unwrap_or_else(|| clock.wall_us());
            let stream_made_us = source.source.created_us();
            starts.insert(source.name.clone(), (source.start, source.source.shards().await?));
            began.insert(source.name.clone(), Began { at_us, stream_made_us });
        }
    }
    let swapped = Swapped { plugins: still_swapped(&record, &digests), ..Swapped::default() };
    Ok(JobRecord { generation, digests, starts, began, swapped, ..record })
}

/// What stays in place of the job file's plugins: of steps whose plugin in the file is the one that it was. Where the file has another, that
/// is deployed anew.
fn still_swapped(record: &JobRecord, digests: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let Swapped { plugins, before, canary, .. } = &record.swapped;
    let runs = canary.as_ref().and(before.as_ref()).unwrap_or(plugins);
    let stays = |step: &str| {
        let name = JobRecord::plugin_of(step);
        digests.get(&name).is_some_and(|digest| record.digests.get(&name) == Some(digest))
    };
    let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = runs.clone().into_iter().partition(|(step, _)| stays(step));
    for (step, digest) in &gone {
        tracing::warn!("step {step}: what was swapped in ({digest}) ends here, the job file's plugin is deployed");
    }
    kept
}

/// Positions in a stream say nothing about another one of its name.
fn refuse_made_again(record: &JobRecord, sources: &[Connected]) -> Result<()> {
    for source in sources {
        let (Some(began), Some(now_us)) = (record.began.get(&source.name), source.source.created_us()) else {
            continue;
        };
        if began.stream_made_us.is_some_and(|then_us| then_us != now_us) {
            let message = format!(
                "the stream `{}` of source `{}` was deleted and made again since this job first read it: its records are others, and \
                 what was not read of the old ones is lost; start over with --fresh, or rename the source and run with \
                 --accept-change, which keeps the state and reads the new stream as one that was never read",
                source.source.stream(),
                source.name
            );
            return Err(Error::new(Kind::DataLoss, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        record::ShardId,
        source::{From, Pending, Reader, Shard, Source, Start},
    };

    #[derive(Debug)]
    struct At(i64);

    impl Clock for At {
        fn wall_us(&self) -> i64 {
            self.0
        }

        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    /// A stream without shards: when it was made, and what its clock says.
    struct Stream(i64, i64);

    impl Source for Stream {
        fn stream(&self) -> &str {
            "clicks"
        }

        fn created_us(&self) -> Option<i64> {
            Some(self.0)
        }

        fn now_us(&self) -> Option<i64> {
            Some(self.1)
        }

        fn shards(&self) -> Pending<'_, Result<Vec<Shard>>> {
            Box::pin(std::future::ready(Ok(Vec::new())))
        }

        fn open<'a>(&'a self, shard: &'a ShardId, _: From) -> Pending<'a, Result<Box<dyn Reader>>> {
            panic!("{shard} is not opened here")
        }
    }

    fn source(name: &str, made_us: i64, now_us: i64) -> Connected {
        Connected { name: name.into(), source: Arc::new(Stream(made_us, now_us)), start: Start::Latest }
    }

    async fn at(known: Option<JobRecord>, generation: u64, sources: &[Connected], wall_us: i64) -> Result<JobRecord> {
        record("job", known, generation, BTreeMap::new(), sources, &At(wall_us)).await
    }

    #[tokio::test]
    async fn each_source_begins_when_it_was_added_by_the_clock_of_its_service() {
        let first = at(None, 1, &[source("a", 5, 1_000)], 31_000).await.unwrap();
        assert_eq!((first.generation, first.began_us("a")), (1, 1_000));
        let again = at(Some(first.clone()), 1, &[source("a", 5, 2_000)], 32_000).await.unwrap();
        assert_eq!(again, first);
        let added = at(Some(first), 2, &[source("a", 5, 3_000), source("b", 6, 3_001)], 33_000).await.unwrap();
        assert_eq!((added.generation, added.began_us("a"), added.began_us("b")), (2, 1_000, 3_001));
        assert_eq!(added.created_us, 31_000);
    }

    #[tokio::test]
    async fn a_stream_that_was_made_again_is_data_loss() {
        let first = at(None, 1, &[source("a", 5, 1_000)], 1_000).await.unwrap();
        for generation in [1, 2] {
            let failed = at(Some(first.clone()), generation, &[source("a", 7, 2_000)], 2_000).await.unwrap_err();
            assert!(failed.kind() == Kind::DataLoss && failed.to_string().contains("made again"), "{failed}");
        }
        at(Some(first), 2, &[source("renamed", 7, 2_000)], 2_000).await.unwrap();
    }
}
