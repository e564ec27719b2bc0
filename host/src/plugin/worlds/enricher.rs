//! A plugin of the world `enricher`: it says what to ask, the host asks, it makes rows of the answers.
//!
//! The rule: a part of a batch is done when its last round is complete: nothing waits from call to call, so an epoch that ends has asked
//! for everything that it holds, and what a crash takes is asked again. What a plugin asks for is checked before anybody is asked: connectors
//! that it declared, within bounds. Answers come in the order of the requests, whoever answered first.
//! Left to others: how a connector is reached (`Connect`), which record is at fault (`bisect`).

use std::{fmt, future::Future, ops::Range, pin::Pin, sync::Arc, time::Duration};

use futures::stream::{self, StreamExt};

use super::BatchPlugin;
use crate::plugin::{
    Call, Failure, Manifest, Metrics, Processed,
    bindings::enrich,
    bisect::{self, Bisected, Divisible},
    capability::log::clean,
    describe::Output,
    instance::Instance,
    lift, lower,
};
use crate::record::Batch;

/// A record may ask again so often.
const MOST_ROUNDS: usize = 8;
/// Requests of one call for each of its records.
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

    /// So many requests are under way at a time.
    fn capacity(&self) -> usize;
}

/// A copy of an enricher. It is started by its first call and replaced after a failure.
pub struct EnricherInstance {
    instance: Instance,
    manifest: Manifest,
    connect: Arc<dyn Connect>,
}

impl fmt::Debug for EnricherInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnricherInstance({})", self.manifest.name)
    }
}

impl EnricherInstance {
    pub(in crate::plugin) fn new(instance: Instance, manifest: Manifest, connect: Arc<dyn Connect>) -> Self {
        Self { instance, manifest, connect }
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

    async fn prepare(
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
        let requests = self.instance.end(running, answer)?;
        self.checked(requests, records)
    }

    /// Rows of the batch that this call is about, and what was answered for them.
    async fn complete(
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
        let completed = self.instance.end(running, answer)?;
        let rows_per_row = self.instance.limits().rows_per_row;
        let given = lift::Given { sources: records, keys: None, outputs: &self.manifest.outputs, rows_per_row };
        let processed = lift::processed(completed.processed, given).map_err(|what| self.instance.broke(what))?;
        Ok((processed, self.checked(completed.further, records)?))
    }

    fn checked(&mut self, requests: Vec<enrich::Request>, records: usize) -> Result<Vec<Request>, Failure> {
        let most = records * MOST_REQUESTS;
        if requests.len() > most {
            let what = format!("it asks {} times for {records} records, {most} is the most", requests.len());
            return Err(self.instance.broke(what));
        }
        let names: Vec<&str> = self.manifest.connectors.iter().map(|connector| &*connector.name).collect();
        let checked: Result<Vec<Request>, String> =
            requests.into_iter().map(|request| check(request, records, &names)).collect();
        checked.map_err(|what| self.instance.broke(what))
    }

    async fn ask(&self, requests: Vec<Request>) -> Vec<(Request, Outcome)> {
        let ask = |request: Request| async {
            let outcome = self.connect.ask(&request).await;
            (request, outcome)
        };
        stream::iter(requests).map(ask).buffered(self.connect.capacity().max(1)).collect().await
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

    async fn part(&mut self, range: Range<usize>, budget: Duration) -> Result<Processed, Failure> {
        let Self { plugin, call, batch } = self;
        let mut requests = plugin.prepare(call, batch, range.clone(), budget).await?;
        let mut done = Vec::new();
        // rows of the range that this round is about; all in the first
        let mut about: Option<(Vec<u32>, Batch)> = None;
        for _ in 0..MOST_ROUNDS {
            let answers = plugin.ask(std::mem::take(&mut requests)).await;
            let (of, within) = match &about {
                None => (*batch, range.clone()),
                Some((rows, some)) => (some, 0..rows.len()),
            };
            let (processed, further) = plugin.complete(call, of, (within, &answers), budget).await?;
            let rows = about.as_ref().map(|(rows, _)| rows.as_slice());
            done.push((0, placed(processed, rows)));
            if further.is_empty() {
                return bisect::join(done, &plugin.manifest.outputs);
            }
            let (next, renumbered) = again(further, rows);
            let some: Vec<u32> = next.iter().map(|row| row + range.start as u32).collect();
            let some = batch.take(&some).map_err(|e| Failure::Unfit { what: e.to_string() })?;
            (about, requests) = (Some((next, some)), renumbered);
        }
        let what = format!("a record asks again and again: {MOST_ROUNDS} rounds are the most");
        Err(plugin.instance.broke(what))
    }
}

/// Rows of a round as rows of the range.
fn placed(mut processed: Processed, rows: Option<&[u32]>) -> Processed {
    let Some(rows) = rows else { return processed };
    let place = |row: &mut u32| *row = rows[*row as usize];
    processed.outputs.iter_mut().flat_map(|emitted| &mut emitted.source).for_each(place);
    processed.errors.iter_mut().for_each(|error| place(&mut error.row));
    processed
}

/// The rows that ask again, rising, as rows of the range; and what they ask, by their place among them.
fn again(mut further: Vec<Request>, rows: Option<&[u32]>) -> (Vec<u32>, Vec<Request>) {
    let mut asked: Vec<u32> = further.iter().map(|request| request.row).collect();
    asked.sort_unstable();
    asked.dedup();
    for request in &mut further {
        request.row = asked.binary_search(&request.row).map_or(0, |place| place as u32);
    }
    let placed = asked.iter().map(|row| rows.map_or(*row, |rows| rows[*row as usize])).collect();
    (placed, further)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(row: u32) -> Request {
        Request {
            row,
            cookie: Vec::new(),
            connector: "scores".into(),
            method: "GET".into(),
            path: "/".into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    #[test]
    fn those_who_ask_again_are_renumbered_round_by_round() {
        let (rows, requests) = again(vec![request(5), request(2), request(5)], None);
        assert_eq!(rows, [2, 5]);
        assert_eq!(requests.iter().map(|request| request.row).collect::<Vec<_>>(), [1, 0, 1]);
        let (rows, requests) = again(vec![request(1)], Some(&rows));
        assert_eq!((rows, requests[0].row), (vec![5], 0));
    }
}
