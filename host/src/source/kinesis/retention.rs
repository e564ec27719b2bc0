//! Whether what comes after a position is still kept.
//!
//! The rule: a position that is older than what the stream keeps is data loss with words, not a place to go on from: the service answers
//! such a position with whatever is left. A stream keeps what arrived within its retention, which may be raised meanwhile, so it
//! is asked again before anything is called lost.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use aws_sdk_kinesis::Client;

use super::control;
use crate::{
    error::{Error, Kind, Result},
    record::ShardId,
};

/// What one stream keeps.
#[derive(Clone)]
pub struct Retention {
    client: Client,
    stream: Arc<str>,
    keeps_us: Arc<AtomicI64>,
    accept_loss: bool,
}

impl Retention {
    pub fn new(client: Client, stream: Arc<str>, keeps_us: i64, accept_loss: bool) -> Self {
        Self { client, stream, keeps_us: Arc::new(AtomicI64::new(keeps_us)), accept_loss }
    }

    /// Everything that arrived before `as_of_us` is done: true if all that came since is kept, false if it is not and that is accepted.
    pub async fn holds(&self, shard: &ShardId, as_of_us: i64, now_us: i64) -> Result<bool> {
        let age_us = now_us.saturating_sub(as_of_us);
        if age_us <= self.keeps_us.load(Relaxed) {
            return Ok(true);
        }
        // it may have been raised; one that cannot be asked says nothing
        if let Ok(summary) = control::summary(&self.client, &self.stream).await {
            self.keeps_us.store(summary.keeps_us, Relaxed);
        }
        let keeps_us = self.keeps_us.load(Relaxed);
        if age_us <= keeps_us {
            return Ok(true);
        }
        let hours = |us: i64| us / 3_600_000_000;
        let how = format!("read up to {} hours ago, but the stream keeps {} hours", hours(age_us), hours(keeps_us));
        self.lost(shard, &how).map(|()| false)
    }

    /// Records of this shard may be gone for good. An error unless that is accepted.
    pub fn lost(&self, shard: &ShardId, how: &str) -> Result<()> {
        let message = format!(
            "stream `{}`, shard `{shard}`: it was {how}: what came in between may be lost; go on without it with --accept-loss",
            self.stream
        );
        if self.accept_loss {
            tracing::warn!("{message}: accepted");
            return Ok(());
        }
        Err(Error::new(Kind::DataLoss, message))
    }
}
