//! One running copy of a plugin, and one call at a time into it.
//!
//! The rule: **an instance that trapped, ran too long or was given up in the middle of a call is never used again**; the next call
//! gets a fresh one. While a guest runs it gives way at every tick, to the back of the executor's queue, and what counts against its
//! budget is the CPU time of the thread in the guest.
//! Left to others: what is passed in (`lower`) and out (`lift`), which record is at fault (`bisect`).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};

use super::{
    Call, Context,
    bindings::{aggregate, enrich, keyed, lifecycle, migrate_state, on_timers, transform, types},
    capability::{
        Guest,
        log::{Log, LogSink, clean},
        metrics::Metrics,
        state::SharedState,
    },
    limits::{HANDLES, Limits},
    package::{Indices, Package},
    share::Share,
};
use crate::clock::{self, Clock};

/// Why a call into a plugin gave nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// the guest stopped itself or was stopped; frames innermost first, with function names
    Trap { message: String, backtrace: Vec<String> },
    /// the guest used up its CPU time
    TimedOut { spent: Duration, budget: Duration, backtrace: Vec<String> },
    /// the guest returned something that the interface does not allow
    Invalid { what: String },
    /// the batch is not what the manifest asks for: the host's mistake, the guest was not called
    Unfit { what: String },
    /// the host could not read or write state: no fault of the guest
    State(String),
    /// a record has no value where the manifest says that there always is one; the guest was not called
    Missing { what: String },
    /// the guest asks to be called again later
    Retry(String),
    /// the guest says that it cannot go on
    Fatal(String),
    /// a record whose batch failed, and that the search for the ones at fault did not come to
    NotTried(String),
}

impl Failure {
    /// Stable, short, snake_case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trap { .. } => "plugin_trapped",
            Self::TimedOut { .. } => "plugin_timed_out",
            Self::Invalid { .. } => "plugin_broke_interface",
            Self::Unfit { .. } => "batch_unfit",
            Self::State(_) => "state_failed",
            Self::Missing { .. } => "value_missing",
            Self::Retry(_) => "plugin_asks_retry",
            Self::Fatal(_) => "plugin_failed",
            Self::NotTried(_) => "not_tried",
        }
    }

    /// The guest's stack, innermost first; empty where there is none.
    pub fn backtrace(&self) -> &[String] {
        match self {
            Self::Trap { backtrace, .. } | Self::TimedOut { backtrace, .. } => backtrace,
            _ => &[],
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trap { message, .. } => write!(f, "the plugin trapped: {message}")?,
            Self::TimedOut { spent, budget, .. } => {
                write!(f, "the plugin took {spent:.0?} of CPU time, the limit is {budget:.0?} a call")?;
            }
            Self::Invalid { what } => write!(f, "the plugin broke the interface: {what}")?,
            Self::Unfit { what } => write!(f, "the batch does not fit the plugin: {what}")?,
            Self::State(message) => write!(f, "the state cannot be used: {message}")?,
            Self::Missing { what } => write!(f, "a value is missing: {what}")?,
            Self::Retry(message) => write!(f, "the plugin asks for a retry: {message}")?,
            Self::Fatal(message) => write!(f, "the plugin failed: {message}")?,
            Self::NotTried(message) => write!(f, "the record was not tried: {message}")?,
        }
        self.backtrace().iter().try_for_each(|frame| write!(f, "\n    at {frame}"))
    }
}

impl std::error::Error for Failure {}

/// What every instance of a host shares.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) limits: Arc<Limits>,
    pub(super) sink: Arc<dyn LogSink>,
    pub(super) clock: Arc<dyn Clock>,
    /// the most that an instance has held
    pub(super) peak: Arc<AtomicUsize>,
}

/// A copy of a plugin that is replaced when it has to be.
pub(super) struct Instance {
    package: Arc<Package>,
    surroundings: Surroundings,
    context: Context,
    log: Log,
    idle: Option<Running>,
    calls: u32,
    spent: Duration,
    share: Option<Share>,
    metrics: Metrics,
}

/// A copy in the middle of a call. Dropping it gives it up.
pub(super) struct Running {
    pub(super) store: Store<Guest>,
    exports: Exports,
}

/// What can be called; those are there that the package's world has.
struct Exports {
    lifecycle: lifecycle::Guest,
    transform: Option<transform::Guest>,
    aggregate: Option<aggregate::Guest>,
    enrich: Option<enrich::Guest>,
    keyed: Option<keyed::Guest>,
    on_timers: Option<on_timers::Guest>,
    migrate_state: Option<migrate_state::Guest>,
}

impl Running {
    pub(super) fn transform(&mut self) -> (&transform::Guest, &mut Store<Guest>) {
        (self.exports.transform.as_ref().expect("a transformer instance has a transformer's package"), &mut self.store)
    }

    pub(super) fn aggregate(&mut self) -> (&aggregate::Guest, &mut Store<Guest>) {
        (self.exports.aggregate.as_ref().expect("an aggregator instance has an aggregator's package"), &mut self.store)
    }

    pub(super) fn enrich(&mut self) -> (&enrich::Guest, &mut Store<Guest>) {
        (self.exports.enrich.as_ref().expect("an enricher instance has an enricher's package"), &mut self.store)
    }

    pub(super) fn keyed(&mut self) -> (&keyed::Guest, &mut Store<Guest>) {
        (self.exports.keyed.as_ref().expect("a keyed transformer instance has its package"), &mut self.store)
    }

    pub(super) fn on_timers(&mut self) -> (&on_timers::Guest, &mut Store<Guest>) {
        (self.exports.on_timers.as_ref().expect("a stateful transformer instance has its package"), &mut self.store)
    }

    pub(super) fn migrate_state(&mut self) -> (&migrate_state::Guest, &mut Store<Guest>) {
        (self.exports.migrate_state.as_ref().expect("a package of a world with state migrates"), &mut self.store)
    }
}

impl Instance {
    pub(super) fn new(package: Arc<Package>, surroundings: Surroundings, context: Context) -> Self {
        let lines = surroundings.limits.log_lines;
        let log = Log::new(context.step.clone(), surroundings.sink.clone(), surroundings.clock.clone(), lines);
        let share = surroundings.limits.cpu.map(Share::new);
        let (spent, metrics) = (Duration::ZERO, Metrics::default());
        Self { package, surroundings, context, log, idle: None, calls: 0, spent, share, metrics }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.surroundings.limits
    }

    /// CPU time that the last call took.
    pub(super) fn spent(&self) -> Duration {
        self.spent
    }

    /// What the plugin counted since this was last asked.
    pub(super) fn take_metrics(&mut self) -> Metrics {
        std::mem::take(&mut self.metrics)
    }

    /// The next call gets a fresh copy.
    pub(super) fn renew(&mut self) {
        self.idle = None;
    }

    /// Starts a copy, if none is waiting.
    pub(super) async fn warm(&mut self) -> Result<(), Failure> {
        if self.idle.is_none() {
            let call = Call { now_ms: 0, seed: 0, watermark_ms: None };
            self.idle = Some(self.start(&call).await?);
        }
        Ok(())
    }

    /// What the guest returned cannot be: it is not trusted to be in order afterwards.
    pub(super) fn broke(&mut self, what: String) -> Failure {
        self.renew();
        Failure::Invalid { what }
    }

    /// A copy that may be called once, for at most `budget`, over this state.
    pub(super) async fn begin(
        &mut self,
        call: &Call,
        budget: Duration,
        state: Option<SharedState>,
    ) -> Result<Running, Failure> {
        self.spent = Duration::ZERO;
        if let Some(share) = &self.share {
            let wait = share.wait(self.surroundings.clock.elapsed());
            if !wait.is_zero() {
                clock::sleep(wait).await;
            }
        }
        let mut running = match self.idle.take() {
            Some(running) => running,
            None => self.start(call).await?,
        };
        arm(&mut running.store, call.now_ms, budget);
        running.store.data_mut().state.open(state, self.limits().output);
        Ok(running)
    }

    /// Takes a copy back, if it may be used again.
    pub(super) fn end<T>(
        &mut self,
        mut running: Running,
        answer: wasmtime::Result<Result<T, types::Failure>>,
    ) -> Result<T, Failure> {
        running.store.data().meter.pause();
        self.spent = running.store.data().meter.spent();
        if let Some(share) = &mut self.share {
            share.charge(self.spent, self.surroundings.clock.elapsed());
        }
        let failed = running.store.data_mut().state.failed.take();
        running.store.data_mut().state.open(None, 0);
        if let Some(failed) = failed {
            return Err(Failure::State(failed.to_string()));
        }
        let answer = answer.map_err(|error| trapped(running.store.data_mut(), &error))?;
        let counted = std::mem::take(&mut running.store.data_mut().metrics);
        if answer.is_ok() {
            self.metrics.merge(counted);
        }
        // what a guest wrote to stderr without trapping explains no later trap
        self.log.last_words();
        self.calls += 1;
        self.surroundings.peak.fetch_max(running.store.data().growth.memory, Relaxed);
        if self.calls < self.limits().calls && running.store.data().growth.memory <= self.limits().memory_watermark {
            self.idle = Some(running);
        }
        answer.map_err(|failure| match failure {
            types::Failure::Retry(message) => Failure::Retry(clean(&message)),
            types::Failure::Fatal(message) => Failure::Fatal(clean(&message)),
        })
    }

    /// Asks the plugin what it is, in a copy that nothing else uses and that is not initialised.
    pub(super) async fn describe(&mut self, config: &str) -> Result<types::Manifest, Failure> {
        let call = Call { now_ms: 0, seed: 0, watermark_ms: None };
        let mut running = self.instantiate(&call).await?;
        arm(&mut running.store, call.now_ms, self.limits().call_time);
        let answer = running.exports.lifecycle.call_describe(&mut running.store, config).await;
        let described = answer.map_err(|error| trapped(running.store.data_mut(), &error))?;
        described.map_err(|message| Failure::Fatal(clean(&message)))
    }

    async fn start(&mut self, call: &Call) -> Result<Running, Failure> {
        let mut running = self.instantiate(call).await?;
        let budget = self.limits().call_time;
        arm(&mut running.store, call.now_ms, budget);
        let context = types::Context {
            config: &self.context.config,
            job: &self.context.job,
            step: &self.context.step,
            generation: self.context.generation,
            annotations: &[],
        };
        let answer = running.exports.lifecycle.call_init(&mut running.store, context).await;
        let started = answer.map_err(|error| trapped(running.store.data_mut(), &error))?;
        started.map_err(|message| Failure::Fatal(format!("it refuses its configuration: {}", clean(&message))))?;
        self.calls = 0;
        Ok(running)
    }

    async fn instantiate(&mut self, call: &Call) -> Result<Running, Failure> {
        let (package, limits) = (self.package.clone(), self.surroundings.limits.clone());
        let mut store = Store::new(&package.engine.inner, Guest::new(&limits, self.log.clone()));
        store.limiter(|guest| &mut guest.growth);
        store.set_hostcall_fuel(limits.output);
        store.set_max_component_handles(HANDLES);
        store.epoch_deadline_callback(|guest| {
            let meter = guest.data().meter.clone();
            meter.pause();
            if meter.exhausted() {
                return Ok(UpdateDeadline::Interrupt);
            }
            let back_of_the_queue = async move {
                tokio::task::yield_now().await;
                meter.resume();
            };
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(back_of_the_queue)))
        });
        arm(&mut store, call.now_ms, limits.call_time);
        let instance = package.pre.instantiate_async(&mut store).await;
        let instance = instance.map_err(|error| trapped(store.data_mut(), &error))?;
        let exports = exports(&package, &mut store, &instance).map_err(|error| Failure::Invalid {
            what: format!("its exports have other types than pelton:plugin@0.1: {}", clean(&format!("{error:#}"))),
        })?;
        Ok(Running { store, exports })
    }
}

fn exports(
    package: &Package,
    store: &mut Store<Guest>,
    instance: &wasmtime::component::Instance,
) -> wasmtime::Result<Exports> {
    let Indices { lifecycle, transform, aggregate, enrich, keyed, on_timers, migrate_state } = &package.exports;
    Ok(Exports {
        lifecycle: lifecycle.load(&mut *store, instance)?,
        transform: transform.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?,
        aggregate: aggregate.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?,
        enrich: enrich.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?,
        keyed: keyed.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?,
        on_timers: on_timers.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?,
        migrate_state: migrate_state.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?,
    })
}

/// The clock of the call and its budget start here.
fn arm(store: &mut Store<Guest>, now_ms: i64, budget: Duration) {
    let guest = store.data_mut();
    guest.now_ms = now_ms;
    guest.growth.refused = None;
    guest.meter.start(budget);
    store.set_epoch_deadline(1);
}

/// Words for an error that ended a call, with all that is known about why.
fn trapped(guest: &mut Guest, error: &wasmtime::Error) -> Failure {
    let (backtrace, recursion) = error.downcast_ref::<WasmBacktrace>().map(frames).unwrap_or_default();
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::Interrupt) {
        return Failure::TimedOut { spent: guest.meter.spent(), budget: guest.meter.budget(), backtrace };
    }
    let cause = match trap {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let mut message = clean(&cause);
    for hint in [guest.growth.refused.take(), recursion].into_iter().flatten() {
        message = format!("{message}; {hint}");
    }
    if let Some(words) = guest.log.last_words() {
        message = format!("{message}; its last words: {words}");
    }
    Failure::Trap { message, backtrace }
}

/// A frame that repeats this often is taken for a recursion without end.
const RECURSION: usize = 10;

/// Function names, innermost first, frames that repeat as one; and a word about a recursion.
fn frames(backtrace: &WasmBacktrace) -> (Vec<String>, Option<String>) {
    let text = backtrace.to_string();
    let names: Vec<&str> = text.lines().skip(1).filter(|line| !line.starts_with("note:")).map(function).collect();
    let mut recursion = None;
    let frames = names
        .chunk_by(|a, b| a == b)
        .map(|same| {
            let name = clean(same[0]);
            if same.len() >= RECURSION {
                recursion = Some(format!("`{name}` calls itself without end"));
            }
            if same.len() > 1 { format!("{name} ({} times)", same.len()) } else { name }
        })
        .collect();
    (frames, recursion)
}

/// `  0:   0x5884 - guest.wasm!guest::f::h41ed90b4d7cd0946` without what only a machine needs.
fn function(line: &str) -> &str {
    let line = line.trim();
    let name = line.split_once(" - ").map_or(line, |(_, name)| name);
    match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()) => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_shown_by_the_name_of_its_function() {
        assert_eq!(function("  0:   0x5884 - g.wasm!g::f::h41ed90b4d7cd0946"), "g.wasm!g::f");
        assert_eq!(
            function("  1:  0x10b75 - g.wasm!pelton:plugin/transform@0.1.0#process"),
            "g.wasm!pelton:plugin/transform@0.1.0#process"
        );
        assert_eq!(function("strange"), "strange");
    }
}
