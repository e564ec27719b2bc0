//! A source that ends at a time: what arrived later is not there.
//!
//! The rule: a shard is caught up once a record of that time or later was seen, and gives nothing after that.

use std::sync::Arc;

use crate::{
    error::Result,
    record::{Sequence, ShardId},
    source::{Event, From, Pending, Position, Reader, Shard, Source},
};

/// What arrived in a source before a time.
pub struct Until {
    of: Arc<dyn Source>,
    to_us: i64,
}

impl Until {
    /// `to_us` is in microseconds since 1970, by the clock that stamps arrivals.
    pub fn new(of: Arc<dyn Source>, to_us: i64) -> Self {
        Self { of, to_us }
    }
}

impl Source for Until {
    fn stream(&self) -> &str {
        self.of.stream()
    }

    fn mode(&self) -> &'static str {
        self.of.mode()
    }

    fn created_us(&self) -> Option<i64> {
        self.of.created_us()
    }

    fn now_us(&self) -> Option<i64> {
        self.of.now_us()
    }

    fn shards(&self) -> Pending<'_, Result<Vec<Shard>>> {
        self.of.shards()
    }

    fn end<'a>(&'a self, shard: &'a ShardId) -> Pending<'a, Result<Option<Sequence>>> {
        self.of.end(shard)
    }

    fn open<'a>(&'a self, shard: &'a ShardId, from: From) -> Pending<'a, Result<Box<dyn Reader>>> {
        Box::pin(async move {
            let of = self.of.open(shard, from).await?;
            Ok(Box::new(Cut { of, to_us: self.to_us, at: None }) as Box<dyn Reader>)
        })
    }
}

struct Cut {
    of: Box<dyn Reader>,
    to_us: i64,
    /// where it was when the time was reached
    at: Option<Position>,
}

impl Reader for Cut {
    fn next(&mut self) -> Pending<'_, Result<Event>> {
        Box::pin(async move {
            if let Some(position) = self.at.clone() {
                let stays = Event::Progress { position, behind_ms: 0 };
                // The worker asks again at once: it is told so now and then.
                crate::clock::sleep(std::time::Duration::from_millis(100)).await;
                return Ok(stays);
            }
            let event = self.of.next().await?;
            let Event::Records { batch, position, behind_ms } = event else { return Ok(event) };
            let Some(rows) = batch.records.arrival_us.iter().position(|at_us| *at_us >= self.to_us) else {
                return Ok(Event::Records { batch, position, behind_ms });
            };
            // Nothing is remembered of a replay: the position of the whole batch does.
            self.at = Some(position.clone());
            if rows == 0 {
                return Ok(Event::Progress { position, behind_ms: 0 });
            }
            Ok(Event::Records { batch: batch.first(rows), position, behind_ms: Some(0) })
        })
    }
}
