//! Every key of a job file about the plugin of a step: which one, with what, and how far it may go.
//!
//! As in `raw`: settings are as the person wrote them, and these types are the reference. An aggregate has the same keys beside
//! `plugin:`, but for `order`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{connectors::Order, read::At};

/// A plugin over records.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Transform {
    /// Path of the component, relative to the job file; or `sha256:` and its digest, for `plugins/DIGEST.wasm` beside the job file.
    #[schemars(required)]
    pub plugin: Option<At<String>>,
    /// Given to the plugin.
    pub config: Option<At<Json>>,
    /// What happens with a record that fails. Default: `dead_letter`.
    pub on_error: Option<At<OnError>>,
    /// In which order rows leave an enricher. Default: `ordered`.
    pub order: Option<At<Order>>,
    /// The SHA-256 that the component must have, as `pelton plugin inspect` shows it: any other file is refused.
    #[schemars(with = "Option<String>")]
    pub digest: Option<At<Json>>,
    /// What it may use: `log`, `metrics`, `state`, `connector:NAME`. Default: what the plugin in this file uses. One that is swapped in may
    /// use no more.
    #[schemars(with = "Option<Vec<String>>")]
    pub allow: Option<At<Json>>,
    /// How far it may go. What is not named keeps its default.
    #[schemars(with = "Option<Limits>")]
    pub limits: Option<At<Json>>,
}

/// How far a plugin may go.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory of an instance, from `1MiB` to `2GiB`. Default: `64MiB`.
    pub memory: Option<String>,
    /// CPU time of one call, from `1ms` to `1m`. Default: `500ms`.
    pub call_time: Option<String>,
    /// The share of one processor that it may take, for each partition, from `1%` to `100%`: it waits when it has had more. Default: all of it.
    pub cpu: Option<String>,
    /// State of a partition on disk, about, from `1MiB` on: the step fails when it holds more. Default: as much as the disk.
    pub state: Option<String>,
    /// Bytes that it may hand to the host in one call, from `64KiB` to `256MiB`. Default: `32MiB`.
    pub output: Option<String>,
    /// Log lines a second, from 0 to 10000. Default: 50.
    pub log_lines: Option<u32>,
}

/// What happens with a record that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It goes to the dead letters.
    #[default]
    DeadLetter,
    /// The job stops.
    Stop,
    /// It is counted and forgotten.
    Drop,
}

/// What happens when a step has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The job stops; a worker of a fleet keeps the partition and waits for somebody.
    #[default]
    Stop,
    /// The partition begins again from its last commit, after 1 s, then 2 s, up to 5 minutes, or at once when something is deployed. The others
    /// go on.
    BackOff,
}
