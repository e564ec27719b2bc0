//! What to do next with one shard: a state machine without network, clock or chance of its own.
//!
//! The rules it keeps, per consumer and shard: calls are at least a second apart; within five seconds of a successful call
//! there is no other, unless the subscription ended by itself; what was accepted is never asked for again, and what was not
//! accepted always is; a shard ends only when the stream says so. Time is given, so that tests own it.
//! Left to others: talking to the service (`fan_out`), and who may read the shard (leases).

use std::time::Duration;

use crate::source::{From, Position, Start};

/// The service's own rules, and how long we wait beyond them.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// between two calls
    pub between_calls: Duration,
    /// between a successful call and the next one
    pub after_success: Duration,
    /// how long a subscription may say nothing
    pub silence: Duration,
    /// how long the queue may stay full before the subscription is dropped
    pub stall: Duration,
    /// the longest random wait after an ordinary failure
    pub pause: Duration,
    /// the longest random wait after a refusal that only a person can mend
    pub refused_pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            between_calls: Duration::from_secs(1),
            after_success: Duration::from_secs(5),
            silence: Duration::from_secs(45),
            stall: Duration::from_secs(10),
            pause: Duration::from_secs(1),
            refused_pause: Duration::from_secs(30),
        }
    }
}

/// Why a call was refused or a subscription broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// the shard, the stream or the consumer is not there
    Gone,
    /// another subscription of this consumer reads the shard
    InUse,
    /// too many calls
    Throttled,
    /// a key or a permission is missing: a person must mend it
    Denied,
    /// the request itself is wrong, and will be wrong again
    Invalid,
    /// the connection, or the service
    Broken,
}

/// Where a subscription starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// as the job says
    Start(Start),
    /// after this sequence number
    After(String),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// wait this long, then ask again
    Wait(Duration),
    /// subscribe here, then say [`Machine::opened`] or [`Machine::failed`]
    Call(Place),
    /// wait for an event, at most [`Timing::silence`]
    Receive,
    /// find out what is gone, and end
    Gone,
    /// give up
    Invalid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open,
    Gone,
    Invalid,
}

/// One shard's subscription.
#[derive(Debug)]
pub struct Machine {
    timing: Timing,
    jitter: fn(Duration) -> Duration,
    place: Place,
    state: State,
    not_before: Duration,
    called: Option<Duration>,
    opened: Option<Duration>,
    failures: u32,
}

impl Machine {
    /// A subscription that was never opened.
    pub fn new(from: &From, timing: Timing, jitter: fn(Duration) -> Duration) -> Self {
        let place = match from {
            From::Start(start) => Place::Start(*start),
            From::After(Position { continuation: Some(continuation), .. }) => Place::After(continuation.clone()),
            From::After(Position { record: Some((sequence, _)), .. }) => Place::After(sequence.to_string()),
            From::After(_) => Place::Start(Start::TrimHorizon),
        };
        let not_before = Duration::ZERO;
        Self { timing, jitter, place, state: State::Closed, not_before, called: None, opened: None, failures: 0 }
    }

    /// What to do at this time.
    pub fn next(&mut self, now: Duration) -> Step {
        match self.state {
            State::Open => Step::Receive,
            State::Gone => Step::Gone,
            State::Invalid => Step::Invalid,
            State::Closed if now < self.not_before => Step::Wait(self.not_before - now),
            State::Closed => {
                self.called = Some(now);
                self.opened = None;
                Step::Call(self.place.clone())
            }
        }
    }

    /// The call succeeded, at this time by the service's clock. `latest` stops to move here: who subscribes again must not lose what arrived in between.
    pub fn opened(&mut self, now: Duration, wall_us: i64) {
        self.state = State::Open;
        self.opened = Some(now);
        if self.place == Place::Start(Start::Latest) {
            self.place = Place::Start(Start::At(wall_us));
        }
    }

    /// An event was handed over: what comes next is after its continuation.
    pub fn accepted(&mut self, continuation: &str) {
        self.place = Place::After(continuation.to_owned());
        self.failures = 0;
    }

    /// What came after the last place is not kept any more, and that is accepted: the oldest that is kept comes next.
    pub fn skip_to_horizon(&mut self) {
        self.place = Place::Start(Start::TrimHorizon);
    }

    /// The subscription ended by itself, as each does after some minutes.
    pub fn ended(&mut self, now: Duration) {
        self.close(now, Duration::ZERO, false);
    }

    /// The subscription was dropped by us: the queue was full or nothing came. Call when there is room again.
    pub fn dropped(&mut self, now: Duration) {
        self.close(now, Duration::ZERO, true);
    }

    /// The call was refused, or the subscription broke.
    pub fn failed(&mut self, now: Duration, failure: Failure) {
        let growing = self.timing.pause.saturating_mul(1 << self.failures.min(4));
        self.failures = self.failures.saturating_add(1);
        match failure {
            Failure::Gone => self.state = State::Gone,
            Failure::Invalid => self.state = State::Invalid,
            Failure::InUse => {
                let pause = self.timing.after_success + (self.jitter)(self.timing.pause);
                self.close(now, pause, true);
            }
            Failure::Throttled => {
                let pause = self.timing.between_calls + (self.jitter)(growing);
                self.close(now, pause, true);
            }
            Failure::Denied => {
                let half = self.timing.refused_pause / 2;
                self.close(now, half + (self.jitter)(half), true);
            }
            Failure::Broken => self.close(now, (self.jitter)(growing), true),
        }
    }

    fn close(&mut self, now: Duration, pause: Duration, counts_from_success: bool) {
        self.state = State::Closed;
        let mut not_before = now + pause;
        if let Some(called) = self.called {
            not_before = not_before.max(called + self.timing.between_calls);
        }
        if let (true, Some(opened)) = (counts_from_success, self.opened) {
            not_before = not_before.max(opened + self.timing.after_success);
        }
        self.not_before = not_before;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn machine(from: From) -> Machine {
        Machine::new(&from, Timing::default(), |bound| bound)
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_subscription_that_ended_by_itself_is_renewed_after_a_second_at_most() {
        let mut shard = machine(From::Start(Start::TrimHorizon));
        assert_eq!(shard.next(at(10)), Step::Call(Place::Start(Start::TrimHorizon)));
        shard.opened(at(10), 0);
        assert_eq!(shard.next(at(10)), Step::Receive);
        shard.accepted("7");
        shard.ended(at(10));
        assert_eq!(shard.next(at(10)), Step::Wait(at(1)));
        assert_eq!(shard.next(at(11)), Step::Call(Place::After("7".into())));
        shard.opened(at(11), 0);
        shard.ended(at(311));
        assert_eq!(shard.next(at(311)), Step::Call(Place::After("7".into())));
    }

    #[test]
    fn a_broken_or_dropped_subscription_waits_for_the_five_seconds() {
        let mut shard = machine(From::Start(Start::TrimHorizon));
        shard.next(at(100));
        shard.opened(at(100), 0);
        shard.failed(at(102), Failure::Broken);
        assert_eq!(shard.next(at(102)), Step::Wait(at(3)));
        assert!(matches!(shard.next(at(105)), Step::Call(_)));
        shard.opened(at(105), 0);
        shard.dropped(at(106));
        assert_eq!(shard.next(at(106)), Step::Wait(at(4)));
    }

    #[test]
    fn the_five_seconds_do_not_count_from_a_call_that_was_refused() {
        let mut shard = machine(From::Start(Start::TrimHorizon));
        shard.next(at(0));
        shard.failed(at(0), Failure::Broken);
        assert_eq!(shard.next(at(0)), Step::Wait(at(1)));
        shard.next(at(1));
        shard.failed(at(1), Failure::InUse);
        assert_eq!(shard.next(at(1)), Step::Wait(at(6)));
        shard.next(at(7));
        shard.failed(at(7), Failure::Denied);
        assert_eq!(shard.next(at(7)), Step::Wait(at(30)));
    }

    #[test]
    fn what_is_gone_or_wrong_is_not_asked_again() {
        let mut shard = machine(From::Start(Start::TrimHorizon));
        shard.next(at(0));
        shard.failed(at(0), Failure::Gone);
        assert_eq!(shard.next(at(99)), Step::Gone);
        shard.failed(at(0), Failure::Invalid);
        assert_eq!(shard.next(at(99)), Step::Invalid);
    }

    #[test]
    fn latest_is_fixed_when_the_first_subscription_opens() {
        let mut shard = machine(From::Start(Start::Latest));
        shard.next(at(0));
        shard.failed(at(0), Failure::Broken);
        assert_eq!(shard.next(at(9)), Step::Call(Place::Start(Start::Latest)));
        shard.opened(at(9), 5_000);
        shard.failed(at(20), Failure::Broken);
        assert_eq!(shard.next(at(60)), Step::Call(Place::Start(Start::At(5_000))));
    }

    #[test]
    fn goes_on_after_the_continuation_and_else_after_the_record() {
        let record = Some(("12".parse().unwrap(), 0));
        let position = |record, continuation| From::After(Position { record, continuation, as_of_us: 0 });
        let place = |from| machine(from).next(at(0));
        assert_eq!(place(position(record, Some("15".into()))), Step::Call(Place::After("15".into())));
        assert_eq!(place(position(record, None)), Step::Call(Place::After("12".into())));
        assert_eq!(place(position(None, None)), Step::Call(Place::Start(Start::TrimHorizon)));
    }

    proptest! {
        #[test]
        fn never_calls_sooner_than_the_service_allows(script in prop::collection::vec((0u8..6, 0u64..8_000), 1..60)) {
            let mut shard = machine(From::Start(Start::TrimHorizon));
            let (mut now, mut called, mut opened) = (Duration::ZERO, None::<Duration>, None::<Duration>);
            for (what, millis) in script {
                match shard.next(now) {
                    Step::Wait(wait) => now += wait,
                    Step::Call(_) => {
                        prop_assert!(called.is_none_or(|before| now >= before + at(1)));
                        prop_assert!(opened.is_none_or(|before| now >= before + at(5)));
                        called = Some(now);
                        now += Duration::from_millis(millis);
                        if what < 3 {
                            shard.opened(now, 0);
                            opened = Some(now);
                        } else {
                            shard.failed(now, [Failure::InUse, Failure::Throttled, Failure::Broken][what as usize - 3]);
                        }
                    }
                    Step::Receive => {
                        now += Duration::from_millis(millis);
                        match what {
                            0 => { shard.ended(now); opened = None; }
                            1 => shard.dropped(now),
                            2 => shard.accepted("9"),
                            _ => shard.failed(now, Failure::Broken),
                        }
                    }
                    Step::Gone | Step::Invalid => unreachable!(),
                }
            }
        }
    }
}
