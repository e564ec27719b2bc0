//! Every key of a job file about what enrichers ask: services, the order of rows, the answers of tests.
//!
//! As in `raw`: settings are as the person wrote them, and these types are the reference.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    Secret,
    read::{At, Named},
};

/// A service that enrichers ask.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Connector {
    /// Over HTTP.
    #[schemars(required)]
    pub http: Option<At<HttpConnector>>,
}

/// A service over HTTP. Redirects are not followed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct HttpConnector {
    /// What stands in front of every path that a plugin asks for. Without a user and a password: send those in `headers`.
    #[schemars(required)]
    pub url: Option<At<String>>,
    /// Sent with every request: credentials stay here, no plugin sees them.
    pub headers: Option<At<Named<Secret>>>,
    /// How long one attempt may take. Default: `2s`.
    pub timeout: Option<At<String>>,
    /// How long a request may take with all its attempts. Default: `30s`.
    pub deadline: Option<At<String>>,
    /// Attempts after the first, at most 10. Default: 2.
    pub retries: Option<At<i64>>,
    /// Requests under way at a time, for each partition, at most 1000. Default: 32.
    pub capacity: Option<At<i64>>,
    /// Whether asking twice changes nothing, so that POST and PATCH too are tried again when they may have arrived. Default: false.
    pub idempotent: Option<At<bool>>,
    /// Whether addresses of private networks and of this machine are dialled. Default: false.
    pub private: Option<At<bool>>,
}

/// In which order rows leave an enricher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As their records came.
    #[default]
    Ordered,
    /// As answers come: a record waits for its own answers only. Order within a key is lost.
    Unordered,
}

/// What comes of a request in a test: exactly one of `status`, `failed`, `timed_out`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TestAnswer {
    /// The service answers with this status.
    pub status: Option<At<i64>>,
    /// Its headers.
    pub headers: Option<At<Named<String>>>,
    /// Its body: text as it is, anything else as JSON.
    pub body: Option<At<Json>>,
    /// Nobody answers; why, in words.
    pub failed: Option<At<String>>,
    /// `true`: no answer comes in time.
    pub timed_out: Option<At<bool>>,
}

/// A name or a text with its place.
pub type AtText = At<String>;
/// A number with its place.
pub type AtNumber = At<i64>;
/// A connector with its place.
pub type AtConnector = At<Connector>;
