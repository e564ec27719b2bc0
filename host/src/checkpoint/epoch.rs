//! The life of a partition, epoch by epoch, in the order of the rules: claim, recover, then prepare, commit and publish again and again.
//!
//! The only caller of `Ledger::commit` and of `prepare`, `commit` and `recover` of sinks. It owns no records and no state:
//! whoever runs the partition drains (rules 1 and 2) and hands over what changed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    MOST_UNCOMMITTED, kill,
    ledger::{Durable, Ledger},
    manifest::{Manifest, ShardProgress},
    row::Row,
};
use crate::{
    clock,
    error::{Error, Kind, Result},
    planted, random,
    record::ShardId,
    sink::{Sink, Token, Writer},
    source::Shard,
    state::Delta,
};

/// A sink under its name in the job.
pub struct Outlet {
    /// the name
    pub name: String,
    /// the sink
    pub sink: Box<dyn Sink>,
}

/// What an epoch did, once everything of it has flowed through every step.
#[derive(Debug, Default)]
pub struct Done {
    /// changed state
    pub delta: Delta,
    /// how far each shard of each source is
    pub shards: BTreeMap<String, BTreeMap<ShardId, ShardProgress>>,
    /// output watermark of each step
    pub watermarks: BTreeMap<String, i64>,
}

/// So many earlier owners are remembered.
const LINEAGE: usize = 64;

/// The epochs of one partition, from the claim on.
pub struct Epochs {
    ledger: Arc<dyn Ledger>,
    partition: Arc<str>,
    /// the newest manifest that was formed; durable unless `pending`
    manifest: Manifest,
    pending: Option<Durable>,
    /// tokens of durable epochs that are not committed, oldest first
    unpublished: Vec<Token>,
}

impl Epochs {
    /// Rule 0: the next manifest with the same content, the next fence, and the generation of `first`, which is also what an unknown
    /// partition begins with. A sealed partition cannot be claimed.
    /// What its lease row says is applied; `adopts`: also where it is further than a manifest.
    pub async fn claim(
        ledger: Arc<dyn Ledger>,
        partition: &str,
        first: Manifest,
        row: Row,
        adopts: bool,
    ) -> Result<Self> {
        let generation = first.generation;
        let newest = ledger.newest(partition).await?;
        let (is_known, known) = (newest.is_some(), newest.as_ref().map_or(generation, |newest| newest.generation));
        let mut claim = begin(newest, first);
        if claim.sealed.is_some() {
            let words = format!("partition {partition} is sealed: its shard was read to the end");
            return Err(Error::new(Kind::Fenced, words));
        }
        if known > generation {
            let words =
                format!("partition {partition} runs generation {known} of the job, this worker knows {generation}");
            return Err(Error::new(Kind::Fenced, words));
        }
        row.apply(partition, &mut claim, is_known, adopts)?;
        if claim.lineage.last().is_none_or(|(_, epoch)| claim.epoch > *epoch) && claim.epoch > 0 {
            claim.lineage.push((claim.fence, claim.epoch));
            let old = claim.lineage.len().saturating_sub(LINEAGE);
            claim.lineage.drain(..old);
        }
        claim.go_on(generation);
        claim.number += 1;
        claim.fence += 1;
        claim.nonce = random::bits();
        kill::point("before-claim");
        ledger.commit(partition, &mut claim, Delta::default()).await?.await?;
        kill::point("after-claim");
        tracing::debug!(partition, fence = claim.fence, epoch = claim.epoch, "claimed");
        let unpublished = claim.tokens.clone();
        Ok(Self { ledger, partition: Arc::from(partition), manifest: claim, pending: None, unpublished })
    }

    /// Rule 6, after the claim: the worker's store holds the state of the manifest.
    pub async fn load(&self) -> Result<()> {
        self.ledger.load(&self.partition, &self.manifest).await
    }

    /// The newest manifest that was formed.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Tokens that are not known to be committed.
    pub fn unpublished(&self) -> &[Token] {
        &self.unpublished
    }

    /// Rule 6, after the claim: sinks get back what they held and abort what is beyond the manifest, then its tokens are committed.
    /// Rows held for a sink that is gone would be gone with it, so they stop the run.
    pub async fn recover(&mut self, writer: &Writer, sinks: &mut [Outlet]) -> Result<()> {
        if let Some(gone) = self.manifest.held.keys().find(|held| sinks.iter().all(|outlet| outlet.name != **held)) {
            return Err(undelivered(gone, "holds back"));
        }
        for outlet in sinks.iter_mut() {
            let held = self.manifest.held.get(&outlet.name).map_or(&[][..], Vec::as_slice);
            let recovered = outlet.sink.recover(writer.clone(), self.manifest.epoch, held).await;
            recovered.map_err(|e| e.at(format_args!("sink {}", outlet.name)))?;
        }
        for token in std::mem::take(&mut self.unpublished) {
            if planted::is("tokens-not-recovered") {
                continue;
            }
            sink_of(sinks, &token)?.commit(&token).await.map_err(|e| e.at(format_args!("sink {}", token.sink)))?;
            kill::point("recovered-token");
        }
        kill::point("recovered");
        Ok(())
    }

    /// Rules 3 and 4: prepares every sink and asks for the manifest to be made durable. Waits for the epoch before it, so that one
    /// set of changes is under way at a time; the next epoch runs on while this one is written.
    pub async fn end(&mut self, done: Done, sinks: &mut [Outlet]) -> Result<()> {
        self.settle(sinks).await?;
        self.make_room(sinks).await?;
        let mut next = Manifest { shards: done.shards, watermarks: done.watermarks, ..self.manifest.clone() };
        next.number += 1;
        next.epoch += 1;
        next.tokens.clone_from(&self.unpublished);
        if planted::is("tokens-forgotten") {
            next.tokens.clear();
        }
        next.held.clear();
        kill::point("before-prepare");
        for outlet in sinks.iter_mut() {
            let prepared =
                outlet.sink.prepare(next.epoch).await.map_err(|e| e.at(format_args!("sink {}", outlet.name)))?;
            next.tokens.extend(prepared.token);
            if !prepared.held.is_empty() {
                next.held.insert(outlet.name.clone(), prepared.held);
            }
        }
        kill::point("after-prepare");
        if planted::is("publish-before-commit") {
            for token in &next.tokens {
                sink_of(sinks, token)?.commit(token).await?;
            }
        }
        self.pending = Some(self.ledger.commit(&self.partition, &mut next, done.delta).await?);
        self.manifest = next;
        Ok(())
    }

    /// Rule 0: epochs from the next on are of this generation, whose record is durable. Nothing is being made durable now.
    pub fn go_on(&mut self, generation: u64) {
        debug_assert!(self.pending.is_none(), "an epoch that is under way is of one generation");
        self.manifest.go_on(generation);
    }

    /// Whether an epoch is being made durable.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Waits until the pending epoch is durable. Cancel safe; never ends where none is pending. Follow with [`Epochs::settle`].
    pub async fn durable(&mut self) -> Result<()> {
        match &mut self.pending {
            None => std::future::pending().await,
            Some(pending) => {
                let written = pending.await;
                self.pending = None;
                self.unpublished.clone_from(&self.manifest.tokens);
                written
            }
        }
    }

    /// Rule 5: once the pending epoch is durable, commits tokens, oldest first. A token whose commit fails stays, and so do the
    /// later ones of the same sink.
    pub async fn settle(&mut self, sinks: &mut [Outlet]) -> Result<()> {
        self.durable_if_pending().await?;
        if self.unpublished.is_empty() {
            return Ok(());
        }
        kill::point("before-publish");
        let mut kept: Vec<Token> = Vec::new();
        for token in std::mem::take(&mut self.unpublished) {
            if kept.iter().any(|other| other.sink == token.sink) {
                kept.push(token);
            } else if let Err(failed) = sink_of(sinks, &token)?.commit(&token).await {
                if planted::is("failed-commit-forgotten") {
                    continue;
                }
                if failed.kind() != Kind::Unavailable {
                    return Err(failed.at(format_args!("sink {}", token.sink)));
                }
                tracing::warn!(sink = token.sink, epoch = token.epoch, "a token is not committed yet: {failed}");
                kept.push(token);
            } else {
                kill::point("between-tokens");
            }
        }
        kill::point("after-publish");
        self.unpublished = kept;
        Ok(())
    }

    /// Rule 4: waits while too many epochs have uncommitted tokens, and says which sink holds them.
    async fn make_room(&mut self, sinks: &mut [Outlet]) -> Result<()> {
        let mut attempt = 0;
        while epochs_of(&self.unpublished) >= MOST_UNCOMMITTED {
            let sink = self.unpublished.first().map_or("", |token| token.sink.as_str());
            tracing::warn!(sink, "{MOST_UNCOMMITTED} epochs wait for this sink to commit; the partition pauses");
            clock::sleep(random::back_off(attempt, Duration::from_millis(100), Duration::from_secs(5))).await;
            attempt += 1;
            self.settle(sinks).await?;
        }
        Ok(())
    }

    /// The shard is read to its end: a last manifest that nothing may follow. Nothing is left to finish when it is written: every token is
    /// committed, and no sink holds rows back.
    pub async fn seal(&mut self, children: Vec<Shard>, sinks: &mut [Outlet]) -> Result<()> {
        if planted::is("seal-with-tokens") {
            self.durable_if_pending().await?;
        } else {
            self.close(sinks).await?;
        }
        if let Some(sink) = self.manifest.held.keys().next() {
            return Err(Error::new(Kind::Internal, format!("sink {sink} holds rows back at the end of a shard")));
        }
        let mut last = Manifest { sealed: Some(children), tokens: Vec::new(), ..self.manifest.clone() };
        last.number += 1;
        last.shards.values_mut().flat_map(BTreeMap::values_mut).for_each(|shard| shard.ended = true);
        kill::point("before-seal");
        self.pending = Some(self.ledger.commit(&self.partition, &mut last, Delta::default()).await?);
        self.manifest = last;
        self.durable().await?;
        kill::point("after-seal");
        Ok(())
    }

    async fn durable_if_pending(&mut self) -> Result<()> {
        if self.pending.is_some() { self.durable().await } else { Ok(()) }
    }

    /// Ends the last epoch: everything is durable and published when this returns.
    pub async fn close(&mut self, sinks: &mut [Outlet]) -> Result<()> {
        let mut attempt = 0;
        loop {
            self.settle(sinks).await?;
            if self.unpublished.is_empty() {
                return Ok(());
            }
            clock::sleep(random::back_off(attempt, Duration::from_millis(100), Duration::from_secs(5))).await;
            attempt += 1;
        }
    }
}

/// What an owner goes on with. Rule 7: what was set aside keeps its numbers and nothing else.
fn begin(newest: Option<Manifest>, first: Manifest) -> Manifest {
    match newest {
        None => Manifest { since: first.epoch + 1, ..first },
        Some(Manifest { begins_anew: true, number, epoch, fence, set_back, .. }) => {
            Manifest { number, epoch, fence, set_back, since: epoch + 1, ..first }
        }
        Some(newest) => newest,
    }
}

fn epochs_of(tokens: &[Token]) -> usize {
    let mut epochs: Vec<u64> = tokens.iter().map(|token| token.epoch).collect();
    epochs.dedup();
    epochs.len()
}

fn sink_of<'a>(sinks: &'a mut [Outlet], token: &Token) -> Result<&'a mut Box<dyn Sink>> {
    let found = sinks.iter_mut().find(|outlet| outlet.name == token.sink);
    found.map(|outlet| &mut outlet.sink).ok_or_else(|| undelivered(&token.sink, "has"))
}

fn undelivered(sink: &str, has: &str) -> Error {
    let message = format!(
        "the state {has} results for sink `{sink}`, which the job no longer has: put it back (or its old name) and run once with \
         --until-caught-up, which delivers them, then take it away; or start over with --fresh"
    );
    Error::new(Kind::State, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{
        checkpoint::{committer::Committer, ledger::LocalLedger},
        sink::memory::{MemorySink, Shown},
        state::memory::MemoryStore,
    };

    #[tokio::test]
    async fn rows_held_for_a_sink_that_is_gone_stop_the_run() {
        let held = BTreeMap::from([("renamed".to_owned(), b"rows".to_vec())]);
        let first = Manifest { held, ..Manifest::default() };
        let store = Arc::new(MemoryStore::default());
        let (committer, _thread) = Committer::start(store.clone()).unwrap();
        let ledger = Arc::new(LocalLedger::new(store, committer));
        let mut epochs = Epochs::claim(ledger, "all", first, Row::default(), false).await.unwrap();
        let writer = Writer {
            job: "job".into(),
            partition: "all".into(),
            generation: 1,
            fence: 1,
            permit: crate::permit::Permit::unlimited(),
            set_back: None,
        };
        let outlet = |name: &str| Outlet { name: name.into(), sink: Box::new(MemorySink::new(name, Shown::default())) };
        let failed = epochs.recover(&writer, &mut [outlet("out")]).await.unwrap_err();
        assert!(failed.kind() == Kind::State && failed.to_string().contains("for sink `renamed`"), "{failed}");
        epochs.recover(&writer, &mut [outlet("out"), outlet("renamed")]).await.unwrap();
    }
}
