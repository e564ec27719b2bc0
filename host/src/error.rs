//! What a failure means to whoever sees it: a public kind says what to do, the text says what happened.
//!
//! The rule: stages keep exact errors of their own and turn them into these kinds at their edge; a failed outside write says
//! whether it *did not happen* or *may have happened*, and nothing decides on the text of a message.

use std::fmt;

/// What to do about a failure. A new kind needs a decision record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// the job file or a plugin is wrong: mend it, nothing ran (exit code 78)
    Config,
    /// something outside does not answer or refuses: it may answer later
    Unavailable,
    /// what is stored is damaged, held by another process, or from a newer version: look before going on
    State,
    /// records that were promised are not there any more
    DataLoss,
    /// a step, not a record, has failed: too many rejects, or a plugin that cannot run
    Step,
    /// another owner has taken over: stop
    Fenced,
    /// a defect of ours
    Internal,
}

impl Kind {
    /// The exit code of the process, after sysexits.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Config => 78,
            Self::Unavailable => 69,
            Self::State => 74,
            Self::DataLoss => 65,
            Self::Step => 1,
            Self::Fenced => 75,
            Self::Internal => 70,
        }
    }
}

/// A failure with its kind and a message in words.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    message: String,
}

/// The result of what can fail with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure of this kind; the message names the thing, the value and what to do.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What to do.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same failure, with the place it happened in front.
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// What is known about an outside write that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// it did not happen: it may be tried again without a repeat
    No,
    /// it may have happened: trying again may repeat it
    Perhaps,
}
