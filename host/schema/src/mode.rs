//! Compatibility modes: what a registry, or a job, lets a subject become.
//!
//! | mode | a new version must | compared with |
//! |---|---|---|
//! | `NONE` | nothing | nothing |
//! | `DISABLED` | not come at all | - |
//! | `BACKWARD` | read what the older one wrote | the version before |
//! | `BACKWARD_ALL` | the same | all versions before |
//! | `FORWARD` | be readable by the older one | the version before |
//! | `FORWARD_ALL` | the same | all versions before |
//! | `FULL` | both | the version before |
//! | `FULL_ALL` | both | all versions before |
//!
//! `_ALL` is Glue's name, `_TRANSITIVE` Confluent's: both are understood. The rule: defects of the values (a decimal's scale) are told,
//! and do not count, so that a verdict is the registry's. Left to others: comparing two schemas (`compat`).

use std::fmt;

use serde::Serialize;

use crate::{
    compat::{self, Mismatch},
    types::AvroSchema,
};

/// A compatibility mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    None,
    Disabled,
    #[default]
    Backward,
    BackwardAll,
    Forward,
    ForwardAll,
    Full,
    FullAll,
}

/// Who must be able to read whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// the new version reads what the old one wrote
    Backward,
    /// the old version reads what the new one writes
    Forward,
}

/// A version that a new one does not get along with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// place of the old version in the list that was given
    pub old: usize,
    /// what does not work
    pub direction: Direction,
    /// where and why
    pub mismatches: Vec<Mismatch>,
}

/// Whether a new version may come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// it may
    Compatible,
    /// nothing may come any more
    Closed,
    /// it may not
    Broken(Vec<Violation>),
}

impl Verdict {
    /// Whether the new version may come.
    pub fn is_compatible(&self) -> bool {
        *self == Self::Compatible
    }

    /// Every mismatch with the place of the old version and the direction; none where it may come.
    pub fn violations(&self) -> &[Violation] {
        match self {
            Self::Broken(violations) => violations,
            _ => &[],
        }
    }
}

impl Mode {
    /// Every mode, the loosest first.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Backward,
        Self::BackwardAll,
        Self::Forward,
        Self::ForwardAll,
        Self::Full,
        Self::FullAll,
        Self::Disabled,
    ];

    /// The mode of a name: `backward`, `BACKWARD_TRANSITIVE`, `BACKWARD_ALL`.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_uppercase().replace('-', "_");
        let name = name.replace("_TRANSITIVE", "_ALL");
        Self::ALL.into_iter().find(|mode| mode.glue_name() == name)
    }

    /// As Glue calls it.
    pub fn glue_name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Disabled => "DISABLED",
            Self::Backward => "BACKWARD",
            Self::BackwardAll => "BACKWARD_ALL",
            Self::Forward => "FORWARD",
            Self::ForwardAll => "FORWARD_ALL",
            Self::Full => "FULL",
            Self::FullAll => "FULL_ALL",
        }
    }

    /// As Confluent's registry calls it, which has no `DISABLED`.
    pub fn confluent_name(self) -> Option<&'static str> {
        Some(match self {
            Self::Disabled => return None,
            Self::BackwardAll => "BACKWARD_TRANSITIVE",
            Self::ForwardAll => "FORWARD_TRANSITIVE",
            Self::FullAll => "FULL_TRANSITIVE",
            other => other.glue_name(),
        })
    }

    /// Whether all versions before count, not the last one alone.
    pub fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardAll | Self::ForwardAll | Self::FullAll | Self::Disabled)
    }

    /// Who must be able to read whom.
    pub fn directions(self) -> &'static [Direction] {
        match self {
            Self::None | Self::Disabled => &[],
            Self::Backward | Self::BackwardAll => &[Direction::Backward],
            Self::Forward | Self::ForwardAll => &[Direction::Forward],
            Self::Full | Self::FullAll => &[Direction::Backward, Direction::Forward],
        }
    }

    /// Whether a new version may follow the old ones, which are given oldest first. The newest are looked at first.
    pub fn check(self, new: &AvroSchema, old: &[&AvroSchema]) -> Verdict {
        if self == Self::Disabled && !old.is_empty() {
            return Verdict::Closed;
        }
        let reach = if self.is_transitive() { old.len() } else { 1 };
        let mut violations = Vec::new();
        for (place, old) in old.iter().enumerate().rev().take(reach) {
            for direction in self.directions() {
                let mut mismatches = match direction {
                    Direction::Backward => compat::mismatches(new, old),
                    Direction::Forward => compat::mismatches(old, new),
                };
                mismatches.retain(|mismatch| mismatch.rule != compat::Rule::Scale);
                if !mismatches.is_empty() {
                    violations.push(Violation { old: place, direction: *direction, mismatches });
                }
            }
        }
        if violations.is_empty() { Verdict::Compatible } else { Verdict::Broken(violations) }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.glue_name().to_ascii_lowercase())
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backward => "backward",
            Self::Forward => "forward",
        })
    }
}
