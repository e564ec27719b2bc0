//! Asks a running worker by its socket.
//!
//! The rule: what the worker says in words is what the user reads. Left to others: what is asked for (`cli`).

use std::{path::Path, time::Duration};

use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;

use super::{Changed, Job, Refused, SOCKET, Swap};
use crate::error::{Error, Kind, Result};

/// A large plugin takes a while to compile.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    client: Client,
    place: String,
}

impl Worker {
    /// The worker that keeps its state in this folder.
    pub fn find(folder: &Path) -> Result<Self> {
        let socket = folder.join(SOCKET);
        let place = socket.display().to_string();
        if !socket.exists() {
            let words = format!("no job runs over the state in {}: there is no {place}", folder.display());
            return Err(Error::new(Kind::Unavailable, words));
        }
        let client = Client::builder().unix_socket(socket).timeout(PATIENCE).build();
        let client = client.map_err(|e| Error::new(Kind::Internal, format!("cannot ask {place}: {e}")))?;
        Ok(Self { client, place })
    }

    /// What runs.
    pub async fn job(&self) -> Result<Job> {
        self.ask(self.client.get("http://pelton/v1/job")).await
    }

    /// The job as it was checked, in canonical form.
    pub async fn graph(&self) -> Result<serde_json::Value> {
        self.ask(self.client.get("http://pelton/v1/graph")).await
    }

    /// Swaps a plugin in, or checks whether that could be done.
    pub async fn swap(&self, step: &str, component: Vec<u8>, how: &Swap) -> Result<Changed> {
        let mut url = reqwest::Url::parse("http://pelton/v1/steps").expect("it is a URL");
        url.path_segments_mut().expect("it has a path").extend([step, "plugin"]);
        url.query_pairs_mut().append_pair("check", &how.check.to_string());
        if let Some(trial_s) = how.trial_s {
            url.query_pairs_mut().append_pair("trial_s", &trial_s.to_string());
        }
        if let Some(canary) = &how.canary {
            url.query_pairs_mut().append_pair("canary", canary);
        }
        if let Some(over) = how.over {
            url.query_pairs_mut().append_pair("over", &over.to_string());
        }
        self.ask(self.client.post(url).body(component)).await
    }

    /// Goes back to what ran before the last swap, if this generation is what is deployed.
    pub async fn roll_back(&self, over: u64) -> Result<Changed> {
        self.ask(self.client.post(format!("http://pelton/v1/rollback?over={over}"))).await
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let away = |e: reqwest::Error| {
            let words = format!("the worker at {} does not answer: {e}; is it running?", self.place);
            Error::new(Kind::Unavailable, words)
        };
        let answer = request.send().await.map_err(away)?;
        let (status, bytes) = (answer.status(), answer.bytes().await.map_err(away)?);
        let strange =
            |what: String| Error::new(Kind::Internal, format!("the worker at {} answers {status}: {what}", self.place));
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|e| strange(e.to_string()));
        }
        let refused: Refused =
            serde_json::from_slice(&bytes).map_err(|_| strange(String::from_utf8_lossy(&bytes).into_owned()))?;
        let kind = match status.as_u16() {
            422 => Kind::Config,
            409 => Kind::Unavailable,
            _ => Kind::State,
        };
        Err(Error::new(kind, refused.error))
    }
}
