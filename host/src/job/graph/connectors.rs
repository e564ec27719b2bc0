//! What enrichers ask, checked.

use std::time::Duration;

use serde::Serialize;

use super::{Order, micros};
use crate::job::file::Secret;

/// A service over HTTP that enrichers ask.
#[derive(Clone, Debug, Serialize)]
pub struct Connector {
    /// what stands in front of every path
    pub url: String,
    /// sent with every request: no part of what is deployed
    #[serde(skip)]
    pub headers: Vec<(String, Secret)>,
    /// of one attempt
    #[serde(serialize_with = "micros")]
    pub timeout: Duration,
    /// of a request with all its attempts
    #[serde(serialize_with = "micros")]
    pub deadline: Duration,
    /// attempts after the first
    pub retries: u32,
    /// requests under way at a time
    pub capacity: usize,
    /// whether asking twice changes nothing, whatever the method
    pub idempotent: bool,
    /// addresses of private networks and of this machine are dialled
    pub private: bool,
}

/// What comes of a request in a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// the service answers
    Answered {
        /// of HTTP
        status: u16,
        /// names and values
        headers: Vec<(String, String)>,
        /// as bytes
        body: Vec<u8>,
    },
    /// nobody answers, in words
    Failed(String),
    /// nothing comes in time
    TimedOut,
}

pub(super) fn is_ordered(order: &Order) -> bool {
    *order == Order::Ordered
}
