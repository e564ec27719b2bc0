//! What an enricher was answered, as a capsule holds it, and who answers the same again.
//!
//! The rule: nobody is asked when a capsule is run again; a request that was not made then has no answer.

use std::{
    future::{Future, ready},
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::Bytes;
use crate::plugin::{Connect, Outcome, Request};

/// A request and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answered {
    /// what the plugin wants back with the answer
    pub cookie: Bytes,
    /// declared by the plugin
    pub connector: String,
    /// GET and so on
    pub method: String,
    /// with its query
    pub path: String,
    /// that the plugin set, names and values
    pub headers: Vec<(String, String)>,
    /// of the request
    pub body: Bytes,
    /// of the service
    pub answer: Answer,
}

/// What came of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// whatever the status
    Answered {
        /// of HTTP
        status: u16,
        /// names and values
        headers: Vec<(String, String)>,
        /// of the answer
        body: Bytes,
    },
    /// in words
    Failed(String),
    /// nothing came in the connector's time
    TimedOut,
}

impl Answered {
    pub(super) fn of((request, outcome): &(Request, Outcome)) -> Self {
        let bytes = |bytes: &[u8]| Bytes(bytes.to_vec());
        let answer = match outcome {
            Outcome::Answered { status, headers, body } => {
                Answer::Answered { status: *status, headers: headers.clone(), body: bytes(body) }
            }
            Outcome::Failed(words) => Answer::Failed(words.clone()),
            Outcome::TimedOut => Answer::TimedOut,
        };
        let Request { row: _, cookie, connector, method, path, headers, body } = request;
        Self {
            cookie: bytes(cookie),
            connector: connector.clone(),
            method: method.clone(),
            path: path.clone(),
            headers: headers.clone(),
            body: bytes(body),
            answer,
        }
    }

    /// For a record that is alone in its call.
    pub(super) fn back(&self) -> (Request, Outcome) {
        let Self { cookie, connector, method, path, headers, body, answer } = self.clone();
        let request = Request { row: 0, cookie: cookie.0, connector, method, path, headers, body: body.0 };
        let outcome = match answer {
            Answer::Answered { status, headers, body } => Outcome::Answered { status, headers, body: body.0 },
            Answer::Failed(words) => Outcome::Failed(words),
            Answer::TimedOut => Outcome::TimedOut,
        };
        (request, outcome)
    }
}

/// Answers as it was answered, each time once.
#[derive(Debug)]
pub(super) struct Told(Mutex<Vec<(Request, Outcome)>>);

impl Told {
    pub(super) fn new(answers: &[Answered]) -> Self {
        Self(Mutex::new(answers.iter().map(Answered::back).collect()))
    }
}

impl Connect for Told {
    fn ask<'a>(&'a self, request: &'a Request) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match left.iter().position(|(asked, _)| asked == request) {
            Some(place) => left.remove(place).1,
            None => Outcome::Failed("the capsule has no answer to this request".to_owned()),
        };
        Box::pin(ready(outcome))
    }

    fn capacity(&self) -> usize {
        1
    }
}
