//! What enrichers ask: services by the names of the job's `connectors:`.
//!
//! The rule: a plugin names a connector and a path, never an address; credentials stay here, and no word of ours holds one. Nothing is asked
//! but what the job names, no redirect is followed, and an address is looked at when it is dialled (`egress`). An answer is bounded in time and
//! in size. A request that may have happened is repeated only where that changes nothing.
//! Left to others: what is asked, and what becomes of the answers (`plugin`).

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{
    Client, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use tokio::{runtime::Handle, sync::Semaphore};

mod attempt;
mod egress;

use attempt::{Attempt, Ended};
pub use egress::address;

use crate::{
    clock::{self, Clock, SystemClock},
    error::{Error, Kind, Result},
    plugin::{Connect, Outcome, Request, clean},
    random, task,
};

/// A header that the job sends with every request. The words of an error do not hold its value.
pub fn header(name: &str, value: &str) -> std::result::Result<(HeaderName, HeaderValue), String> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no name of a header"))?;
    if attempt::CONNECTION.contains(&name.as_str()) {
        return Err(format!("the header `{name}` belongs to the connection: leave it out"));
    }
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| format!("the value of `{name}` has characters that no header may have"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// A service.
#[derive(Clone)]
pub struct Settings {
    /// what stands in front of every path
    pub url: Url,
    /// sent with every request
    pub headers: HeaderMap,
    /// of one attempt
    pub timeout: Duration,
    /// of a request with all its attempts
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

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({})", self.url)
    }
}

/// The connectors of a step.
#[derive(Debug)]
pub struct Connectors {
    services: BTreeMap<String, Arc<Service>>,
    /// the network's, so that answers come while a plugin computes
    runtime: Handle,
}

#[derive(Debug)]
struct Service {
    name: String,
    settings: Settings,
    client: Client,
    /// one permit a request under way
    room: Semaphore,
    told: Mutex<Told>,
    clock: SystemClock,
}

/// After a service was said to be away it is not said again for so long.
const QUIET: Duration = Duration::from_secs(60);

/// What the log was told of a service.
#[derive(Debug, Default)]
struct Told {
    away: bool,
    /// when it was last said to be away
    at: Option<Duration>,
}

impl Told {
    /// Whether this is worth a line: a service that fails now and then is one that fails, once a minute.
    fn is_news(&mut self, away: bool, now: Duration) -> bool {
        let too_soon = away && self.at.is_some_and(|at| now.saturating_sub(at) < QUIET);
        if away == self.away || too_soon {
            return false;
        }
        self.away = away;
        if away {
            self.at = Some(now);
        }
        true
    }
}

impl Connectors {
    /// Services by the names that the plugin uses.
    pub fn new(named: impl IntoIterator<Item = (String, Settings)>, runtime: Handle) -> Result<Self> {
        let service = |(name, settings): (String, Settings)| {
            let refuse = |why: String| Error::new(Kind::Config, format!("connector `{name}`: {why}"));
            egress::literal(&settings.url, settings.private).map_err(refuse)?;
            let client = Client::builder()
                .redirect(Policy::none())
                .no_proxy()
                .dns_resolver(Arc::new(egress::Guarded { private: settings.private }))
                .default_headers(settings.headers.clone())
                .timeout(settings.timeout)
                .build()
                .map_err(|e| refuse(attempt::words(&e)))?;
            let room = Semaphore::new(settings.capacity.max(1));
            Ok((
                name.clone(),
                Arc::new(Service { name, settings, client, room, told: Mutex::default(), clock: SystemClock::new() }),
            ))
        };
        let services = named.into_iter().map(service).collect::<Result<_>>()?;
        Ok(Self { services, runtime })
    }
}

impl Connect for Connectors {
    fn ask<'a>(&'a self, request: &'a Request) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(async move {
            let Some(service) = self.services.get(&request.connector).cloned() else {
                return Outcome::Failed(format!("the job has no connector `{}`", request.connector));
            };
            let request = request.clone();
            task::spawn(&self.runtime, async move { service.ask(&request).await }).join().await
        })
    }

    fn capacity(&self) -> usize {
        self.services.values().map(|service| service.settings.capacity).sum()
    }
}

impl Service {
    async fn ask(&self, request: &Request) -> Outcome {
        let Ok(_room) = self.room.acquire().await else {
            return Outcome::Failed(format!("connector `{}`: it is closed", self.name));
        };
        let mut last = None;
        let ended = match clock::timeout(self.settings.deadline, self.attempts(request, &mut last)).await {
            Some(ended) => ended,
            None => last.unwrap_or_else(|| {
                let why = Some(format!("no answer in {:?}", self.settings.deadline));
                Ended { outcome: Outcome::TimedOut, why }
            }),
        };
        self.note(request, &ended);
        match ended.outcome {
            Outcome::Failed(why) => Outcome::Failed(format!("connector `{}`: {why}", self.name)),
            outcome => outcome,
        }
    }

    async fn attempts(&self, request: &Request, last: &mut Option<Ended>) -> Ended {
        let repeats = self.settings.idempotent || matches!(request.method.as_str(), "GET" | "HEAD" | "PUT" | "DELETE");
        let mut attempt = 0;
        loop {
            let (ended, pause) = match self.attempt(request).await {
                Attempt::Done(ended) => return ended,
                Attempt::Again { ended, happened, pause } => {
                    if attempt >= self.settings.retries || happened && !repeats {
                        return ended;
                    }
                    (ended, pause)
                }
            };
            *last = Some(ended);
            let own = random::back_off(attempt, Duration::from_millis(50), Duration::from_secs(2));
            clock::sleep(pause.map_or(own, |pause| pause.max(own))).await;
            attempt += 1;
        }
    }

    /// Says once that a service is away, and once that it is back. What the plugin did wrong says nothing of the service.
    fn note(&self, request: &Request, ended: &Ended) {
        if matches!((&ended.outcome, &ended.why), (Outcome::Failed(_), None)) {
            return;
        }
        let is_news = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.is_news(ended.why.is_some(), self.clock.elapsed())
        };
        let (name, url, method) = (&self.name, &self.settings.url, &request.method);
        let path = clean(request.path.split('?').next().unwrap_or_default());
        match &ended.why {
            Some(why) if is_news => tracing::warn!("connector `{name}` ({url}): {method} {path}: {}", clean(why)),
            None if is_news => tracing::info!("connector `{name}` ({url}) answers again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
