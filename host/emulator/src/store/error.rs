//! What a call can answer instead of a result, with the service's own names.
//!
//! The rule: a kind's name is what clients match on, so it is spelled as the service spells it. Turning one into HTTP
//! or into a frame of an event stream is the wire's business.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    ResourceNotFound,
    ResourceInUse,
    InvalidArgument,
    LimitExceeded,
    ExpiredIterator,
    ExpiredNextToken,
    ProvisionedThroughputExceeded,
    Validation,
    Serialization,
    UnknownOperation,
    AccessDenied,
    ExpiredToken,
    ServiceUnavailable,
    InternalFailure,
}

impl ErrorKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::InvalidArgument => "InvalidArgumentException",
            Self::LimitExceeded => "LimitExceededException",
            Self::ExpiredIterator => "ExpiredIteratorException",
            Self::ExpiredNextToken => "ExpiredNextTokenException",
            Self::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
            Self::Validation => "ValidationException",
            Self::Serialization => "SerializationException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::AccessDenied => "AccessDeniedException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::ServiceUnavailable => "ServiceUnavailableException",
            Self::InternalFailure => "InternalFailureException",
        }
    }

    pub fn status(self) -> u16 {
        match self {
            Self::InternalFailure => 500,
            Self::ServiceUnavailable => 503,
            _ => 400,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct ApiError {
    pub kind: ErrorKind,
    pub message: String,
}

impl ApiError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// Shorthands for the kinds that many files raise.
pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InvalidArgument, message)
}

pub fn not_found(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::ResourceNotFound, message)
}

pub fn in_use(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::ResourceInUse, message)
}

pub fn limit(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::LimitExceeded, message)
}
