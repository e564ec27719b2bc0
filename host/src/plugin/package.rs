//! A plugin's file: read, checked, compiled, and ready to be instantiated.
//!
//! The rule: whatever a plugin lacks or asks for too much is said when it is loaded, by name, with what to do.
//! Left to others: compiled code on disk (`cache`), what the plugin says of itself (`describe`).

use std::{fmt, io::Read, path::Path, sync::Arc};

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, InstancePre, Linker};

use super::{
    bindings::{aggregate, enrich, keyed, lifecycle, migrate_state, on_timers, transform},
    cache::Cache,
    capability::{ALLOWED, Guest, STATE, log::clean, wasi},
    compiler::Compiler,
    engine::Engine,
    limits::Limits,
};
use crate::error::{Error, Kind, Result};

mod size;

/// What a plugin is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// map, filter, flat-map, route
    Transformer,
    /// the same over keyed state and timers, which it reads and writes itself
    StatefulTransformer,
    /// the same with the state of each key given and given back
    KeyedTransformer,
    /// fold, combine, finish
    Aggregator,
    /// prepare requests, complete with their answers
    Enricher,
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transformer => "transformer",
            Self::StatefulTransformer => "stateful-transformer",
            Self::KeyedTransformer => "keyed-transformer",
            Self::Aggregator => "aggregator",
            Self::Enricher => "enricher",
        })
    }
}

/// A plugin that can be instantiated.
pub(super) struct Package {
    pub(super) digest: String,
    pub(super) world: World,
    pub(super) pre: InstancePre<Guest>,
    pub(super) exports: Indices,
    pub(super) imports: Vec<String>,
    /// keeps the ticker going
    pub(super) engine: Arc<Engine>,
}

/// Where a component has its exports.
pub(super) struct Indices {
    pub(super) lifecycle: lifecycle::GuestIndices,
    pub(super) transform: Option<transform::GuestIndices>,
    pub(super) aggregate: Option<aggregate::GuestIndices>,
    pub(super) enrich: Option<enrich::GuestIndices>,
    pub(super) keyed: Option<keyed::GuestIndices>,
    pub(super) on_timers: Option<on_timers::GuestIndices>,
    pub(super) migrate_state: Option<migrate_state::GuestIndices>,
}

impl Indices {
    fn new(pre: &InstancePre<Guest>, world: World) -> wasmtime::Result<Self> {
        let calls = |worlds: &[World]| worlds.contains(&world);
        let transforms = calls(&[World::Transformer, World::StatefulTransformer]);
        Ok(Self {
            lifecycle: lifecycle::GuestIndices::new(pre)?,
            transform: transforms.then(|| transform::GuestIndices::new(pre)).transpose()?,
            aggregate: calls(&[World::Aggregator]).then(|| aggregate::GuestIndices::new(pre)).transpose()?,
            enrich: calls(&[World::Enricher]).then(|| enrich::GuestIndices::new(pre)).transpose()?,
            keyed: calls(&[World::KeyedTransformer]).then(|| keyed::GuestIndices::new(pre)).transpose()?,
            on_timers: calls(&[World::StatefulTransformer]).then(|| on_timers::GuestIndices::new(pre)).transpose()?,
            migrate_state: (!calls(&[World::Transformer, World::Enricher]))
                .then(|| migrate_state::GuestIndices::new(pre))
                .transpose()?,
        })
    }
}

/// Reads and compiles; blocks for as long as that takes.
pub(super) fn load(
    engine: &Arc<Engine>,
    linker: &Linker<Guest>,
    (compiler, cache): (&Compiler, Option<&Cache>),
    limits: &Limits,
    path: &Path,
) -> Result<Package> {
    let wasm = read(path, limits.component).and_then(check_format).map_err(|what| refuse(path, &what))?;
    let digest = hex(&Sha256::digest(&wasm));
    let component = match cache.and_then(|cache| cache.read(&engine.inner, &digest)) {
        Some(component) => component,
        None => {
            let component = size::check(&wasm).and_then(|()| compiler.compile(engine, &wasm));
            let component = component.map_err(|what| refuse(path, &what))?;
            if let Some(cache) = cache {
                cache.write(&engine.inner, &digest, &component);
            }
            component
        }
    };
    prepare(engine, linker, &component, digest).map_err(|what| refuse(path, &what))
}

/// What is wrong may name what stands in the file, so it may not steer a terminal, and must end.
fn refuse(path: &Path, what: &str) -> Error {
    Error::new(Kind::Config, format!("plugin `{}`: {}", path.display(), clean(what)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

type Checked<T> = std::result::Result<T, String>;

fn read(path: &Path, limit: u64) -> Checked<Vec<u8>> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    // before it is opened: opening a pipe waits for whoever writes to it
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("is not a file".into());
    }
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut wasm = Vec::new();
    file.take(limit + 1).read_to_end(&mut wasm).map_err(cannot)?;
    if wasm.len() as u64 > limit {
        return Err(format!("is larger than {limit} bytes: build it in release mode and strip debug information"));
    }
    Ok(wasm)
}

fn check_format(wasm: Vec<u8>) -> Checked<Vec<u8>> {
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    const ELF: &[u8] = b"\x7fELF";
    if wasm.starts_with(COMPONENT) {
        Ok(wasm)
    } else if wasm.starts_with(MODULE) {
        Err("is a core module, not a component: build it for the target wasm32-wasip2, or wrap it with `wasm-tools component new`".into())
    } else if wasm.starts_with(ELF) {
        Err("is compiled code, which is never loaded from a user's file: give the .wasm it was made from".into())
    } else {
        Err("is not WebAssembly: expected a component in binary form".into())
    }
}

fn prepare(engine: &Arc<Engine>, linker: &Linker<Guest>, component: &Component, digest: String) -> Checked<Package> {
    check_imports(component, &engine.inner, true)?;
    let world = world(component, &engine.inner)?;
    check_imports(component, &engine.inner, world == World::StatefulTransformer)?;
    let words = |error: wasmtime::Error| format!("does not fit pelton:plugin@0.1: {error:#}");
    let pre = linker.instantiate_pre(component).map_err(words)?;
    let exports = Indices::new(&pre, world).map_err(words)?;
    let imports = component.component_type().imports(&engine.inner).map(|(name, _)| name.to_owned()).collect();
    Ok(Package { digest, world, exports, imports, pre, engine: engine.clone() })
}

/// An interface's name without its version, and the version.
fn split(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

/// Whether this host speaks this version of the interface. A pre-release never fits, not even its own release.
fn speaks(version: &str) -> bool {
    version.starts_with("0.1.") && !version.contains('-')
}

fn check_imports(component: &Component, engine: &wasmtime::Engine, has_state: bool) -> Checked<()> {
    let refused: Vec<String> = component
        .component_type()
        .imports(engine)
        .filter(|(name, _)| {
            let (name, version) = split(name);
            let is_ours = ALLOWED.contains(&name) || (has_state && name == STATE);
            !((is_ours && speaks(version)) || (wasi::INTERFACES.contains(&name) && version.starts_with("0.2.")))
        })
        .map(|(name, _)| format!("`{name}` ({})", why(name)))
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(format!("imports what plugins are not given: {}", refused.join(", "))) }
}

fn why(import: &str) -> &'static str {
    let (name, version) = split(import);
    match name {
        _ if name.starts_with("pelton:plugin/") && !speaks(version) => {
            "this host speaks pelton:plugin@0.1: rebuild it with a matching SDK"
        }
        _ if wasi::INTERFACES.contains(&name) => "plugins are given WASI 0.2: build it for the target wasm32-wasip2",
        _ if name.starts_with("wasi:filesystem/") => "plugins have no files; send what they need in the step's config",
        _ if name.starts_with("wasi:sockets/") || name.starts_with("wasi:http/") => "plugins have no network",
        STATE => "keyed state is not offered to this kind of plugin",
        _ => "unknown to this host",
    }
}

fn world(component: &Component, engine: &wasmtime::Engine) -> Checked<World> {
    let ty = component.component_type();
    let mut ours = Vec::new();
    for (name, _) in ty.exports(engine) {
        let (name, version) = split(name);
        if let Some(interface) = name.strip_prefix("pelton:plugin/") {
            if !speaks(version) {
                return Err(format!(
                    "is built for pelton:plugin@{version}, this host speaks 0.1: rebuild it with a matching SDK"
                ));
            }
            ours.push(interface.to_owned());
        }
    }
    let has = |interface: &str| ours.iter().any(|name| name == interface);
    if !has("lifecycle") {
        return Err(
            "exports no `pelton:plugin/lifecycle`, so it is not a Pelton plugin: start from a template of an SDK"
                .into(),
        );
    }
    let worlds = [
        ("transform", World::Transformer),
        ("keyed", World::KeyedTransformer),
        ("aggregate", World::Aggregator),
        ("enrich", World::Enricher),
    ];
    let found: Vec<(&str, World)> = worlds.into_iter().filter(|(interface, _)| has(interface)).collect();
    match found[..] {
        [(_, World::Transformer)] if has("on-timers") => Ok(World::StatefulTransformer),
        [(_, world)] => Ok(world),
        [] => Err("exports none of `transform`, `keyed`, `aggregate` and `enrich`, so there is nothing to call".into()),
        [(first, _), (second, _), ..] => Err(format!("exports both `{first}` and `{second}`: a plugin has one world")),
    }
}
