//! How a partition changes to another deployment: its steps are others from one epoch to the next.
//!
//! The rule: nothing is between the two. What the old steps did is durable and published before the new ones see a record, shards stay open
//! all the while, and the new steps load what the old ones handed over.
//! Left to others: when (`swap`), the steps (`build`), what a canary holds (`canary`).

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use super::{Ending, Partition, Swaps};
use crate::{
    checkpoint::kill,
    clock,
    error::{Kind, Result},
    job::swap::Deployment,
    planted,
};

/// How long until the record is asked for again.
const AGAIN: Duration = Duration::from_millis(500);

/// What a deployment means for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// it goes on with that
    GoesOn,
    /// what it tried is taken back: its epoch is dropped
    TakenBack,
}

impl Partition {
    /// Rules 1, 2 and 4 of `swap`: the epoch ends and is published, then other steps go on from its state.
    pub(super) async fn swap(&mut self, swaps: &mut Swaps<'_>) -> Result<Change> {
        let newest = swaps.deployed.borrow_and_update().clone();
        let to = newest.seen_by(&self.settings.name);
        let generation = to.record.generation;
        if generation <= self.record.generation {
            return Ok(Change::GoesOn);
        }
        if self.canary.is_some() {
            let stays = to.record.swapped.canary.is_none() && to.record.since() == self.record.generation;
            if !stays && !planted::is("canary-commits") {
                return Ok(Change::TakenBack);
            }
            self.end_canary()?;
        }
        let is_settled = self.record.may_commit() || to.record.swapped.settled == self.record.since();
        if !is_settled || self.goes_back(&to).await? {
            return Ok(Change::TakenBack);
        }
        let steps = swaps.fit.fit(&self.record, &to).await?;
        let changes = !steps.is_empty();
        let began = self.clock.elapsed();
        if !planted::is("swap-within-epoch") {
            self.outlets.iter_mut().for_each(|outlet| outlet.sink.close());
            self.counted.changed = true;
            self.end_epoch().await?;
        }
        if self.epochs.is_pending() {
            self.epochs.durable().await?;
            self.publish().await?;
        }
        kill::point("before-swap-in");
        self.flow.replace(steps, &self.store, self.epochs.manifest().range)?;
        if !planted::is("swap-without-generation") {
            self.epochs.go_on(generation);
        }
        self.outlets.iter_mut().for_each(|outlet| outlet.sink.go_on(generation));
        self.record = to.record;
        swaps.runs.store(generation, Relaxed);
        self.begin_canary(swaps)?;
        let paused = self.clock.elapsed().saturating_sub(began);
        self.live.update(&self.settings.name, |now| {
            now.generation = generation;
            // what only says something of the plugins that run is no swap
            now.swap_paused = if changes { paused } else { now.swap_paused };
        });
        tracing::info!(partition = self.settings.name, generation, changes, "goes on after {paused:.1?}");
        kill::point("after-swap-in");
        Ok(Change::GoesOn)
    }

    /// Rule 3 of `swap`: before an epoch is durable whose state what ran before cannot read, the record says that there is no way back.
    /// Whether it does; if not, the epoch is dropped. Like a commit it waits for a store that does not answer.
    pub(super) async fn settles(&mut self, swaps: &Swaps<'_>) -> Result<bool> {
        if self.record.may_commit() || !self.is_worth_an_epoch() || planted::is("swap-unsettled") {
            return Ok(true);
        }
        // what is not going to be durable settles nothing
        self.refuse_too_many_rejects()?;
        self.refuse_too_much_state()?;
        let Some(deployer) = swaps.deployer else { return Ok(true) };
        let since = self.record.since();
        loop {
            let settled = {
                let mut asked = std::pin::pin!(deployer.settle(since));
                loop {
                    tokio::select! {
                        biased;
                        settled = &mut asked => break settled,
                        () = clock::sleep(AGAIN) => self.holding.permit.pulse(),
                    }
                }
            };
            match settled {
                Err(away) if away.kind() == Kind::Unavailable => {
                    self.holding.permit.check()?;
                    self.holding.permit.pulse();
                    tracing::warn!(partition = self.settings.name, "what runs cannot be settled yet: {away}");
                    clock::sleep(AGAIN).await;
                }
                Ok(true) => {
                    self.record.swapped.settled = since;
                    return Ok(true);
                }
                done => return done,
            }
        }
    }

    /// What it tried is taken back: what was handed over before that is made durable, the rest is dropped.
    pub(super) async fn take_back(mut self) -> Result<Ending> {
        if self.epochs.is_pending() {
            self.epochs.durable().await?;
            self.publish().await?;
        }
        Ok(Ending::TakenBack)
    }

    /// Whether what runs here is taken back before an epoch of it is durable: then none is made durable any more, so that of a bad plugin no more
    /// is shown than was already.
    async fn goes_back(&mut self, to: &Deployment) -> Result<bool> {
        if self.record.swapped.before.as_ref() != Some(&to.record.swapped.plugins) {
            return Ok(false);
        }
        if self.epochs.is_pending() {
            self.epochs.durable().await?;
            self.publish().await?;
        }
        Ok(!self.epochs.manifest().has_run(self.record.since()))
    }
}
