//! The only door to randomness: jitter for back-off, and nonces.
//!
//! Not for secrets. Ids of results never come from here: they are deterministic.

use std::{
    cell::Cell,
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    time::Duration,
};

thread_local! {
    static SEEDED: Cell<Option<u64>> = const { Cell::new(None) };
    static REPEATS: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread's numbers follow from a seed: for the simulator. None: they are random again.
pub fn seed(seed: Option<u64>) {
    SEEDED.set(seed);
}

/// 64 random bits.
pub fn bits() -> u64 {
    if let Some(state) = SEEDED.get() {
        let next = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        SEEDED.set(Some(next));
        return mixed(next);
    }
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u8(0);
    hasher.finish()
}

/// 64 bits for a thing: random, but in a thread that is [`Repeating`] always the same for the same thing.
pub fn bits_for(thing: impl Hash) -> u64 {
    if !REPEATS.get() {
        return bits();
    }
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}

/// While it is held, what is drawn in this thread for a thing follows from the thing: for replays.
#[derive(Debug)]
pub struct Repeating(());

impl Repeating {
    /// From now on.
    #[must_use]
    pub fn begin() -> Self {
        REPEATS.set(true);
        Self(())
    }
}

impl Drop for Repeating {
    fn drop(&mut self) {
        REPEATS.set(false);
    }
}

/// The finaliser of SplitMix64.
fn mixed(state: u64) -> u64 {
    let a = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    b ^ (b >> 31)
}

/// A time between zero and `bound` (full jitter).
pub fn jitter(bound: Duration) -> Duration {
    bound.mul_f64(bits() as f64 / u64::MAX as f64)
}

/// The wait before attempt `attempt` (0 is the first repeat): full jitter below `base` doubled each time, at most `most`.
pub fn back_off(attempt: u32, base: Duration, most: Duration) -> Duration {
    jitter(base.saturating_mul(2u32.saturating_pow(attempt.min(16))).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_for_a_thing_repeats_itself_in_a_replay_alone() {
        let drawn = || [bits_for(("s", 1)), bits_for(("s", 1)), bits_for(("s", 2))];
        let repeating = Repeating::begin();
        let first = drawn();
        assert!(first[0] == first[1] && first[1] != first[2], "{first:?}");
        assert_eq!(first, drawn());
        drop(repeating);
        assert_ne!(drawn()[0], drawn()[0]);
    }
}
