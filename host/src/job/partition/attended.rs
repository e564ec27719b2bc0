//! The work of one event, which may wait for others for long: a service that an enricher asks, a sink that is slow.
//!
//! The rules: an owner whose work goes on is alive, and one whose work stands still is not: the permit is told whenever the work takes a step
//! (see `lease::keeper`). Whoever tells a partition to stop waits a while for the event to end; after that it is given up in the middle, as
//! in a crash, and the last commit is what counts.

use std::{future::poll_fn, pin::pin, time::Duration};

use tokio::sync::watch;

use super::{Ending, Partition};
use crate::{clock, permit::Permit};

/// So long an event may go on after the partition was told to stop. Orchestrators kill after 30 s.
const GRACE: Duration = Duration::from_secs(10);

/// What the work gives; none where it was given up.
pub(super) async fn attended<T>(
    work: impl Future<Output = T>,
    permit: &Permit,
    stop: &mut watch::Receiver<bool>,
) -> Option<T> {
    let mut work = pin!(work);
    // polled by whoever woke it
    let mut seen = pin!(poll_fn(|context| {
        permit.pulse();
        work.as_mut().poll(context)
    }));
    tokio::select! {
        biased;
        done = &mut seen => return Some(done),
        () = told(stop) => {}
    }
    tokio::select! {
        biased;
        done = &mut seen => Some(done),
        () = clock::sleep(GRACE) => None,
    }
}

/// Returns when the partition is told to stop, or whoever could tell it is gone.
async fn told(stop: &mut watch::Receiver<bool>) {
    // an error says that nobody can tell it any more: the same
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Partition {
    /// It was told to stop, and the event under way does not end.
    pub(super) fn given_up(&self) -> Ending {
        tracing::warn!(
            partition = self.settings.name,
            "it was told to stop {GRACE:?} ago and still waits for somebody: the open epoch is given up, its records come again"
        );
        Ending::Finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_in_time_is_waited_for_and_other_work_is_given_up() {
        let (tell, mut stop) = watch::channel(false);
        let permit = Permit::unlimited();
        assert_eq!(attended(async { 1 }, &permit, &mut stop).await, Some(1));
        tell.send_replace(true);
        let slow = async |time| {
            // paces: the work
            clock::sleep(time).await;
            2
        };
        assert_eq!(attended(slow(GRACE / 2), &permit, &mut stop).await, Some(2));
        assert_eq!(attended(slow(GRACE * 2), &permit, &mut stop).await, None);
    }
}
