//! One attempt at one request.
//!
//! The rule: what goes out is what the plugin asked for and what the job adds, to an address below the connector's; what comes back is read up
//! to its bounds. Words name the cause, and no address or header: both may hold what a plugin must not know.
//! Left to others: how often (`connector`), which addresses (`egress`).

use std::time::Duration;

use reqwest::{
    Method, Response, Url,
    header::{HeaderName, HeaderValue, RETRY_AFTER},
};

use super::{Service, egress};
use crate::plugin::{Outcome, Request};

/// The most bytes of an answer's body.
const MOST_BYTES: usize = 1 << 20;
/// The most headers of an answer, and bytes of them.
const MOST_HEADERS: (usize, usize) = (64, 16 << 10);
/// A service may ask for patience; longer than this it does not get.
const MOST_PATIENCE: Duration = Duration::from_secs(10);
/// Headers that belong to the connection, not to the request.
pub(super) const CONNECTION: [&str; 10] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
    "expect",
    "proxy-connection",
];

/// What an attempt came to.
pub(super) enum Attempt {
    Done(Outcome),
    /// it may be tried again
    Again {
        outcome: Outcome,
        /// whether the service may have done what was asked
        happened: bool,
        /// what the service asks for
        pause: Option<Duration>,
    },
}

impl Attempt {
    fn again(outcome: Outcome, happened: bool) -> Self {
        Self::Again { outcome, happened, pause: None }
    }

    fn failed(failed: &reqwest::Error) -> Self {
        if failed.is_timeout() {
            return Self::again(Outcome::TimedOut, true);
        }
        if egress::was_refused(failed) {
            return Self::Done(Outcome::Failed(words(failed)));
        }
        Self::again(Outcome::Failed(words(failed)), !failed.is_connect())
    }
}

impl Service {
    pub(super) async fn attempt(&self, request: &Request) -> Attempt {
        let built = match self.build(request) {
            Ok(built) => built,
            Err(why) => return Attempt::Done(Outcome::Failed(why)),
        };
        let response = match self.client.execute(built).await {
            Ok(response) => response,
            Err(failed) => return Attempt::failed(&failed),
        };
        let pause = patience(&response);
        match read(response).await {
            Err(attempt) => attempt,
            Ok((status, outcome)) => match status {
                // it says that it has done nothing
                429 => Attempt::Again { outcome, happened: false, pause },
                502..=504 => Attempt::Again { outcome, happened: true, pause },
                _ => Attempt::Done(outcome),
            },
        }
    }

    fn build(&self, request: &Request) -> Result<reqwest::Request, String> {
        let url = below(&self.settings.url, &request.path)?;
        egress::literal(&url, self.settings.private)?;
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|e| e.to_string())?;
        let mut built = self.client.request(method, url);
        for (name, value) in &request.headers {
            let unfit = || format!("`{name}` is no header, or its value is none");
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| unfit())?;
            // what the job sends is the job's
            if self.settings.headers.contains_key(&header) || CONNECTION.contains(&header.as_str()) {
                return Err(format!("the header `{header}` is not the plugin's to set"));
            }
            built = built.header(header, value);
        }
        built.body(request.body.clone()).build().map_err(|e| words(&e))
    }
}

/// A path below an address, and nowhere else.
fn below(base: &Url, path: &str) -> Result<Url, String> {
    let front = base.as_str().trim_end_matches('/');
    let url = Url::parse(&format!("{front}{path}")).map_err(|e| format!("the path `{path}`: {e}"))?;
    let stays = url.origin() == base.origin()
        && url.path().starts_with(&format!("{}/", base.path().trim_end_matches('/')))
        && url.fragment().is_none();
    if stays { Ok(url) } else { Err(format!("the path `{path}` leads out of the connector")) }
}

/// Status and answer within bounds.
async fn read(mut response: Response) -> Result<(u16, Outcome), Attempt> {
    let too_large = |what: String| Attempt::Done(Outcome::Failed(format!("the answer has more than {what}")));
    let status = response.status().as_u16();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: Vec<(String, String)> =
        response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > MOST_HEADERS.0 || bytes > MOST_HEADERS.1 {
        return Err(too_large(format!("{} headers, or more than {} bytes of them", MOST_HEADERS.0, MOST_HEADERS.1)));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|failed| Attempt::failed(&failed))? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(too_large(format!("{MOST_BYTES} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, Outcome::Answered { status, headers, body }))
}

/// `retry-after`, in seconds.
fn patience(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MOST_PATIENCE))
}

/// The cause of a failure, without the address.
pub(super) fn words(failed: &reqwest::Error) -> String {
    let mut words = String::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(failed);
    while let Some(next) = cause {
        words = next.to_string();
        cause = next.source();
    }
    if words.is_empty() { "the request could not be sent".to_owned() } else { words }
}
