//! Answers what checking a job asks: what a plugin says about itself, and which fields a subject has.

use std::{path::Path, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};
use tokio::runtime::Handle;

use super::{FieldKind, PluginField, PluginInspector, PluginInterface, PluginOutput, SchemaLookup, World};
use crate::{
    clock::SystemClock,
    decode::{
        self, Encoding, Format,
        avro::{AvroSchema, infer_parsed},
        registry::{MemorySource, Patience, Registry},
    },
    plugin::{self, Plugins},
};

/// Asks real plugins and a real registry. Called off the runtime's own threads.
pub struct Inspector {
    /// the engine
    pub plugins: Arc<Plugins>,
    /// the job's registry, if it has one
    pub registry: Option<Arc<Registry>>,
    /// where the asking runs
    pub runtime: Handle,
}

impl PluginInspector for Inspector {
    fn inspect(&self, path: &Path, config: &serde_json::Value) -> Result<PluginInterface, String> {
        self.runtime.block_on(async {
            let loaded = self.plugins.load(path).await.map_err(|e| e.to_string())?;
            let manifest = loaded.describe(&config.to_string()).await.map_err(|e| e.to_string())?;
            let world = match loaded.world() {
                plugin::World::Transformer => World::Transformer,
                plugin::World::Aggregator => World::Aggregator,
            };
            let field =
                |f: &plugin::Field| PluginField { path: f.path.to_string(), kind: kind(f.kind), optional: f.optional };
            let output = |o: &plugin::Output| PluginOutput {
                name: o.name.clone(),
                fields: o.fields.iter().map(field).collect(),
            };
            Ok(PluginInterface {
                world,
                name: manifest.name.clone(),
                version: manifest.version.clone(),
                digest: loaded.digest().to_owned(),
                wants: manifest.input().fields.iter().map(field).collect(),
                outputs: manifest.outputs.iter().map(output).collect(),
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

impl SchemaLookup for Inspector {
    fn fields(&self, subject: &str, reader: Option<&str>) -> Result<SchemaRef, String> {
        let schema = match (reader, &self.registry) {
            (Some(text), _) => Arc::new(AvroSchema::parse(text, &[]).map_err(|e| e.to_string())?),
            (None, Some(registry)) => self.runtime.block_on(registry.latest(subject)).map_err(|e| e.to_string())?,
            (None, None) => {
                return Err("the job names no `registry:`, so the subject's schema cannot be found".to_owned());
            }
        };
        let wanted = infer_parsed(&schema);
        let nowhere = Registry::new(Box::new(MemorySource::default()), Patience::default(), SystemClock::shared());
        let format = Format::from(Encoding::Avro { schemas: nowhere, reader: Some(schema) });
        let decoder = decode::decoder(&format, &wanted).map_err(|e| e.to_string())?;
        let named = |field: &Arc<Field>| Field::new(field.name(), field.data_type().clone(), field.is_nullable());
        Ok(Arc::new(Schema::new(decoder.schema().fields().iter().map(named).collect::<Vec<_>>())))
    }
}
