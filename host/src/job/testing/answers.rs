//! The answers of a test, in the place of the job's connectors: nothing outside is asked.
//!
//! The rule: what comes of a request is what the test says, at once; a request that it says nothing of fails the test with words.

use std::{
    collections::BTreeMap,
    future::{Future, ready},
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use crate::{
    error::{Error, Kind, Result},
    job::graph::Answer,
    plugin::{Connect, Outcome, Request},
};

/// Requests under way at a time: none waits.
const CAPACITY: usize = 32;

#[derive(Debug)]
pub(super) struct Answers {
    given: BTreeMap<(String, String), Answer>,
    /// the first request without an answer
    missing: Mutex<Option<String>>,
}

impl Answers {
    pub(super) fn new(given: &BTreeMap<(String, String), Answer>) -> Self {
        Self { given: given.clone(), missing: Mutex::new(None) }
    }

    /// Whether every request so far had an answer.
    pub(super) fn all_given(&self) -> Result<()> {
        match &*self.missing.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(words) => Err(Error::new(Kind::Config, words.clone())),
        }
    }

    fn outcome(&self, request: &Request) -> Outcome {
        let line = format!("{} {}", request.method, request.path);
        match self.given.get(&(request.connector.clone(), line.clone())) {
            Some(Answer::Answered { status, headers, body }) => {
                Outcome::Answered { status: *status, headers: headers.clone(), body: body.clone() }
            }
            Some(Answer::Failed(why)) => Outcome::Failed(why.clone()),
            Some(Answer::TimedOut) => Outcome::TimedOut,
            None => {
                let connector = &request.connector;
                let words = format!(
                    "the test has no answer to `{line}` of the connector `{connector}`: add it under \
                     `answers: {{ {connector}: {{ ... }} }}`"
                );
                self.missing.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(words.clone());
                Outcome::Failed(words)
            }
        }
    }
}

impl Connect for Answers {
    fn ask<'a>(&'a self, request: &'a Request) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(ready(self.outcome(request)))
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }
}
