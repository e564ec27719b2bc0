//! One attempt at one request.
//!
//! The rule: what goes out is what the plugin asked for and what the job adds, to an address below the connector's; what comes back is read up
//! to its bounds. A plugin is told one of a few words: what a failure says of itself may name addresses and certificates, and goes to the log alone.
//! Left to others: how often (`connector`), which addresses (`egress`).

use std::{io, time::Duration};

use reqwest::{
    Method, Response, Url,
    header::{HeaderName, HeaderValue, RETRY_AFTER},
};

use super::{Service, egress};
use crate::plugin::{Outcome, Request, clean};

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

/// What came of a request, and what the log says where there is no answer.
pub(super) struct Ended {
    pub outcome: Outcome,
    /// in full; none where the service is not to blame
    pub why: Option<String>,
}

impl Ended {
    fn failed(told: &str, why: Option<String>) -> Self {
        Self { outcome: Outcome::Failed(told.to_owned()), why }
    }
}

/// What an attempt came to.
pub(super) enum Attempt {
    Done(Ended),
    /// it may be tried again
    Again {
        ended: Ended,
        /// whether the service may have done what was asked
        happened: bool,
        /// what the service asks for
        pause: Option<Duration>,
    },
}

impl Attempt {
    fn failed(failed: &reqwest::Error) -> Self {
        let why = Some(words(failed));
        if failed.is_timeout() {
            let ended = Ended { outcome: Outcome::TimedOut, why };
            return Self::Again { ended, happened: true, pause: None };
        }
        if egress::was_refused(failed) {
            return Self::Done(Ended::failed("its address is refused", why));
        }
        let told = match failed.is_connect() {
            true if is_of_tls(failed) => "no connection: TLS",
            true => "no connection",
            false => "a broken answer",
        };
        Self::Again { ended: Ended::failed(told, why), happened: !failed.is_connect(), pause: None }
    }
}

/// Whether the two sides could not agree on how to encrypt: what was read is not what the protocol says.
fn is_of_tls(failed: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(failed);
    while let Some(next) = cause {
        // An error of this kind that wraps another passes over that one in its causes.
        let mut read = next.downcast_ref::<io::Error>();
        while let Some(failed) = read {
            if failed.kind() == io::ErrorKind::InvalidData {
                return true;
            }
            read = failed.get_ref().and_then(|inner| inner.downcast_ref::<io::Error>());
        }
        cause = next.source();
    }
    false
}

impl Service {
    pub(super) async fn attempt(&self, request: &Request) -> Attempt {
        let built = match self.build(request) {
            Ok(built) => built,
            Err(why) => return Attempt::Done(Ended::failed(&why, None)),
        };
        let response = match self.client.execute(built).await {
            Ok(response) => response,
            Err(failed) => return Attempt::failed(&failed),
        };
        let pause = patience(&response);
        match read(response).await {
            Err(attempt) => attempt,
            Ok((status, outcome)) => {
                let ended = Ended { outcome, why: (status >= 500).then(|| format!("it answers {status}")) };
                match status {
                    // it says that it has done nothing
                    429 => Attempt::Again { ended, happened: false, pause },
                    502..=504 => Attempt::Again { ended, happened: true, pause },
                    _ => Attempt::Done(ended),
                }
            }
        }
    }

    fn build(&self, request: &Request) -> Result<reqwest::Request, String> {
        let url = below(&self.settings.url, &request.path)?;
        egress::literal(&url, self.settings.private).map_err(|_| "its address is refused".to_owned())?;
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|e| e.to_string())?;
        let mut built = self.client.request(method, url);
        for (name, value) in &request.headers {
            let unfit = || format!("`{}` is no header, or its value is none", clean(name));
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| unfit())?;
            // what the job sends is the job's
            if self.settings.headers.contains_key(&header) || CONNECTION.contains(&header.as_str()) {
                return Err(format!("the header `{header}` is not the plugin's to set"));
            }
            built = built.header(header, value);
        }
        built.body(request.body.clone()).build().map_err(|_| "the request could not be made".to_owned())
    }
}

/// A path below an address, and nowhere else.
fn below(base: &Url, path: &str) -> Result<Url, String> {
    let front = base.as_str().trim_end_matches('/');
    let url = Url::parse(&format!("{front}{path}")).map_err(|e| format!("the path `{}`: {e}", clean(path)))?;
    let stays = url.origin() == base.origin()
        && url.path().starts_with(&format!("{}/", base.path().trim_end_matches('/')))
        && url.fragment().is_none()
        && !climbs(path);
    if stays { Ok(url) } else { Err(format!("the path `{}` leads out of the connector", clean(path))) }
}

/// Whether a path goes up somewhere, also for a service that takes an encoded slash for one. One within a name is no harm.
fn climbs(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let bytes = decoded(path.as_bytes());
    bytes.split(|byte| matches!(byte, b'/' | b'\\')).any(|part| matches!(part, b"." | b".."))
}

/// Percent-decoded, once.
fn decoded(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    while let [first, rest @ ..] = text {
        let digits = rest.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|digits| !digits.starts_with('+')).and_then(|it| u8::from_str_radix(it, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        text = if byte.is_some() { &rest[2..] } else { rest };
    }
    bytes
}

/// Status and answer within bounds.
async fn read(mut response: Response) -> Result<(u16, Outcome), Attempt> {
    let too_large = |what: String| {
        let told = format!("the answer has more than {what}");
        Attempt::Done(Ended::failed(&told, Some(told.clone())))
    };
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
