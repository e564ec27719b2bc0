//! Refusals with Confluent's codes and words.
//!
//! The rule: the first three digits of a code are the status of HTTP; the message names the thing and, where something can be done, what.

/// Why a call was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Refusal {
    pub code: u32,
    pub message: String,
}

impl Refusal {
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The status of HTTP.
    pub fn status(&self) -> u16 {
        let first = if self.code >= 1000 { self.code / 100 } else { self.code };
        u16::try_from(first).unwrap_or(500)
    }

    pub fn no_subject(subject: &str) -> Self {
        Self::new(40401, format!("Subject '{subject}' not found."))
    }

    pub fn no_version(version: impl std::fmt::Display) -> Self {
        Self::new(40402, format!("Version {version} not found."))
    }

    /// No schema under this id or GUID.
    pub fn no_schema(key: impl std::fmt::Display) -> Self {
        Self::new(40403, format!("Schema {key} not found"))
    }

    /// The subject has no such schema.
    pub fn not_under_subject() -> Self {
        Self::new(40403, "Schema not found")
    }

    pub fn subject_is_deleted(subject: &str) -> Self {
        Self::new(40404, format!("Subject '{subject}' was soft deleted. Set permanent=true to delete permanently"))
    }

    pub fn subject_is_not_deleted(subject: &str) -> Self {
        Self::new(40405, format!("Subject '{subject}' was not deleted first before being permanently deleted"))
    }

    pub fn version_is_deleted(subject: &str, version: u32) -> Self {
        let message =
            format!("Subject '{subject}' Version {version} was soft deleted. Set permanent=true to delete permanently");
        Self::new(40406, message)
    }

    pub fn version_is_not_deleted(subject: &str, version: u32) -> Self {
        let message =
            format!("Subject '{subject}' Version {version} was not deleted first before being permanently deleted");
        Self::new(40407, message)
    }

    pub fn no_level(subject: &str) -> Self {
        Self::new(40408, format!("Subject '{subject}' does not have subject-level compatibility configured"))
    }

    pub fn no_mode(subject: &str) -> Self {
        Self::new(40409, format!("Subject '{subject}' does not have subject-level mode configured"))
    }

    pub fn invalid_schema(what: impl std::fmt::Display) -> Self {
        Self::new(42201, format!("Invalid schema: {what}"))
    }

    pub fn invalid_version(text: &str) -> Self {
        let message = format!(
            "The specified version '{text}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""
        );
        Self::new(42202, message)
    }

    pub fn invalid_level(what: impl std::fmt::Display) -> Self {
        let levels = "NONE, BACKWARD, BACKWARD_TRANSITIVE, FORWARD, FORWARD_TRANSITIVE, FULL and FULL_TRANSITIVE";
        Self::new(42203, format!("Invalid compatibility level {what}. Valid values are {levels}"))
    }

    pub fn invalid_mode(what: impl std::fmt::Display) -> Self {
        let message =
            format!("Invalid mode {what}. Valid values are READWRITE, READONLY, READONLY_OVERRIDE and IMPORT");
        Self::new(42204, message)
    }

    pub fn not_permitted(what: impl Into<String>) -> Self {
        Self::new(42205, what)
    }

    pub fn is_referenced(subject: &str, version: u32, ids: &[u32]) -> Self {
        let list: Vec<String> = ids.iter().take(10).map(u32::to_string).collect();
        let message = format!(
            "One or more references exist to the schema {{subject={subject},version={version}}}: schemas of the ids {}; delete those first",
            list.join(", ")
        );
        Self::new(42206, message)
    }

    pub fn other_id(known: u32, wanted: u32) -> Self {
        Self::new(42207, format!("Schema already registered with id {known} instead of input id {wanted}"))
    }

    pub fn invalid_subject(subject: &str, why: &str) -> Self {
        let start: String = subject.chars().take(60).collect();
        Self::new(42208, format!("The specified subject '{}' is not a valid subject: {why}", start.escape_debug()))
    }

    /// Something that Confluent's registry has, and this one has not.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::new(422, what)
    }

    /// The store failed, or is full.
    pub fn store(what: impl Into<String>) -> Self {
        Self::new(50001, what)
    }
}
