//! libFuzzer's program: one target, named by `PELTON_FUZZ_TARGET`, and libFuzzer's own arguments.
//!
//! The rule: it is built by `cargo xtask fuzz` alone, which counts the edges of Pelton's own code. Left to others: the targets (`lib`).
#![no_main]

use std::sync::LazyLock;

use pelton_fuzz::{TARGETS, Target, target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("PELTON_FUZZ_TARGET").unwrap_or_default();
    let names = TARGETS.map(|target| target.name);
    target(&name).unwrap_or_else(|| panic!("PELTON_FUZZ_TARGET is `{name}`: expected one of {}", names.join(", ")))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.run)(data));
