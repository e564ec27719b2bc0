//! What a call can answer instead of a result, with Glue's own names and, where they are known, its words.
//!
//! The rule: AWS's serializer goes by the first words of what was not found ("Schema is not found.", "Schema version is not found."),
//! so they stand here once. HTTP is `http.rs`.

use std::fmt;

use crate::disk::DiskError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlueErrorKind {
    EntityNotFound,
    AlreadyExists,
    InvalidInput,
    ResourceNumberLimitExceeded,
    ConcurrentModification,
    AccessDenied,
    ExpiredToken,
    Throttling,
    Serialization,
    UnknownOperation,
    InternalService,
}

impl GlueErrorKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::EntityNotFound => "EntityNotFoundException",
            Self::AlreadyExists => "AlreadyExistsException",
            Self::InvalidInput => "InvalidInputException",
            Self::ResourceNumberLimitExceeded => "ResourceNumberLimitExceededException",
            Self::ConcurrentModification => "ConcurrentModificationException",
            Self::AccessDenied => "AccessDeniedException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::Throttling => "ThrottlingException",
            Self::Serialization => "SerializationException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::InternalService => "InternalServiceException",
        }
    }

    pub fn status(self) -> u16 {
        match self {
            Self::InternalService => 500,
            _ => 400,
        }
    }
}

impl fmt::Display for GlueErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct GlueError {
    pub kind: GlueErrorKind,
    pub message: String,
}

impl GlueError {
    pub fn new(kind: GlueErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

pub fn invalid(message: impl Into<String>) -> GlueError {
    GlueError::new(GlueErrorKind::InvalidInput, message)
}

pub fn exists(message: impl Into<String>) -> GlueError {
    GlueError::new(GlueErrorKind::AlreadyExists, message)
}

pub fn full(what: &str, most: usize) -> GlueError {
    let message = format!("Your resource limits for {what} have been exceeded: the emulator has at most {most}.");
    GlueError::new(GlueErrorKind::ResourceNumberLimitExceeded, message)
}

pub fn disk_failed(error: DiskError) -> GlueError {
    GlueError::new(GlueErrorKind::InternalService, error.to_string())
}

pub fn no_registry(name: &str) -> GlueError {
    GlueError::new(GlueErrorKind::EntityNotFound, format!("Registry is not found. RegistryName: {name}"))
}

pub fn no_schema(registry: &str, schema: &str) -> GlueError {
    let message = format!("Schema is not found. RegistryName: {registry}, SchemaName: {schema}");
    GlueError::new(GlueErrorKind::EntityNotFound, message)
}

pub fn no_version(which: impl fmt::Display) -> GlueError {
    GlueError::new(GlueErrorKind::EntityNotFound, format!("Schema version is not found. {which}"))
}
