//! Whose turn it is: shards are handed out in the order in which their records arrived.
//!
//! The rule: among those that wait, the one goes on whose next event is the earliest, whatever the machine is doing; it keeps its turn until it
//! comes for the event after that, so that what becomes of an event has happened before the next one is handed out.
//! Left to others: what the events are (`tape`).

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

use crate::record::ShardId;

/// When an event is due, microseconds since 1970; shards of one moment go by source and name.
type Key = (i64, usize, ShardId);

/// Everybody who waits, or whose event is being handled.
#[derive(Debug, Default)]
pub struct Turns {
    due: Mutex<BTreeSet<Key>>,
    moved: Notify,
}

impl Turns {
    fn change(&self, from: Option<&Key>, to: Option<&Key>) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        from.map(|key| due.remove(key));
        due.extend(to.cloned());
        drop(due);
        self.moved.notify_waiters();
    }

    fn is_first(&self, key: &Key) -> bool {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).first() == Some(key)
    }
}

/// One shard's place among them; dropping it leaves.
#[derive(Debug)]
pub struct Turn {
    of: Arc<Turns>,
    at: Option<Key>,
}

impl Turn {
    /// A place that nobody waits for.
    pub fn new(of: Arc<Turns>) -> Self {
        Self { of, at: None }
    }

    /// The next event is due then; none: nobody waits for it.
    pub fn expect(&mut self, due: Option<Key>) {
        if self.at != due {
            self.of.change(self.at.as_ref(), due.as_ref());
            self.at = due;
        }
    }

    /// Comes back when it is its turn. Cancel safe.
    pub async fn come(&self) {
        let Some(key) = &self.at else { return };
        loop {
            let moved = self.of.moved.notified();
            if self.of.is_first(key) {
                return;
            }
            moved.await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.expect(None);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_earliest_goes_on_and_keeps_its_turn_until_it_comes_again() {
        let turns = Arc::new(Turns::default());
        let (mut a, mut b) = (Turn::new(turns.clone()), Turn::new(turns));
        let key = |at_us: i64, shard: &str| Some((at_us, 0, ShardId::new(shard)));
        a.expect(key(5, "a"));
        b.expect(key(7, "b"));
        let ready = |turn: &Turn| turn.come().now_or_never().is_some();
        assert_eq!([ready(&a), ready(&b)], [true, false]);
        assert_eq!([ready(&a), ready(&b)], [true, false], "its event is being handled");
        a.expect(key(7, "a"));
        assert_eq!([ready(&a), ready(&b)], [true, false], "by name");
        a.expect(None);
        assert!(ready(&b));
        a.expect(key(1, "a"));
        drop(b);
        assert!(ready(&a));
    }
}
