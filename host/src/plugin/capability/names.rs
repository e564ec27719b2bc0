//! What a plugin may use, by the names of `allow:` in a job file.
//!
//! The rule: every import that a plugin is given besides WASI's stand-ins, which reach nothing, has a name here.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::plugin::Manifest;

/// Something that a plugin uses besides computing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// writes to the log
    Log,
    /// counts
    Metrics,
    /// reads and writes keyed state
    State,
    /// has the host ask this connector of the job
    Connector(String),
}

impl Capability {
    /// The names, for messages.
    pub const NAMES: &str = "there is: log, metrics, state, connector:NAME";

    /// What a plugin with these imports, which says this of itself, uses.
    pub(in crate::plugin) fn of(imports: &[String], manifest: &Manifest) -> BTreeSet<Self> {
        let named = |import: &String| match import.split('@').next().unwrap_or(import) {
            "pelton:plugin/log" => Some(Self::Log),
            "pelton:plugin/metrics" => Some(Self::Metrics),
            super::STATE => Some(Self::State),
            _ => None,
        };
        let connectors = manifest.connectors.iter().map(|connector| Self::Connector(connector.name.to_string()));
        imports.iter().filter_map(named).chain(connectors).collect()
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => f.write_str("log"),
            Self::Metrics => f.write_str("metrics"),
            Self::State => f.write_str("state"),
            Self::Connector(name) => write!(f, "connector:{name}"),
        }
    }
}

impl FromStr for Capability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "log" => Ok(Self::Log),
            "metrics" => Ok(Self::Metrics),
            "state" => Ok(Self::State),
            _ => match text.strip_prefix("connector:") {
                Some(name) if !name.is_empty() => Ok(Self::Connector(name.to_owned())),
                _ => Err(format!("`{text}` is nothing that plugins use; {}", Self::NAMES)),
            },
        }
    }
}
