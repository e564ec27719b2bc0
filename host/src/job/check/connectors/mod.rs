//! What enrichers may ask: services by name, whether the job has those that a plugin wants, and the answers of tests.
//!
//! Left to others: asking, and what addresses may be dialled (`connector`).

use std::{
    collections::BTreeMap,
    ops::{Range, RangeInclusive},
    time::Duration,
};

use serde_json::Value as Json;

use super::{Check, quantity::duration};
use crate::{
    connector,
    job::{
        diagnostic::Diagnostic,
        file::raw,
        graph::{Answer, Connector, Plugin},
        interface::{PluginInterface, World},
    },
};

/// One attempt takes no longer, where the job says nothing.
const TIMEOUT: Duration = Duration::from_secs(2);
/// A request takes no longer, where the job says nothing.
const DEADLINE: Duration = Duration::from_secs(30);
/// Attempts after the first, where the job says nothing; and the most.
const RETRIES: (i64, i64) = (2, 10);
/// Requests under way at a time, where the job says nothing; and the most.
const CAPACITY: (i64, i64) = (32, 1_000);
/// What plugins ask with.
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

impl<'a> Check<'a> {
    pub(super) fn connectors(&self) -> BTreeMap<String, Connector> {
        let named = self.given(&self.file.raw.connectors).into_iter().flat_map(|(named, _)| &named.0);
        let one = |(name, connector): &'a (_, _)| self.connector(name, connector);
        named.filter_map(one).collect()
    }

    fn connector(&self, name: &'a raw::AtText, connector: &'a raw::AtConnector) -> Option<(String, Connector)> {
        let text = name.value.clone()?;
        self.name(&text, &name.place);
        let (http, owner) = self.needed(&connector.value.as_ref()?.http, "http", &name.place)?;
        let (url, place) = self.needed(&http.url, "url", &owner)?;
        let private = self.given(&http.private).is_some_and(|(private, _)| *private);
        if let Err(why) = connector::address(url, private) {
            self.report(Diagnostic::new("E0104", place, why));
        }
        let headers = self.given(&http.headers).into_iter().flat_map(|(headers, _)| &headers.0);
        let headers = headers.filter_map(|(name, secret)| {
            let (named, secret) = (name.value.clone()?, secret.value.clone()?);
            if let Err(why) = connector::header(&named, secret.reveal()) {
                self.report(Diagnostic::new("E0104", name.place.clone(), why));
            }
            Some((named, secret))
        });
        let headers = headers.collect();
        let timeout = self.quantity(&http.timeout, "E0101", TIMEOUT, positive);
        let deadline = self.quantity(&http.deadline, "E0101", DEADLINE.max(timeout), positive);
        if let (true, Some((_, place))) = (deadline < timeout, self.given(&http.deadline)) {
            let message = "`deadline` is shorter than `timeout`, which is of one attempt";
            self.report(Diagnostic::new("E0104", place, message));
        }
        let connector = Connector {
            url: url.clone(),
            headers,
            timeout,
            deadline,
            retries: self.within(&http.retries, "retries", RETRIES.0, 0..=RETRIES.1) as u32,
            capacity: self.within(&http.capacity, "capacity", CAPACITY.0, 1..=CAPACITY.1) as usize,
            idempotent: self.given(&http.idempotent).is_some_and(|(idempotent, _)| *idempotent),
            private,
        };
        Some((text, connector))
    }

    fn within(&self, number: &'a Option<raw::AtNumber>, name: &str, default: i64, range: RangeInclusive<i64>) -> i64 {
        let Some((number, place)) = self.given(number) else { return default };
        if range.contains(number) {
            return *number;
        }
        let message = format!("`{name}` is {number}; it lies between {} and {}", range.start(), range.end());
        self.report(Diagnostic::new("E0104", place, message));
        default
    }

    fn connector_names(&self) -> Vec<&'a str> {
        let named = self.given(&self.file.raw.connectors).into_iter().flat_map(|(named, _)| &named.0);
        named.filter_map(|(name, _)| name.value.as_deref()).collect()
    }

    /// Whether the job names every connector that a plugin asks.
    pub(super) fn connects(&self, plugin: &PluginInterface, place: &Range<usize>) {
        let named = self.connector_names();
        for wanted in plugin.connectors.iter().filter(|wanted| !named.contains(&wanted.as_str())) {
            let message = format!(
                "the plugin `{}` asks the connector `{wanted}`, and the job has none of that name",
                plugin.name
            );
            let help = format!("add `connectors: {{ {wanted}: {{ http: {{ url: \"https://...\" }} }} }}`");
            self.report(Diagnostic::new("E0508", place.clone(), message).help(help));
        }
    }

    /// With the order in which its rows leave.
    pub(super) fn ordered(&self, transform: &'a raw::Transform, plugin: Plugin) -> Plugin {
        let Some((order, place)) = self.given(&transform.order) else { return plugin };
        if plugin.interface.world != World::Enricher {
            let message = format!("`order` belongs to an enricher, and `{}` asks nobody", plugin.interface.name);
            self.report(Diagnostic::new("E0304", place, message).help("leave `order` out"));
        }
        Plugin { order: *order, ..plugin }
    }

    /// What connectors answer in a test.
    pub(super) fn answers(&self, test: &raw::Test) -> BTreeMap<(String, String), Answer> {
        let named = self.connector_names();
        let mut answers = BTreeMap::new();
        for (name, requests) in test.answers.iter().filter_map(|at| at.value.as_ref()).flat_map(|named| &named.0) {
            let Some(connector) = &name.value else { continue };
            if !named.contains(&connector.as_str()) {
                let message = format!("the job has no connector `{connector}`");
                let mistake = Diagnostic::new("E0701", name.place.clone(), message);
                self.report(mistake.suggest(connector, named.iter().copied()));
            }
            for (request, answer) in requests.value.iter().flat_map(|requests| &requests.0) {
                let (Some(text), Some(given)) = (&request.value, &answer.value) else { continue };
                let parts = text.split_once(' ');
                if !parts.is_some_and(|(method, path)| METHODS.contains(&method) && path.starts_with('/')) {
                    let message = format!("`{text}` is no request");
                    let mistake = Diagnostic::new("E0701", request.place.clone(), message);
                    self.report(mistake.help("write it like `GET /scores/a`"));
                }
                if let Some(answer) = self.answer(given, &request.place) {
                    answers.insert((connector.clone(), text.clone()), answer);
                }
            }
        }
        answers
    }

    fn answer(&self, given: &raw::TestAnswer, owner: &Range<usize>) -> Option<Answer> {
        let keys = [
            ("status", given.status.as_ref().map(|at| &at.place)),
            ("failed", given.failed.as_ref().map(|at| &at.place)),
            ("timed_out", given.timed_out.as_ref().map(|at| &at.place)),
        ];
        match self.exactly_one("an answer of a test", owner, &keys)? {
            0 => {
                let status = given.status.as_ref()?;
                let number = status.value?;
                if !(100..=999).contains(&number) {
                    let message = format!("`{number}` is no status of HTTP");
                    self.report(Diagnostic::new("E0701", status.place.clone(), message));
                }
                let headers = given.headers.iter().filter_map(|at| at.value.as_ref()).flat_map(|named| &named.0);
                let headers = headers.filter_map(|(name, value)| Some((name.value.clone()?, value.value.clone()?)));
                let body = match given.body.as_ref().and_then(|at| at.value.as_ref()) {
                    None => Vec::new(),
                    Some(Json::String(text)) => text.clone().into_bytes(),
                    Some(json) => json.to_string().into_bytes(),
                };
                Some(Answer::Answered { status: number as u16, headers: headers.collect(), body })
            }
            1 => Some(Answer::Failed(given.failed.as_ref()?.value.clone()?)),
            _ => Some(Answer::TimedOut),
        }
    }
}

fn positive(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("nothing is answered in no time".to_owned()),
        length => Ok(length),
    }
}
