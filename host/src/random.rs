//! The only door to randomness: jitter for back-off, and nonces.
//!
//! Not for secrets. Ids of results never come from here: they are deterministic.

use std::{
    cell::Cell,
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

thread_local! {
    static SEEDED: Cell<Option<u64>> = const { Cell::new(None) };
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
