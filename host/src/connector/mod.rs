//! What enrichers ask: services by the names of the job's `connectors:`.
//!
//! The rule: a plugin names a connector and a path, never an address; credentials stay here. Nothing is asked but what the job names, no
//! redirect is followed, and an address is looked at when it is dialled (`egress`). An answer is bounded. A request that may have happened is
//! repeated only where that changes nothing (GET, HEAD, PUT, DELETE).
//! Left to others: what is asked, and what becomes of the answers (`plugin`).

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use reqwest::{Client, Method, Url, header::HeaderMap, redirect::Policy};

mod egress;

use crate::{
    clock,
    error::{Error, Kind, Result},
    plugin::{Connect, Outcome, Request},
    random,
};

/// The most bytes of an answer's body.
const MOST_BYTES: usize = 1 << 20;

/// A service.
#[derive(Clone)]
pub struct Settings {
    /// what stands in front of every path
    pub url: Url,
    /// sent with every request
    pub headers: HeaderMap,
    /// of one attempt
    pub timeout: Duration,
    /// attempts after the first
    pub retries: u32,
    /// requests under way at a time
    pub capacity: usize,
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
    services: BTreeMap<String, Service>,
    capacity: usize,
}

#[derive(Debug)]
struct Service {
    settings: Settings,
    client: Client,
}

impl Connectors {
    /// Services by the names that the plugin uses.
    pub fn new(named: impl IntoIterator<Item = (String, Settings)>) -> Result<Self> {
        let mut services = BTreeMap::new();
        for (name, settings) in named {
            egress::refuse_literal(&settings.url, settings.private)
                .map_err(|why| Error::new(Kind::Config, format!("connector `{name}`: {why}")))?;
            let client = Client::builder()
                .redirect(Policy::none())
                .no_proxy()
                .dns_resolver(Arc::new(egress::Guarded { private: settings.private }))
                .default_headers(settings.headers.clone())
                .timeout(settings.timeout)
                .build();
            let client = client.map_err(|e| Error::new(Kind::Config, format!("connector `{name}`: {e}")))?;
            services.insert(name, Service { settings, client });
        }
        let capacity = services.values().map(|service| service.settings.capacity).min().unwrap_or(1);
        Ok(Self { services, capacity })
    }
}

impl Connect for Connectors {
    fn ask<'a>(&'a self, request: &'a Request) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(async move {
            match self.services.get(&request.connector) {
                Some(service) => service.ask(request).await,
                None => Outcome::Failed(format!("the job has no connector `{}`", request.connector)),
            }
        })
    }

    fn capacity(&self) -> usize {
        self.capacity
    }
}

/// What an attempt came to.
enum Attempt {
    Done(Outcome),
    /// and whether the request may have reached the service
    Again(Outcome, bool),
}

impl Service {
    async fn ask(&self, request: &Request) -> Outcome {
        let repeats = matches!(request.method.as_str(), "GET" | "HEAD" | "PUT" | "DELETE");
        let mut attempt = 0;
        loop {
            match self.attempt(request).await {
                Attempt::Done(outcome) => return outcome,
                Attempt::Again(outcome, reached) if attempt >= self.settings.retries || (reached && !repeats) => {
                    return outcome;
                }
                Attempt::Again(..) => {}
            }
            clock::sleep(random::back_off(attempt, Duration::from_millis(50), Duration::from_secs(2))).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, request: &Request) -> Attempt {
        let built = match self.build(request) {
            Ok(built) => built,
            Err(why) => return Attempt::Done(Outcome::Failed(why)),
        };
        let mut response = match self.client.execute(built).await {
            Ok(response) => response,
            Err(failed) if failed.is_timeout() => return Attempt::Again(Outcome::TimedOut, true),
            Err(failed) => return Attempt::Again(Outcome::Failed(words(&failed)), !failed.is_connect()),
        };
        let status = response.status();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if body.len() + chunk.len() > MOST_BYTES => {
                    return Attempt::Done(Outcome::Failed(format!("the answer has more than {MOST_BYTES} bytes")));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Err(failed) if failed.is_timeout() => return Attempt::Again(Outcome::TimedOut, true),
                Err(failed) => return Attempt::Again(Outcome::Failed(words(&failed)), true),
            }
        }
        let outcome = Outcome::Answered { status: status.as_u16(), headers, body };
        match status.as_u16() {
            429 | 502 | 503 | 504 => Attempt::Again(outcome, true),
            _ => Attempt::Done(outcome),
        }
    }

    fn build(&self, request: &Request) -> std::result::Result<reqwest::Request, String> {
        let base = self.settings.url.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}{}", request.path)).map_err(|e| format!("`{}`: {e}", request.path))?;
        // a path cannot leave what stands in front of it
        let stays = url.origin() == self.settings.url.origin()
            && url.path().starts_with(self.settings.url.path().trim_end_matches('/'));
        if !stays {
            return Err(format!("`{}` leads out of the connector", request.path));
        }
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|e| e.to_string())?;
        let mut built = self.client.request(method, url);
        for (name, value) in &request.headers {
            // what the job sends is the job's
            if self.settings.headers.contains_key(name.as_str()) || name.eq_ignore_ascii_case("host") {
                return Err(format!("the header `{name}` is not the plugin's to set"));
            }
            built = built.header(name, value);
        }
        built.body(request.body.clone()).build().map_err(|e| words(&e))
    }
}

/// An error with its causes, without the address that may hold a secret.
fn words(failed: &reqwest::Error) -> String {
    let mut words = String::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(failed);
    while let Some(next) = cause {
        words = next.to_string();
        cause = next.source();
    }
    if words.is_empty() { "the request could not be sent".to_owned() } else { words }
}
