//! A plugin of a step, as a checked job has it.

use std::{collections::BTreeSet, path::PathBuf};

use serde::Serialize;
use serde_json::Value as Json;

use super::{OnError, Order, PluginInterface, connectors};
use crate::plugin::{Bounds, Capability};

/// A plugin of a step.
#[derive(Clone, Debug, Serialize)]
pub struct Plugin {
    /// of the component; the digest names it in what is deployed
    #[serde(skip)]
    pub path: PathBuf,
    /// its configuration
    pub config: Json,
    /// what happens with a record that fails
    pub on_error: OnError,
    /// in which order rows leave an enricher
    #[serde(skip_serializing_if = "connectors::is_ordered")]
    pub order: Order,
    /// how far it may go, whichever version of it runs: no part of what state was made with
    #[serde(skip)]
    pub bounds: Bounds,
    /// what it may use; none: what the one before it uses
    #[serde(skip)]
    pub allow: Option<BTreeSet<Capability>>,
    /// what it said about itself
    pub interface: PluginInterface,
}
