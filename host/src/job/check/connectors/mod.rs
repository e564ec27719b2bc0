//! What enrichers may ask: services by name, and whether the job has those that a plugin wants.
//!
//! Left to others: asking, and what addresses may be dialled (`connector`).

use std::{collections::BTreeMap, ops::Range, time::Duration};

use super::{Check, quantity::duration};
use crate::job::{diagnostic::Diagnostic, file::raw, graph::Connector, interface::PluginInterface};

/// One attempt takes no longer, where the job says nothing.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Attempts after the first, where the job says nothing; and the most.
const RETRIES: (u32, u32) = (2, 10);
/// Requests under way at a time, where the job says nothing; and the most.
const CAPACITY: (usize, usize) = (32, 1_000);

impl<'a> Check<'a> {
    pub(super) fn connectors(&self) -> BTreeMap<String, Connector> {
        let named = self.given(&self.file.raw.connectors).into_iter().flat_map(|(named, _)| &named.0);
        let one = |(name, connector): &'a (_, _)| self.connector(name, connector);
        named.filter_map(one).collect()
    }

    fn connector(&self, name: &'a raw::AtText, connector: &'a raw::AtConnector) -> Option<(String, Connector)> {
        let text = name.value.clone()?;
        self.name(&text, &name.place);
        let (connector, owner) = (connector.value.as_ref()?, connector.place.clone());
        let (http, owner) = match self.given(&connector.http) {
            Some(http) => http,
            None => {
                let mistake = Diagnostic::new("E0103", owner, "a connector needs `http: { url: ... }`");
                self.report(mistake);
                return None;
            }
        };
        let (url, place) = self.needed(&http.url, "url", &owner)?;
        self.url(url, place);
        let headers = self.given(&http.headers).into_iter().flat_map(|(headers, _)| &headers.0);
        let headers = headers.filter_map(|(name, secret)| Some((name.value.clone()?, secret.value.clone()?))).collect();
        let timeout = self.quantity(&http.timeout, "E0101", TIMEOUT, duration);
        let retries = self.within(&http.retries, "retries", 0..=i64::from(RETRIES.1)).unwrap_or(i64::from(RETRIES.0));
        let capacity = self.within(&http.capacity, "capacity", 1..=CAPACITY.1 as i64).unwrap_or(CAPACITY.0 as i64);
        let private = self.given(&http.private).is_some_and(|(private, _)| *private);
        let connector = Connector {
            url: url.clone(),
            headers,
            timeout,
            retries: retries as u32,
            capacity: capacity as usize,
            private,
        };
        Some((text, connector))
    }

    fn within(
        &self,
        number: &'a Option<raw::AtNumber>,
        name: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let (number, place) = self.given(number)?;
        if !range.contains(number) {
            let message = format!("`{name}` is {number}; it lies between {} and {}", range.start(), range.end());
            self.report(Diagnostic::new("E0104", place, message));
        }
        Some(*number)
    }

    /// Whether the job names every connector that a plugin asks.
    pub(super) fn connects(&self, plugin: &PluginInterface, place: &Range<usize>) {
        let named = self.given(&self.file.raw.connectors).into_iter().flat_map(|(named, _)| &named.0);
        let named: Vec<&str> = named.filter_map(|(name, _)| name.value.as_deref()).collect();
        for wanted in plugin.connectors.iter().filter(|wanted| !named.contains(&wanted.as_str())) {
            let message = format!(
                "the plugin `{}` asks the connector `{wanted}`, and the job has none of that name",
                plugin.name
            );
            let help = format!("add `connectors: {{ {wanted}: {{ http: {{ url: \"https://...\" }} }} }}`");
            self.report(Diagnostic::new("E0508", place.clone(), message).help(help));
        }
    }
}
