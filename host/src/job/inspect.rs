//! Answers what checking a job asks: what a plugin says about itself, and what registries say of a subject.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use pelton_schema::Mode;
use tokio::runtime::Handle;

use super::{FieldKind, PluginField, PluginInput, PluginInspector, PluginInterface, PluginOutput, SchemaLookup, World};
use crate::{
    decode::registry::{Found, Registered, Registry, Which},
    error::Kind,
    plugin::{self, Bounds, Plugins},
};

/// Asks real plugins and a real registry. Called off the runtime's own threads.
pub struct Inspector {
    /// the engine
    pub plugins: Arc<Plugins>,
    /// the job's registry, if it has one
    pub registry: Option<Arc<Registry>>,
    /// where the asking runs
    pub runtime: Handle,
    /// how subjects are looked at
    pub subjects: Subjects,
    /// the registry could not be asked
    pub away: AtomicBool,
}

/// Whether the subjects of a job are looked at, beyond the schemas that it cannot do without.
#[derive(Debug)]
pub enum Subjects {
    /// they are, until the registry is found to be away: then they are not waited for again
    Asked(Mutex<Option<String>>),
    /// they are not: a test needs no registry
    Left,
}

impl Subjects {
    /// They are looked at.
    pub fn asked() -> Self {
        Self::Asked(Mutex::new(None))
    }
}

impl PluginInspector for Inspector {
    fn inspect(&self, path: &Path, config: &serde_json::Value, bounds: &Bounds) -> Result<PluginInterface, String> {
        self.runtime.block_on(async {
            let loaded = self.plugins.load(path).await.map_err(|e| e.to_string())?.within(bounds);
            let config = config.to_string();
            let manifest = loaded.describe(&config).await.map_err(|e| e.to_string())?;
            loaded.starts(&config).await.map_err(|e| e.to_string())?;
            let world = match loaded.world() {
                plugin::World::Transformer => World::Transformer,
                plugin::World::StatefulTransformer => World::StatefulTransformer,
                plugin::World::KeyedTransformer => World::KeyedTransformer,
                plugin::World::Aggregator => World::Aggregator,
                plugin::World::Enricher => World::Enricher,
            };
            let field =
                |f: &plugin::Field| PluginField { path: f.path.to_string(), kind: kind(f.kind), optional: f.optional };
            let input =
                |i: &plugin::Input| PluginInput { name: i.name.clone(), wants: i.fields.iter().map(field).collect() };
            let output = |o: &plugin::Output| PluginOutput {
                name: o.name.clone(),
                fields: o.fields.iter().map(field).collect(),
            };
            Ok(PluginInterface {
                world,
                name: manifest.name.clone(),
                version: manifest.version.clone(),
                digest: loaded.digest().to_owned(),
                inputs: manifest.inputs.iter().map(input).collect(),
                key: manifest.key.iter().map(field).collect(),
                outputs: manifest.outputs.iter().map(output).collect(),
                connectors: manifest.connectors.iter().map(|connector| connector.name.to_string()).collect(),
                uses: loaded.uses(&manifest),
            })
        })
    }
}

fn kind(kind: plugin::FieldKind) -> FieldKind {
    match kind {
        plugin::FieldKind::Boolean => FieldKind::Boolean,
        plugin::FieldKind::Int32 => FieldKind::Int32,
        plugin::FieldKind::Int64 => FieldKind::Int64,
        plugin::FieldKind::Float64 => FieldKind::Float64,
        plugin::FieldKind::Text => FieldKind::Text,
        plugin::FieldKind::Binary => FieldKind::Binary,
        plugin::FieldKind::Decimal => FieldKind::Decimal,
        plugin::FieldKind::Timestamp => FieldKind::Timestamp,
        plugin::FieldKind::Date => FieldKind::Date,
        plugin::FieldKind::Json => FieldKind::Json,
    }
}

impl Inspector {
    /// An answer of the registry, in words where there is none.
    fn ask<T>(&self, question: impl AsyncFnOnce(&Registry) -> crate::error::Result<T>) -> Result<T, String> {
        let none = || "the job names no `registry:`, so the subject's schema cannot be found".to_owned();
        let registry = self.registry.as_ref().ok_or_else(none)?;
        self.runtime.block_on(question(registry)).map_err(|failed| {
            self.away.fetch_or(failed.kind() == Kind::Unavailable, Relaxed);
            failed.to_string()
        })
    }

    /// Whether the registry could not be asked: what is missed then may be there.
    pub fn was_away(&self) -> bool {
        self.away.load(Relaxed)
    }

    /// The same for what a job can do without.
    fn look<T>(&self, question: impl AsyncFnOnce(&Registry) -> crate::error::Result<T>) -> Result<T, String> {
        let Subjects::Asked(away) = &self.subjects else { return Err("tests ask no registry".to_owned()) };
        let mut away = away.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &*away {
            return Err(why.clone());
        }
        self.ask(question).inspect_err(|why| *away = Some(why.clone()))
    }
}

impl SchemaLookup for Inspector {
    fn latest(&self, subject: &str) -> Result<Arc<Registered>, String> {
        self.ask(async |registry| registry.latest(subject).await)
    }

    fn versions(&self, subject: &str) -> Result<Vec<u32>, String> {
        self.look(async |registry| registry.versions(subject).await)
    }

    fn version(&self, subject: &str, number: u32) -> Result<Option<Arc<Registered>>, String> {
        let found = self.look(async |registry| registry.version(subject, Which::Number(number)).await)?;
        Ok(match found {
            Found::Schema(schema) => Some(schema),
            Found::Unknown | Found::Unusable(_) => None,
        })
    }

    fn mode(&self, subject: &str) -> Result<Option<Mode>, String> {
        self.look(async |registry| registry.mode(subject).await)
    }

    fn registered(&self, subject: &str, text: &str) -> Result<Option<Arc<Registered>>, String> {
        match self.look(async |registry| registry.register(subject, text, false).await)? {
            Found::Schema(schema) => Ok(Some(schema)),
            Found::Unknown => Ok(None),
            Found::Unusable(why) => Err(why),
        }
    }
}
