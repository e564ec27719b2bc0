//! `pelton schema`: schemas as people meet them, in files and in registries; made for a terminal and for a pipeline of CI.
//!
//! The rule: exit code 0 means that the question was answered with yes, 1 with no, 78 that it could not be understood, 69 that the registry
//! is away. Left to others: verdicts (`pelton_schema`), asking registries (`decode::registry`).

use std::{fs, path::Path, sync::Arc};

use clap::{Args, Subcommand};
use pelton_schema::{AvroSchema, Mode};

use crate::{
    clock::SystemClock,
    decode::registry::{Found, Registered, Registry, SchemaId, Which},
    error::{Error, Kind, Result},
    job::{
        build::registry::connect,
        graph::{self, RegistryKind},
    },
};

mod files;
mod impact;
mod registry;

/// Schemas, in files and in registries.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say whether a new version may follow the old ones (exit code 0, or 1)
    Check(files::Check),
    /// List what has changed from one version to the next, and what that breaks
    Diff(files::Diff),
    /// Make the next version from edits, so that the mode takes it (exit code 0, or 1)
    Evolve(files::Evolve),
    /// Say which jobs, steps and fields a new version touches, with records decoded both ways (exit code 0, or 1)
    Impact(impact::Impact),
    /// Show the versions of a subject, its mode, metadata and tags
    Show(registry::Show),
    /// Register a schema under a subject
    Register(registry::Register),
}

/// Which registry.
#[derive(Debug, Args)]
pub struct Place {
    /// a registry: http://HOST:PORT (with USER:PASSWORD@ in front of the host), glue:NAME, or a folder
    #[arg(long, env = "PELTON_REGISTRY")]
    registry: Option<String>,
}

/// Runs the command.
pub fn schema(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::Check(check) => files::check(check),
        What::Diff(diff) => files::diff(diff),
        What::Evolve(evolve) => files::evolve(evolve),
        What::Impact(arguments) => impact::impact(arguments),
        What::Show(show) => registry::show(show),
        What::Register(register) => registry::register(register),
    }
}

fn config(message: impl Into<String>) -> Error {
    Error::new(Kind::Config, message)
}

/// The answer is no.
fn no(message: impl Into<String>) -> Error {
    Error::new(Kind::Step, message)
}

fn mode(name: &str) -> std::result::Result<Mode, String> {
    Mode::parse(name).ok_or_else(|| {
        let names: Vec<String> = Mode::ALL.iter().map(ToString::to_string).collect();
        format!("there is no mode `{name}`: there is {}", names.join(", "))
    })
}

/// The text of a file.
fn text_of(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|bad| config(format!("the schema {} cannot be read: {bad}", path.display())))
}

fn parsed(name: &str, text: &str) -> Result<AvroSchema> {
    AvroSchema::parse_strict(text, &[]).map_err(|bad| config(format!("{name}: {bad}")))
}

impl Place {
    /// The registry of this address.
    pub fn at(place: &str) -> Self {
        Self { registry: Some(place.to_owned()) }
    }

    /// A client of the registry; without one, an error says how to name it.
    pub async fn open(&self) -> Result<Arc<Registry>> {
        let place = self
            .registry
            .as_ref()
            .ok_or_else(|| config("no registry is named: say --registry, or set PELTON_REGISTRY"))?;
        let kind = if place.starts_with("http://") || place.starts_with("https://") {
            RegistryKind::Confluent { urls: vec![place.clone()], user: None, password: None, token: None, ca: None }
        } else if let Some(name) = place.strip_prefix("glue:") {
            let endpoint = std::env::var("AWS_ENDPOINT_URL_GLUE").ok();
            RegistryKind::Glue { registry: name.to_owned(), aws: graph::Aws { endpoint, ..graph::Aws::default() } }
        } else {
            RegistryKind::Folder { path: place.into() }
        };
        connect(&graph::Registry { kind, secondary: None }, SystemClock::shared()).await
    }

    fn needed(&self) -> Result<Arc<Registry>> {
        super::runtime()?.block_on(self.open())
    }
}

/// Every version of a subject, oldest first.
fn versions(registry: &Registry, subject: &str) -> Result<Vec<(u32, Arc<Registered>)>> {
    super::runtime()?.block_on(async {
        let mut all = Vec::new();
        for number in registry.versions(subject).await? {
            if let Found::Schema(version) = registry.version(subject, Which::Number(number)).await? {
                all.push((number, version));
            }
        }
        Ok(all)
    })
}

/// A schema of a file, as if it were registered.
fn as_registered(text: &str) -> Result<Arc<Registered>> {
    match Registered::unregistered(SchemaId::Number(1), text) {
        Found::Schema(registered) => Ok(registered),
        Found::Unknown => Err(config("there is no schema")),
        Found::Unusable(why) => Err(config(why)),
    }
}
