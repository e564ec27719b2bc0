//! Enrichers: say what to ask, let the host ask, make rows of the answers.
//!
//! The rule: a plugin names a connector and a path; addresses, credentials, retries and time limits are the host's. `complete` sees every
//! record of the call with its answers, those too that nothing was asked for; what it asks makes another round, for these records alone.
//! Left to others: performing requests (the host).

use crate::bindings::enrich_types::{self, Answer as Answered, Completed, Header};
use crate::bindings::types::{self, Batch, Context, Failure, Manifest};
use crate::config::Config;
use crate::out::{self, Out, Output};
use crate::rows::{Fields, Row, Rows};
use crate::state::stored::{self, Stored};
use crate::transform::manifest;
use std::fmt::Write as _;

/// Rows with what others know of them. Export it with `pelton_sdk::enricher!(Name);`.
pub trait Enricher: Sized {
    type Config: Config;
    type Input<'a>: Fields<'a>;
    /// What comes back with the answer to a request; `()` for nothing.
    type Cookie: Stored;
    type Output<'a>: Output;
    const NAME: &'static str;
    const VERSION: &'static str = "0.1.0";
    const DOC: &'static str = "";
    /// What requests may name, and what each is for; the job file gives each an address.
    const CONNECTORS: &'static [(&'static str, &'static str)];

    fn new(config: Self::Config) -> Result<Self, String>;

    /// Called first for every batch: what to ask.
    fn prepare<'a>(&mut self, rows: Rows<'a, Self::Input<'a>>, ask: &mut Ask<Self::Cookie>) -> Result<(), Failure>;

    /// Called with the answers, once a round.
    fn complete<'a>(
        &mut self,
        rows: Rows<'a, Self::Input<'a>>,
        answers: &Answers<Self::Cookie>,
        out: &mut Out<Self::Output<'a>>,
        ask: &mut Ask<Self::Cookie>,
    ) -> Result<(), Failure>;
}

/// A request to be made: `Request::get("scores", "/scores/a")`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub connector: String,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, connector: &str, path: impl Into<String>) -> Self {
        let (connector, method) = (connector.to_owned(), method.to_owned());
        Self { connector, method, path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn get(connector: &str, path: impl Into<String>) -> Self {
        Self::new("GET", connector, path)
    }

    pub fn post(connector: &str, path: impl Into<String>) -> Self {
        Self::new("POST", connector, path)
    }

    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A body of JSON, and the header that says so.
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }
}

/// Text as one part of a path: what has a meaning there is percent-encoded.
pub fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => segment.push(byte.into()),
            other => {
                let _ = write!(segment, "%{other:02X}");
            }
        }
    }
    segment
}

/// Where the requests of a call are collected.
#[derive(Debug)]
pub struct Ask<C> {
    connectors: &'static [(&'static str, &'static str)],
    requests: Vec<enrich_types::Request>,
    cookie: std::marker::PhantomData<fn() -> C>,
}

impl<C: Stored> Ask<C> {
    fn new(connectors: &'static [(&'static str, &'static str)]) -> Self {
        Self { connectors, requests: Vec::new(), cookie: std::marker::PhantomData }
    }

    /// Asks for a row; there may be several requests for one. The cookie comes back with the answer.
    pub fn send<F>(&mut self, row: &Row<F>, request: Request, cookie: &C) -> Result<(), String> {
        let Request { connector, method, path, headers, body } = request;
        if !self.connectors.iter().any(|(name, _)| *name == connector) {
            let known: Vec<&str> = self.connectors.iter().map(|(name, _)| *name).collect();
            return Err(format!("there is no connector `{connector}`; declared are: {}", known.join(", ")));
        }
        let headers = headers.into_iter().map(|(name, value)| Header { name, value }).collect();
        let (row, cookie) = (row.index(), stored::bytes(cookie));
        self.requests.push(enrich_types::Request { row, cookie, connector, method, path, headers, body });
        Ok(())
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Answered { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    Failed(String),
    TimedOut,
}

/// An answer, and the cookie of its request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<C> {
    pub cookie: C,
    pub outcome: Outcome,
}

impl<C> Answer<C> {
    /// Status and body, where it was answered.
    pub fn answered(&self) -> Option<(u16, &[u8])> {
        match &self.outcome {
            Outcome::Answered { status, body, .. } => Some((*status, body)),
            _ => None,
        }
    }

    /// The body as text; what is no UTF-8 in it is replaced.
    pub fn text(&self) -> String {
        self.answered().map(|(_, body)| String::from_utf8_lossy(body).into_owned()).unwrap_or_default()
    }

    /// A header, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let Outcome::Answered { headers, .. } = &self.outcome else { return None };
        headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The answers of a call, by row.
#[derive(Debug)]
pub struct Answers<C> {
    by_row: Vec<Vec<Answer<C>>>,
}

impl<C: Stored> Answers<C> {
    fn open(responses: &[enrich_types::Response], rows: u32) -> Result<Self, String> {
        let mut by_row: Vec<Vec<Answer<C>>> = (0..rows).map(|_| Vec::new()).collect();
        for response in responses {
            let row = by_row.get_mut(response.row as usize);
            let row = row.ok_or_else(|| format!("an answer is for row {}, and there are {rows}", response.row))?;
            let outcome = match &response.outcome {
                enrich_types::Outcome::Answered(Answered { status, headers, body }) => Outcome::Answered {
                    status: *status,
                    headers: headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect(),
                    body: body.clone(),
                },
                enrich_types::Outcome::Failed(why) => Outcome::Failed(why.clone()),
                enrich_types::Outcome::TimedOut => Outcome::TimedOut,
            };
            row.push(Answer { cookie: C::decode(&response.cookie)?, outcome });
        }
        Ok(Self { by_row })
    }

    /// The answers to what was asked for a row, in the order of the host.
    pub fn of<F>(&self, row: &Row<F>) -> &[Answer<C>] {
        &self.by_row[row.index() as usize]
    }
}

/// An `Enricher` as the export wants it.
pub struct TypedEnricher<T>(pub T);

/// What the export and the test helper run.
pub trait RunsEnricher: Sized {
    type Config: Config;
    fn describe(config: &Self::Config) -> Result<Manifest, String>;
    fn start(config: Self::Config, context: &Context) -> Result<Self, String>;
    fn prepare(&mut self, batch: &Batch) -> Result<Vec<enrich_types::Request>, Failure>;
    fn complete(&mut self, batch: &Batch, responses: &[enrich_types::Response]) -> Result<Completed, Failure>;
}

impl<T: Enricher> RunsEnricher for TypedEnricher<T> {
    type Config = T::Config;
    fn describe(_: &T::Config) -> Result<Manifest, String> {
        let mut manifest = manifest::<T::Config>(T::NAME, T::VERSION, T::DOC);
        manifest.inputs = <T::Input<'static>>::inputs();
        manifest.outputs = <T::Output<'static>>::declare("out");
        let connector = |(name, doc): &(&str, &str)| types::Connector { name: (*name).into(), doc: (*doc).into() };
        manifest.connectors = T::CONNECTORS.iter().map(connector).collect();
        Ok(manifest)
    }
    fn start(config: T::Config, _: &Context) -> Result<Self, String> {
        T::new(config).map(Self)
    }
    fn prepare(&mut self, batch: &Batch) -> Result<Vec<enrich_types::Request>, Failure> {
        let mut ask = Ask::new(T::CONNECTORS);
        self.0.prepare(Rows::open(batch)?, &mut ask)?;
        Ok(ask.requests)
    }
    fn complete(&mut self, batch: &Batch, responses: &[enrich_types::Response]) -> Result<Completed, Failure> {
        let (answers, mut ask) = (Answers::open(responses, batch.count)?, Ask::new(T::CONNECTORS));
        let mut out = Out::with_capacity(batch.count as usize);
        self.0.complete(Rows::open(batch)?, &answers, &mut out, &mut ask)?;
        let (emitted, errors) = out.finish();
        Ok(Completed { processed: out::processed(emitted, errors), further: ask.requests })
    }
}
