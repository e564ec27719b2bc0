//! A plugin of the world `enricher`: it says what to ask, the host asks, it makes rows of the answers.
//!
//! The rule: what a plugin asks for is checked before anybody is asked: connectors that it declared, within bounds.
//! Left to others: what is asked when (`rounds`), how a connector is reached (`Connect`), which record is at fault (`bisect`).

use std::{fmt, future::Future, ops::Range, pin::Pin, sync::Arc, time::Duration};

use super::{BatchPlugin, rounds};
use crate::plugin::{
    Call, Failure, Manifest, Metrics, Processed,
    bindings::enrich,
    bisect::{self, Bisected, Divisible, Seen},
    capability::log::clean,
    describe::Output,
    instance::Instance,
    lift, lower,
};
use crate::record::Batch;

/// Requests of one call for one of its records.
const MOST_REQUESTS: usize = 16;
/// Bytes of a request's path, headers and body together.
const MOST_BYTES: usize = 1 << 20;
const MOST_HEADERS: usize = 64;
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

/// What a plugin asks, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// row of the call
    pub row: u32,
    /// comes back with the answer
    pub cookie: Vec<u8>,
    /// declared by the plugin
    pub connector: String,
    /// one of GET, POST, PUT, PATCH, DELETE, HEAD
    pub method: String,
    /// begins with `/`; with its query
    pub path: String,
    /// names and values
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// whatever the status
    Answered { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// in words
    Failed(String),
    /// nothing came in the connector's time
    TimedOut,
}

/// Asks others in a plugin's name.
pub trait Connect: Send + Sync + fmt::Debug {
    /// Asks, with all the patience and retries of the connector.
    fn ask<'a>(&'a self, request: &'a Request) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

    /// So many requests are handed over at a time.
    fn capacity(&self) -> usize;
}

/// In which order rows leave an enricher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// as their records came: a round is completed when all of its answers are there
    #[default]
    Ordered,
    /// as answers come: a record is completed when its own answers are there
    Unordered,
}

/// A copy of an enricher. It is started by its first call and replaced after a failure.
pub struct EnricherInstance {
    instance: Instance,
    manifest: Manifest,
    pub(super) connect: Arc<dyn Connect>,
    pub(super) order: Order,
    /// CPU time of all calls of the part that was run last
    spent: Duration,
    /// what was asked for a record that was alone in the part that was run last
    pub(super) told: Vec<(Request, Outcome)>,
}

impl fmt::Debug for EnricherInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnricherInstance({})", self.manifest.name)
    }
}

impl EnricherInstance {
    pub(in crate::plugin) fn new(
        instance: Instance,
        manifest: Manifest,
        (connect, order): (Arc<dyn Connect>, Order),
    ) -> Self {
        Self { instance, manifest, connect, order, spent: Duration::ZERO, told: Vec::new() }
    }

    /// What it did is a lie.
    pub(super) fn broke(&mut self, what: String) -> Failure {
        self.instance.broke(what)
    }

    /// What the plugin says of itself under this step's config.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What the plugin counted since this was last asked.
    pub fn take_metrics(&mut self) -> Metrics {
        self.instance.take_metrics()
    }

    /// All rounds for a whole batch; when it fails, finds the records at fault and processes the others, who are asked for again.
    pub async fn process_or_bisect(&mut self, call: &Call, batch: &Batch) -> Result<Bisected, Failure> {
        bisect::process(Work { plugin: self, call, batch }).await
    }

    /// What the plugin asks about some rows.
    pub(super) async fn prepare(
        &mut self,
        call: &Call,
        batch: &Batch,
        range: Range<usize>,
        budget: Duration,
    ) -> Result<Vec<Request>, Failure> {
        let records = range.len();
        let input = self.manifest.input();
        let rows = lower::Rows::new(batch, range, &input.identity, &input.fields)?;
        let (fields, shards) = (rows.fields(), rows.shards());
        let mut running = self.instance.begin(call, budget, None).await?;
        let (enrich, store) = running.enrich();
        let answer = enrich.call_prepare(store, rows.param(call, &fields, &shards)).await;
        let requests = self.instance.end(running, answer);
        self.spent += self.instance.spent();
        let requests = requests?;
        self.checked(requests, records)
    }

    /// What it makes of some rows and what was answered for them, and what it asks once more.
    pub(super) async fn complete(
        &mut self,
        call: &Call,
        batch: &Batch,
        (range, answers): (Range<usize>, &[(Request, Outcome)]),
        budget: Duration,
    ) -> Result<(Processed, Vec<Request>), Failure> {
        let records = range.len();
        let input = self.manifest.input();
        let rows = lower::Rows::new(batch, range, &input.identity, &input.fields)?;
        let (fields, shards) = (rows.fields(), rows.shards());
        let headers: Vec<Vec<enrich::HeaderParam<'_>>> = answers.iter().map(|(_, outcome)| head(outcome)).collect();
        let responses: Vec<enrich::Response<'_>> = answers
            .iter()
            .zip(&headers)
            .map(|((request, outcome), headers)| response(request, outcome, headers))
            .collect();
        let mut running = self.instance.begin(call, budget, None).await?;
        let (enrich, store) = running.enrich();
        let answer = enrich.call_complete(store, rows.param(call, &fields, &shards), &responses).await;
        let completed = self.instance.end(running, answer);
        self.spent += self.instance.spent();
        let completed = completed?;
        let rows_per_row = self.instance.limits().rows_per_row;
        let given = lift::Given { sources: records, keys: None, outputs: &self.manifest.outputs, rows_per_row };
        let processed = lift::processed(completed.processed, given).map_err(|what| self.instance.broke(what))?;
        Ok((processed, self.checked(completed.further, records)?))
    }

    fn checked(&mut self, requests: Vec<enrich::Request>, records: usize) -> Result<Vec<Request>, Failure> {
        let mut asked = vec![0; records];
        for request in &requests {
            let Some(count) = asked.get_mut(request.row as usize) else { continue };
            *count += 1;
            if *count > MOST_REQUESTS {
                let what = format!("it asks more than {MOST_REQUESTS} times for record {}", request.row);
                return Err(self.instance.broke(what));
            }
        }
        let names: Vec<&str> = self.manifest.connectors.iter().map(|connector| &*connector.name).collect();
        let checked: Result<Vec<Request>, String> =
            requests.into_iter().map(|request| check(request, records, &names)).collect();
        checked.map_err(|what| self.instance.broke(what))
    }
}

fn check(request: enrich::Request, records: usize, connectors: &[&str]) -> Result<Request, String> {
    let enrich::Request { row, cookie, connector, method, path, headers, body } = request;
    let headers: Vec<(String, String)> = headers.into_iter().map(|header| (header.name, header.value)).collect();
    if row as usize >= records {
        return Err(format!("it asks for record {row} of {records}"));
    }
    if !connectors.contains(&connector.as_str()) {
        return Err(format!("it asks the connector `{}`, which its manifest does not name", clean(&connector)));
    }
    if !METHODS.contains(&method.as_str()) {
        return Err(format!("`{}` is no method: there are {}", clean(&method), METHODS.join(", ")));
    }
    let plain = |byte: u8| byte.is_ascii_graphic();
    if !path.starts_with('/') || path.starts_with("//") || !path.bytes().all(plain) {
        return Err(format!(
            "`{}` is no path: it begins with one `/`, and other bytes are percent-encoded",
            clean(&path)
        ));
    }
    let sizes = headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    if headers.len() > MOST_HEADERS || path.len() + sizes + body.len() + cookie.len() > MOST_BYTES {
        return Err(format!("a request has more than {MOST_HEADERS} headers, or more than {MOST_BYTES} bytes"));
    }
    Ok(Request { row, cookie, connector, method, path, headers, body })
}

fn head(outcome: &Outcome) -> Vec<enrich::HeaderParam<'_>> {
    match outcome {
        Outcome::Answered { headers, .. } => {
            headers.iter().map(|(name, value)| enrich::HeaderParam { name, value }).collect()
        }
        Outcome::Failed(_) | Outcome::TimedOut => Vec::new(),
    }
}

fn response<'a>(
    request: &'a Request,
    outcome: &'a Outcome,
    headers: &'a [enrich::HeaderParam<'a>],
) -> enrich::Response<'a> {
    let outcome = match outcome {
        Outcome::Answered { status, body, .. } => {
            enrich::Outcome::Answered(enrich::Answer { status: *status, headers, body })
        }
        Outcome::Failed(why) => enrich::Outcome::Failed(why),
        Outcome::TimedOut => enrich::Outcome::TimedOut,
    };
    enrich::Response { row: request.row, cookie: &request.cookie, outcome }
}

impl BatchPlugin for EnricherInstance {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn process<'a>(
        &'a mut self,
        call: &'a Call,
        batch: &'a Batch,
    ) -> Pin<Box<dyn Future<Output = Result<Bisected, Failure>> + 'a>> {
        Box::pin(self.process_or_bisect(call, batch))
    }
}

/// A batch and the plugin that it is for.
struct Work<'a> {
    plugin: &'a mut EnricherInstance,
    call: &'a Call,
    batch: &'a Batch,
}

impl Divisible for Work<'_> {
    fn len(&self) -> usize {
        self.batch.len()
    }

    fn instance(&mut self) -> &mut Instance {
        &mut self.plugin.instance
    }

    fn outputs(&self) -> &[Output] {
        &self.plugin.manifest.outputs
    }

    fn seen(&self, _: usize) -> Seen {
        Seen { answers: self.plugin.told.clone(), ..Seen::default() }
    }

    fn spent(&mut self) -> Duration {
        self.plugin.spent
    }

    async fn part(&mut self, range: Range<usize>, budget: Duration) -> Result<Processed, Failure> {
        self.plugin.spent = Duration::ZERO;
        rounds::run(self.plugin, self.call, (self.batch, range), budget).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn asked(change: impl FnOnce(&mut enrich::Request)) -> Result<Request, String> {
        let mut request = enrich::Request {
            row: 1,
            cookie: Vec::new(),
            connector: "scores".into(),
            method: "GET".into(),
            path: "/scores/a?k=1".into(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        change(&mut request);
        check(request, 2, &["scores"])
    }

    #[test]
    fn what_an_enricher_may_ask_is_checked_before_anybody_is_asked() {
        assert_eq!(asked(|_| ()).unwrap().path, "/scores/a?k=1");
        let wrong = |change: fn(&mut enrich::Request)| asked(change).unwrap_err();
        assert!(wrong(|request| request.row = 2).contains("record 2 of 2"));
        assert!(wrong(|request| request.connector = "other\n".into()).contains("manifest does not name"));
        assert!(wrong(|request| request.method = "CONNECT".into()).contains("is no method"));
        for path in ["", "scores", "//elsewhere.test/", "/a b", "/a\r\nhost: b", "/ä", "http://elsewhere.test/"] {
            assert!(asked(|request| request.path = path.into()).is_err(), "{path}");
        }
        assert!(wrong(|request| request.body = vec![0; MOST_BYTES]).contains("more than"));
        let header = || enrich::HeaderResult { name: "a".into(), value: "b".into() };
        let many = asked(|request| request.headers = (0..=MOST_HEADERS).map(|_| header()).collect());
        assert!(many.unwrap_err().contains("64 headers"));
    }
}
