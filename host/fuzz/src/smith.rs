//! Plugins out of bytes: modules with the functions of a plugin and random bodies, and random components.
//!
//! The rule: the same seed makes the same bytes for as long as `wasm-smith` stays at its version. Some of them stand in
//! `host/tests/cases/component`, where `seed` says what made them. Left to others: what becomes of them (`host/tests/bad_input/component`).

use arbitrary::Unstructured;
use wasm_smith::{Component, Config, Module};

/// A core module with the functions of a transformer, whose bodies, memory and data are random.
pub fn module(seed: u64) -> Option<Vec<u8>> {
    let config = Config {
        module_shape: Some(wat::parse_str(SHAPE).ok()?),
        max_instructions: 400,
        max_memory32_bytes: 1 << 26,
        custom_page_sizes_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        reference_types_enabled: false,
        relaxed_simd_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        ..Config::default()
    };
    let bytes = bytes(seed, 8 << 10);
    Some(Module::new(config, &mut Unstructured::new(&bytes)).ok()?.to_bytes())
}

/// A component of random types, imports and modules.
pub fn component(seed: u64) -> Option<Vec<u8>> {
    let bytes = bytes(seed, 4 << 10);
    Some(Component::new(Config::default(), &mut Unstructured::new(&bytes)).ok()?.to_bytes())
}

/// Bytes that follow from a seed (SplitMix64).
fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

const SHAPE: &str = r#"(module
  (import "pelton:plugin/log@0.1.0" "write" (func (param i32 i32 i32 i32 i32)))
  (import "pelton:plugin/metrics@0.1.0" "counter-add" (func (param i32 i32 i64)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "pelton:plugin/lifecycle@0.1.0#describe") (param i32 i32) (result i32) unreachable)
  (func (export "pelton:plugin/lifecycle@0.1.0#init") (param i32 i32 i32 i32 i32 i32 i64 i32 i32) (result i32) unreachable)
  (func (export "pelton:plugin/transform@0.1.0#process") (param i32) (result i32) unreachable))"#;
