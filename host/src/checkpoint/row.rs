//! What the lease row of a partition says, against what its manifests say.
//!
//! The rules: a manifest is the truth about what this job did; a row that knows a later epoch than every manifest means that the store is
//! another one, or was emptied, and stops the partition with words (rule 6). A row that is further in its shard than the manifest was
//! written by somebody else, who works with the same rows: this job tells a row only what is durable. Where nothing is known of a
//! partition, its row says where it begins.
//! Left to others: the rows (`lease`), who asks (`epoch`).

use std::collections::BTreeMap;

use super::manifest::Manifest;
use crate::{
    error::{Error, Kind, Result},
    record::Sequence,
    source::{Position, Start},
};

/// What a row says of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// the highest epoch of this job that was committed when it was written
    pub epoch: Option<u64>,
    /// up to where its shard is done, whoever did it
    pub done: Option<(Sequence, u32)>,
    /// where the shard begins if nothing of it is done, where the row says that
    pub start: Option<Start>,
}

impl Row {
    /// What is claimed, by this row: `known` says that there are manifests. A partition that keeps state goes on from a row that
    /// is further only where that is accepted.
    pub fn apply(&self, partition: &str, claim: &mut Manifest, known: bool, accepts: bool) -> Result<()> {
        if let Some(epoch) = self.epoch.filter(|epoch| *epoch > claim.epoch) {
            return Err(behind(partition, claim.epoch, epoch));
        }
        let Some(shard) = claim.shards.values_mut().flat_map(BTreeMap::values_mut).next() else { return Ok(()) };
        if !known {
            shard.start = self.start;
        }
        let before = shard.position.as_ref().and_then(|position| position.record);
        let Some(done) = self.done.filter(|done| Some(*done) > before) else { return Ok(()) };
        let (sequence, sub_sequence) = done;
        if known && !accepts {
            return Err(further(before, done));
        }
        tracing::warn!(
            partition,
            "it goes on behind record {sequence}.{sub_sequence}, as its lease row says, which another application wrote; whether the stream \
             still keeps what came after that record cannot be told"
        );
        shard.position = Some(Position { record: Some(done), continuation: None, as_of_us: Position::AGE_UNKNOWN });
        Ok(())
    }
}

/// The store ends with `epoch`, and a lease row of this job knows a later one.
pub fn behind(partition: &str, epoch: u64, reached: u64) -> Error {
    let stands = if epoch == 0 { "knows nothing of it".to_owned() } else { format!("ends with epoch {epoch}") };
    let words = format!(
        "partition {partition} has committed epoch {reached}, as its lease row says, but the checkpoint store {stands}: it is another one, or it \
         was emptied or set back; name the right one, restore it, or go on from what is there with --accept-repeats"
    );
    Error::new(Kind::State, words)
}

/// Whoever hears it knows of which partition.
fn further(before: Option<(Sequence, u32)>, (sequence, sub_sequence): (Sequence, u32)) -> Error {
    let stands =
        before.map_or_else(|| "before its first record".to_owned(), |(at, sub)| format!("at record {at}.{sub}"));
    let words = format!(
        "it stands {stands}, and its lease row at record {sequence}.{sub_sequence}: another application has read on \
         meanwhile, and what it read is missing in the state of this one; go on behind it all the same with --adopt-row, or set the row back \
         with `pelton leases reset --to manifest`"
    );
    Error::new(Kind::State, words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{checkpoint::manifest::ShardProgress, record::ShardId};

    fn at(record: Option<u128>) -> Manifest {
        let position = |n| Position { record: Some((sequence(n), 0)), continuation: Some("c".into()), as_of_us: 5 };
        let progress = ShardProgress { position: record.map(position), ..ShardProgress::default() };
        let shards = BTreeMap::from([("in".to_owned(), BTreeMap::from([(ShardId::new("s"), progress)]))]);
        Manifest { shards, epoch: 7, ..Manifest::default() }
    }

    fn sequence(number: u128) -> Sequence {
        number.to_string().parse().unwrap()
    }

    fn row(done: Option<u128>) -> Row {
        Row { epoch: None, done: done.map(|number| (sequence(number), 3)), start: Some(Start::TrimHorizon) }
    }

    fn only(manifest: &Manifest) -> &ShardProgress {
        &manifest.shards["in"][&ShardId::new("s")]
    }

    #[test]
    fn what_was_never_read_here_begins_where_its_row_says() {
        let mut first = at(None);
        row(Some(9)).apply("p", &mut first, false, false).unwrap();
        let position = only(&first).position.clone().unwrap();
        assert_eq!((position.record, position.continuation), (Some((sequence(9), 3)), None));
        let mut first = at(None);
        row(None).apply("p", &mut first, false, false).unwrap();
        assert_eq!((only(&first).start, &only(&first).position), (Some(Start::TrimHorizon), &None));
    }

    #[test]
    fn a_row_that_is_not_further_changes_nothing() {
        for done in [None, Some(8), Some(9)] {
            let mut manifest = at(Some(10));
            row(done).apply("p", &mut manifest, true, false).unwrap();
            assert_eq!(manifest, at(Some(10)), "{done:?}");
        }
    }

    #[test]
    fn a_row_that_is_further_is_followed_only_without_state() {
        let mut manifest = at(Some(10));
        let refused = row(Some(11)).apply("p", &mut manifest, true, false).unwrap_err();
        assert!(refused.kind() == Kind::State && refused.to_string().contains("--adopt-row"), "{refused}");
        assert_eq!(manifest, at(Some(10)));
        row(Some(11)).apply("p", &mut manifest, true, true).unwrap();
        assert_eq!(only(&manifest).position.as_ref().unwrap().record, Some((sequence(11), 3)));
        assert_eq!(only(&manifest).start, None);
    }

    #[test]
    fn a_store_that_is_behind_its_row_is_refused() {
        let row = Row { epoch: Some(8), ..Row::default() };
        let refused = row.apply("p", &mut at(Some(10)), true, true).unwrap_err();
        assert!(refused.to_string().contains("ends with epoch 7"), "{refused}");
        let refused = row.apply("p", &mut Manifest { epoch: 0, ..at(None) }, false, true).unwrap_err();
        assert!(refused.to_string().contains("knows nothing of it"), "{refused}");
        Row { epoch: Some(7), ..row }.apply("p", &mut at(Some(10)), true, false).unwrap();
    }
}
