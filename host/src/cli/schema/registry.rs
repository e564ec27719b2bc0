//! `pelton schema show` and `register`: what a registry has, and gets.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Place, config, no, parsed, text_of, versions};
use crate::{
    cli::{Output, line},
    decode::registry::{Found, SchemaId},
    error::Result,
};

/// Show a subject.
#[derive(Debug, Args)]
pub struct Show {
    /// the subject (in Glue: the schema)
    subject: String,
    #[command(flatten)]
    place: Place,
    /// print the schemas too
    #[arg(long)]
    schemas: bool,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

fn id_text(id: SchemaId) -> String {
    match id {
        SchemaId::Fingerprint(print) => format!("{print:016x}"),
        other => other.to_string(),
    }
}

/// Runs `pelton schema show`.
pub fn show(arguments: &Show) -> Result<()> {
    let (registry, subject) = (arguments.place.needed()?, &arguments.subject);
    let runtime = crate::cli::runtime()?;
    let mode = runtime.block_on(registry.mode(subject))?;
    let all = versions(&registry, subject)?;
    if all.is_empty() {
        return Err(no(format!("{} has no subject `{subject}`", registry.name())));
    }
    let mut rows = Vec::new();
    for (number, version) in &all {
        // Not every registry has them.
        let facts = runtime.block_on(registry.facts(subject, *number)).unwrap_or_default();
        rows.push((number, version, facts));
    }
    if arguments.format == Output::Json {
        let versions: Vec<_> = rows
            .iter()
            .map(|(number, version, facts)| {
                let facts: serde_json::Map<_, _> =
                    facts.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
                json!({ "version": number, "id": id_text(version.id), "schema": *version.text, "facts": facts })
            })
            .collect();
        line(json!({ "subject": subject, "mode": mode, "versions": versions }));
        return Ok(());
    }
    line(format_args!(
        "{subject}: {} versions, mode {}",
        rows.len(),
        mode.map_or("none is kept".to_owned(), |mode| mode.to_string())
    ));
    line(format_args!("{:<8}{:<38}{:<8}{}", "version", "id", "fields", "record, metadata and tags"));
    for (number, version, facts) in rows {
        let facts: Vec<String> = facts.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let (title, fields) = (version.schema.title(), version.schema.fields().len());
        line(
            format_args!("{number:<8}{:<38}{fields:<8}{title} {}", id_text(version.id), facts.join(" "))
                .to_string()
                .trim_end(),
        );
        if arguments.schemas {
            line(&version.text);
        }
    }
    Ok(())
}

/// Register a schema.
#[derive(Debug, Args)]
pub struct Register {
    /// the subject (in Glue: the schema)
    subject: String,
    /// the schema
    file: PathBuf,
    #[command(flatten)]
    place: Place,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// Runs `pelton schema register`.
pub fn register(arguments: &Register) -> Result<()> {
    let text = text_of(&arguments.file)?;
    parsed(&arguments.file.display().to_string(), &text)?;
    let (registry, subject) = (arguments.place.needed()?, &arguments.subject);
    match crate::cli::runtime()?.block_on(registry.register(subject, &text, true))? {
        Found::Schema(registered) => {
            let (id, version) = (id_text(registered.id), registered.version_of(subject));
            match arguments.format {
                Output::Json => line(json!({ "subject": subject, "id": id, "version": version })),
                Output::Text => line(format_args!("{subject}: version {}, id {id}", version.unwrap_or_default())),
            }
            Ok(())
        }
        Found::Unusable(why) => Err(no(format!("{} does not take it: {why}", registry.name()))),
        Found::Unknown => Err(config(format!("{} does not know it afterwards", registry.name()))),
    }
}
