//! The one engine: what WebAssembly may use, and the ticker that lets a guest be interrupted.
//!
//! The rule: nothing that makes a guest's result depend on the machine (threads, relaxed SIMD, NaN bits) is on.
//! Left to others: how long a guest may run (`instance`), and how much it may hold (`limits`).

use std::{
    num::NonZeroUsize,
    sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel},
};

use super::limits::TICK;
use crate::error::{Error, Kind, Result};

/// Frames of a guest's stack that a trap shows.
const FRAMES: NonZeroUsize = NonZeroUsize::new(20).expect("twenty is not zero");

/// The engine and its ticker; the ticker ends when this is dropped.
pub(super) struct Engine {
    pub(super) inner: wasmtime::Engine,
    _ticker: Ticker,
}

impl Engine {
    /// Starts the engine.
    pub(super) fn new() -> Result<Self> {
        let inner = wasmtime::Engine::new(&config())
            .map_err(|error| Error::new(Kind::Internal, format!("cannot start the WebAssembly engine: {error:#}")))?;
        let ticker = Ticker::start(inner.clone())?;
        Ok(Self { inner, _ticker: ticker })
    }
}

/// Concurrency support stays off: it doubles the cost of a call, and no world of ours needs it. Threads are not compiled in.
fn config() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true)
        .wasm_backtrace_max_frames(Some(FRAMES))
        .max_wasm_stack(512 << 10);
    config
}

/// A thread of its own, because a guest that never yields holds the executor's thread.
struct Ticker {
    _stop: SyncSender<()>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> Result<Self> {
        let (stop, stopped) = sync_channel::<()>(0);
        std::thread::Builder::new()
            .name("plugin-ticker".into())
            .spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
                    engine.increment_epoch();
                }
            })
            .map_err(|error| {
                Error::new(Kind::Unavailable, format!("cannot start the plugin ticker thread: {error}"))
            })?;
        Ok(Self { _stop: stop })
    }
}
