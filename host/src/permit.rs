//! Whether an owner may still act on the outside: until its lease ends by its own clock, less a margin.
//!
//! The rule: whoever sends something that cannot be taken back asks just before it does. A worker that was stopped and wakes up finds
//! its permit ended, whatever it was about to do.
//! Left to others: renewing it (`lease::keeper`), and proofs of ownership (`checkpoint`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    clock::Clock,
    error::{Error, Kind, Result},
    planted,
};

/// The permit of one partition. Clones share it.
#[derive(Clone, Debug)]
pub struct Permit(Option<Arc<State>>);

#[derive(Debug)]
struct State {
    what: String,
    clock: Arc<dyn Clock>,
    /// nanoseconds of `clock`
    until: AtomicU64,
    pulse: AtomicU64,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Permit {
    /// Where nobody else can be the owner.
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// One that ends at a time of this clock. `what` is named when it has ended.
    pub fn until(what: impl Into<String>, clock: Arc<dyn Clock>, end: Duration) -> Self {
        let pulse = AtomicU64::new(nanos(clock.elapsed()));
        Self(Some(Arc::new(State { what: what.into(), clock, until: AtomicU64::new(nanos(end)), pulse })))
    }

    /// It was renewed: it ends then.
    pub fn extend(&self, end: Duration) {
        if let Some(state) = &self.0 {
            state.until.fetch_max(nanos(end), Relaxed);
        }
    }

    /// It has ended.
    pub fn end(&self) {
        if let Some(state) = &self.0 {
            state.until.store(0, Relaxed);
        }
    }

    /// Whether the owner may act.
    pub fn holds(&self) -> bool {
        if planted::is("send-without-permit") {
            return true;
        }
        self.0.as_ref().is_none_or(|state| nanos(state.clock.elapsed()) < state.until.load(Relaxed))
    }

    /// Fenced where the owner may not act any more.
    pub fn check(&self) -> Result<()> {
        if self.holds() {
            return Ok(());
        }
        let what = self.0.as_ref().map_or("", |state| state.what.as_str());
        Err(Error::new(
            Kind::Fenced,
            format!("the lease of {what} has ended: another worker may run it, so nothing more is sent"),
        ))
    }

    /// The owner is alive and gets on.
    pub fn pulse(&self) {
        if let Some(state) = &self.0 {
            state.pulse.store(nanos(state.clock.elapsed()), Relaxed);
        }
    }

    /// For how long there was no pulse.
    pub fn still(&self) -> Duration {
        let state = self.0.as_ref();
        state.map_or(Duration::ZERO, |state| {
            let since = nanos(state.clock.elapsed()).saturating_sub(state.pulse.load(Relaxed));
            Duration::from_nanos(since)
        })
    }
}
