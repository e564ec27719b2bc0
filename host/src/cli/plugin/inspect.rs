//! `pelton plugin inspect`: what a component is and asks for, as the host sees it.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use serde_json::{Value as Json, json};

use crate::{
    cli::{Output, line, plugins, runtime},
    clock::{Clock as _, SystemClock},
    error::{Error, Kind, Result},
    plugin::{Field, Limits, Manifest, Plugin, World},
};

/// Say what a plugin is.
#[derive(Debug, Args)]
pub struct Arguments {
    /// the component
    file: PathBuf,
    /// the step's `config:` as JSON; some plugins name their fields by it
    #[arg(long, default_value = "{}")]
    config: String,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// What was found out.
struct Seen {
    plugin: Plugin,
    manifest: Manifest,
    bytes: u64,
    load_ms: u128,
    limits: Limits,
}

/// Runs the command.
pub fn inspect(arguments: &Arguments) -> Result<()> {
    if let Err(bad) = serde_json::from_str::<Json>(&arguments.config) {
        return Err(Error::new(Kind::Config, format!("--config is no JSON: {bad}")));
    }
    let limits = Limits::default();
    let plugins = Arc::new(plugins()?);
    let runtime = runtime()?;
    let seen = runtime.block_on(async {
        let clock = SystemClock::new();
        let plugin = plugins.load(&arguments.file).await?;
        let load_ms = clock.elapsed().as_millis();
        let manifest = plugin.describe(&arguments.config).await?;
        let bytes = std::fs::metadata(&arguments.file).map_or(0, |found| found.len());
        Ok::<_, Error>(Seen { plugin, manifest, bytes, load_ms, limits })
    })?;
    match arguments.format {
        Output::Json => line(as_json(&seen)),
        Output::Text => text(&seen).into_iter().for_each(line),
    }
    Ok(())
}

/// What the interfaces that a plugin imports let it do.
fn capabilities(plugin: &Plugin) -> Vec<&'static str> {
    let can = |import: &str| match import.split('@').next().unwrap_or(import) {
        "pelton:plugin/log" => Some("log"),
        "pelton:plugin/metrics" => Some("metrics"),
        "pelton:plugin/state" => Some("state by key"),
        name if name.starts_with("wasi:") => Some("stand-ins for WASI (no files, no network, the batch's clock)"),
        _ => None,
    };
    let mut found: Vec<&str> = plugin.imports().iter().filter_map(|import| can(import)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn kind(field: &Field) -> String {
    format!("{:?}{}", field.kind, if field.optional { "?" } else { "" }).to_lowercase()
}

fn fields(fields: &[Field]) -> String {
    if fields.is_empty() {
        return "no fields".to_owned();
    }
    fields.iter().map(|field| format!("{} {}", field.path, kind(field))).collect::<Vec<_>>().join(", ")
}

fn text(seen: &Seen) -> Vec<String> {
    let Seen { plugin, manifest, bytes, load_ms, limits } = seen;
    let row = |name: &str, value: String| format!("{name:<13} {value}");
    let mut lines = vec![row("plugin", format!("{} {}", manifest.name, manifest.version))];
    if !manifest.doc.is_empty() {
        lines.push(row("about", manifest.doc.clone()));
    }
    lines.push(row("world", plugin.world().to_string()));
    for input in &manifest.inputs {
        lines.push(row("input", format!("{}: {}", input.name, fields(&input.fields))));
    }
    for output in &manifest.outputs {
        lines.push(row("output", format!("{}: {}", output.name, fields(&output.fields))));
    }
    if !manifest.key.is_empty() {
        lines.push(row("key", fields(&manifest.key)));
    } else if !matches!(plugin.world(), World::Transformer | World::Aggregator | World::Enricher) {
        lines.push(row("key", "any".to_owned()));
    }
    lines.extend(manifest.tables.iter().map(|table| {
        let from: Vec<String> = table.migrates_from.iter().map(u32::to_string).collect();
        let from = if from.is_empty() { String::new() } else { format!(", migrates from {}", from.join(", ")) };
        let ttl = table.ttl_ms.map_or(String::new(), |ms| format!(", values live {ms} ms"));
        row("table", format!("{}: version {}{from}{ttl}", table.name, table.schema_version))
    }));
    lines.extend(manifest.connectors.iter().map(|connector| row("connector", connector.name.clone())));
    lines.push(row("may", capabilities(plugin).join("; ")));
    lines.push(row("size", format!("{bytes} bytes, loaded in {load_ms} ms")));
    lines.push(row("sha256", plugin.digest().to_owned()));
    let memory = limits.memory >> 20;
    lines.push(row("limits", format!("{memory} MiB of memory, {:?} of CPU time a call", limits.call_time)));
    lines
}

fn as_json(seen: &Seen) -> Json {
    let Seen { plugin, manifest, bytes, load_ms, limits } = seen;
    let fields = |fields: &[Field]| {
        let one = |field: &Field| json!({ "path": *field.path, "kind": kind(field), "doc": field.doc });
        fields.iter().map(one).collect::<Vec<_>>()
    };
    let schema = manifest.config_schema.as_deref().and_then(|text| serde_json::from_str::<Json>(text).ok());
    json!({
        "name": manifest.name,
        "version": manifest.version,
        "doc": manifest.doc,
        "world": plugin.world().to_string(),
        "sha256": plugin.digest(),
        "bytes": bytes,
        "load_ms": load_ms,
        "imports": plugin.imports(),
        "may": capabilities(plugin),
        "config_schema": schema,
        "inputs": manifest.inputs.iter().map(|input| json!({ "name": input.name, "fields": fields(&input.fields) }))
            .collect::<Vec<_>>(),
        "outputs": manifest.outputs.iter().map(|output| json!({ "name": output.name, "fields": fields(&output.fields) }))
            .collect::<Vec<_>>(),
        "key": fields(&manifest.key),
        "tables": manifest.tables.iter().map(|table| json!({
            "name": table.name,
            "version": table.schema_version,
            "migrates_from": table.migrates_from,
            "ttl_ms": table.ttl_ms,
        })).collect::<Vec<_>>(),
        "connectors": manifest.connectors.iter().map(|connector| &connector.name).collect::<Vec<_>>(),
        "limits": { "memory_bytes": limits.memory, "call_ms": limits.call_time.as_millis(), "output_bytes": limits.output },
    })
}
