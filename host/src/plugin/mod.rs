//! The WebAssembly boundary: users' components run here, and only here is the runtime named.
//!
//! The rule: **nothing that a plugin does can harm the host or its neighbours.** It computes with what it is given, within limits; what
//! it returns is checked before anybody else sees it; what it did in a call that failed did not happen.
//! Left to others: where records come from and go (`transform`, `window`), who runs which version (`job`).
//!
//! ```no_run
//! # async fn example() -> pelton::error::Result<()> {
//! use pelton::plugin::{Limits, Plugins};
//! let plugins = Plugins::new(None, Limits::default())?;
//! let plugin = plugins.load("drop_bots.wasm".as_ref()).await?;
//! println!("{} is a {}", plugin.digest(), plugin.world());
//! # Ok(()) }
//! ```

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    clock::{Clock, SystemClock},
    error::{Error, Kind, Result},
};

mod bindings;
mod bisect;
mod cache;
mod capability;
mod compiler;
mod describe;
mod engine;
mod instance;
mod lift;
mod limits;
mod lower;
mod package;
mod share;
mod worlds;

pub use bisect::{Bisected, KeyState, Rejected, Seen, StateCell};
pub use capability::{
    log::{Level, LogLine, LogSink, TracingLog, clean},
    metrics::{Metric, Metrics},
    names::Capability,
    state::{KeyedState, Page, Place, SharedState},
};
pub use compiler::{COMMAND, Compiler, compile_for_parent};
pub use describe::{Connector, Field, FieldKind, Identity, Input, Manifest, Output, Table};
pub use instance::Failure;
pub use lift::{Emitted, Processed, RecordError, TimerOps};
pub use limits::{Bounds, Limits};
pub use package::World;
pub use worlds::BatchPlugin;
pub use worlds::aggregator::{AggregatorInstance, Closing, Firing, Folded, KeySet, Windows};
pub use worlds::enricher::{Connect, EnricherInstance, Order, Outcome, Request};
pub use worlds::stateful::{Calling, Due, Keyed, KeyedPlugin, Outdated, StatefulInstance};
pub use worlds::transformer::TransformerInstance;

/// Where an instance works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// the step's `config:` as JSON
    pub config: Arc<str>,
    /// the job's name
    pub job: Arc<str>,
    /// the step's name
    pub step: Arc<str>,
    /// the deployed version of the job
    pub generation: u64,
}

impl Context {
    /// Of a copy that runs in no job.
    fn of_nothing(config: &str) -> Self {
        Self { config: config.into(), job: "describe".into(), step: "describe".into(), generation: 0 }
    }
}

/// What a call is told beside its records: the same again for a retry or a bisection of the same batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// processing time; also what the guest's clocks show
    pub now_ms: i64,
    /// for the guest's random numbers
    pub seed: u64,
    /// how far event time has come; none before the first watermark
    pub watermark_ms: Option<i64>,
}

/// The engine that all plugins of a process share.
pub struct Plugins {
    engine: Arc<engine::Engine>,
    linker: Arc<wasmtime::component::Linker<capability::Guest>>,
    cache: Option<cache::Cache>,
    compiler: Compiler,
    surroundings: instance::Surroundings,
}

impl Plugins {
    /// Starts the engine. With a folder, compiled plugins are kept in it.
    pub fn new(cache: Option<PathBuf>, limits: Limits) -> Result<Self> {
        Self::with_log(cache, limits, Arc::new(TracingLog), SystemClock::shared())
    }

    /// As [`Plugins::new`], with a place of its own for what plugins say.
    pub fn with_log(
        cache: Option<PathBuf>,
        limits: Limits,
        sink: Arc<dyn LogSink>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let engine = Arc::new(engine::Engine::new()?);
        let linker = capability::linker(&engine.inner)
            .map_err(|error| Error::new(Kind::Internal, format!("cannot link what plugins are given: {error:#}")))?;
        let cache = cache.as_deref().map(cache::Cache::open).transpose()?;
        let surroundings = instance::Surroundings { limits: Arc::new(limits), sink, clock, peak: Arc::default() };
        Ok(Self { engine, linker: Arc::new(linker), cache, compiler: Compiler::Here, surroundings })
    }

    /// Lets this compiler compile.
    pub fn compiled_by(self, compiler: Compiler) -> Self {
        Self { compiler, ..self }
    }

    /// The most memory that an instance of this engine has held after a call, bytes.
    pub fn peak_memory(&self) -> usize {
        self.surroundings.peak.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Reads, checks and compiles a plugin, off the runtime's own threads.
    pub async fn load(&self, path: &Path) -> Result<Plugin> {
        let (engine, linker, cache) = (self.engine.clone(), self.linker.clone(), self.cache.clone());
        let (compiler, limits, path) = (self.compiler.clone(), self.surroundings.limits.clone(), path.to_owned());
        let package =
            crate::task::blocking(move || package::load(&engine, &linker, (&compiler, cache.as_ref()), &limits, &path))
                .await?;
        Ok(Plugin { package: Arc::new(package), surroundings: self.surroundings.clone() })
    }
}

/// A loaded plugin, cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    package: Arc<package::Package>,
    surroundings: instance::Surroundings,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({} {})", self.world(), self.digest())
    }
}

impl Plugin {
    /// SHA-256 of the component, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.package.digest
    }

    /// What it is made for.
    pub fn world(&self) -> World {
        self.package.world
    }

    /// The interfaces that it asks the host for, with versions.
    pub fn imports(&self) -> &[String] {
        &self.package.imports
    }

    /// The same plugin within other bounds.
    pub fn within(&self, bounds: &Bounds) -> Self {
        let limits = Arc::new(bounds.of(&self.surroundings.limits));
        let surroundings = instance::Surroundings { limits, ..self.surroundings.clone() };
        Self { package: self.package.clone(), surroundings }
    }

    /// What it uses besides computing, where it says this of itself.
    pub fn uses(&self, manifest: &Manifest) -> BTreeSet<Capability> {
        Capability::of(self.imports(), manifest)
    }

    /// What it says of itself under this config (JSON).
    pub async fn describe(&self, config: &str) -> Result<Manifest> {
        self.manifest(&Context::of_nothing(config)).await
    }

    /// Starts a copy with this config and drops it. `Kind::Config` where it refuses the config or fails over it.
    pub async fn starts(&self, config: &str) -> Result<()> {
        let started = self.instance(Context::of_nothing(config)).warm().await;
        started.map_err(|failure| Error::new(Kind::Config, format!("init: {failure}")))
    }

    /// A copy that transforms batches. It starts at the first call, or with [`TransformerInstance::start`].
    pub async fn transformer(&self, context: Context) -> Result<TransformerInstance> {
        self.expect(World::Transformer, &context)?;
        let manifest = self.manifest(&context).await?;
        Ok(TransformerInstance::new(self.instance(context), manifest))
    }

    /// A copy that transforms batches over keyed state, of either world that does. It starts at the first call, or with
    /// [`StatefulInstance::start`].
    pub async fn stateful(&self, context: Context) -> Result<StatefulInstance> {
        if self.world() != World::KeyedTransformer {
            self.expect(World::StatefulTransformer, &context)?;
        }
        let manifest = self.manifest(&context).await?;
        Ok(StatefulInstance::new(self.instance(context), manifest, self.world()))
    }

    /// A copy that asks others; `connect` is given the names of the connectors that it declares. It starts at the first call.
    pub async fn enricher(
        &self,
        context: Context,
        order: Order,
        connect: impl FnOnce(&[&str]) -> Result<Arc<dyn Connect>>,
    ) -> Result<EnricherInstance> {
        self.expect(World::Enricher, &context)?;
        let manifest = self.manifest(&context).await?;
        let names: Vec<&str> = manifest.connectors.iter().map(|connector| &*connector.name).collect();
        let connect = connect(&names)?;
        Ok(EnricherInstance::new(self.instance(context), manifest, (connect, order)))
    }

    /// A copy that aggregates windows. It starts at the first call, or with [`AggregatorInstance::start`].
    pub async fn aggregator(&self, context: Context) -> Result<AggregatorInstance> {
        self.expect(World::Aggregator, &context)?;
        let manifest = self.manifest(&context).await?;
        Ok(AggregatorInstance::new(self.instance(context), manifest))
    }

    fn instance(&self, context: Context) -> instance::Instance {
        instance::Instance::new(self.package.clone(), self.surroundings.clone(), context)
    }

    fn expect(&self, world: World, context: &Context) -> Result<()> {
        if self.world() == world {
            return Ok(());
        }
        let text = format!("step `{}` needs a {world}, its plugin is a {}", context.step, self.world());
        Err(Error::new(Kind::Config, text))
    }

    async fn manifest(&self, context: &Context) -> Result<Manifest> {
        let described = self.instance(context.clone()).describe(&context.config).await;
        described
            .and_then(|manifest| describe::check(manifest, self.world()).map_err(|what| Failure::Invalid { what }))
            .map_err(|failure| Error::new(Kind::Config, format!("step `{}`: describe: {failure}", context.step)))
    }
}
