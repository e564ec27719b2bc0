//! What a call can answer instead of a result, with the service's own names.
//!
//! The rule: a refused condition carries the item only where the caller asked for it. HTTP is `http.rs`.

use std::fmt;

use super::value::Item;
use crate::disk::DiskError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableErrorKind {
    Validation,
    Serialization,
    ResourceNotFound,
    ResourceInUse,
    LimitExceeded,
    ConditionalCheckFailed,
    ProvisionedThroughputExceeded,
    AccessDenied,
    ExpiredToken,
    UnknownOperation,
    InternalServerError,
}

impl TableErrorKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Validation => "ValidationException",
            Self::Serialization => "SerializationException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::LimitExceeded => "LimitExceededException",
            Self::ConditionalCheckFailed => "ConditionalCheckFailedException",
            Self::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
            Self::AccessDenied => "AccessDeniedException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::InternalServerError => "InternalServerError",
        }
    }

    /// The name as it stands in `__type`.
    pub fn full_name(self) -> String {
        let space = match self {
            Self::Validation => "com.amazon.coral.validate",
            Self::Serialization | Self::AccessDenied | Self::ExpiredToken | Self::UnknownOperation => {
                "com.amazon.coral.service"
            }
            _ => "com.amazonaws.dynamodb.v20120810",
        };
        format!("{space}#{}", self.name())
    }

    pub fn status(self) -> u16 {
        match self {
            Self::InternalServerError => 500,
            _ => 400,
        }
    }
}

impl fmt::Display for TableErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct TableError {
    pub kind: TableErrorKind,
    pub message: String,
    /// The item that a condition refused, if it was asked for.
    pub item: Option<Box<Item>>,
}

impl TableError {
    pub fn new(kind: TableErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), item: None }
    }
}

/// Shorthands for what many files raise.
pub fn invalid(message: impl Into<String>) -> TableError {
    TableError::new(TableErrorKind::Validation, message)
}

pub fn invalid_value(what: impl fmt::Display) -> TableError {
    invalid(format!("One or more parameter values were invalid: {what}"))
}

pub fn unreadable(what: impl fmt::Display) -> TableError {
    TableError::new(TableErrorKind::Serialization, what.to_string())
}

pub fn disk_failed(error: DiskError) -> TableError {
    TableError::new(TableErrorKind::InternalServerError, error.to_string())
}
