//! The only door to randomness: jitter for back-off, and nonces.
//!
//! Not for secrets. Ids of results never come from here: they are deterministic.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// 64 random bits.
pub fn bits() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u8(0);
    hasher.finish()
}

/// A time between zero and `bound` (full jitter).
pub fn jitter(bound: Duration) -> Duration {
    bound.mul_f64(bits() as f64 / u64::MAX as f64)
}

/// The wait before attempt `attempt` (0 is the first repeat): full jitter below `base` doubled each time, at most `most`.
pub fn back_off(attempt: u32, base: Duration, most: Duration) -> Duration {
    jitter(base.saturating_mul(2u32.saturating_pow(attempt.min(16))).min(most))
}
