//! What enrichers ask: the job's connectors, or in a test what stands in their place.

use std::sync::Arc;

use super::Builder;
use crate::{
    connector::{self, Connectors, Settings},
    error::{Error, Kind, Result},
    job::{file::Secret, graph},
    plugin::{Connect, Order},
};

impl Builder<'_> {
    /// By the names that a plugin uses: one that was swapped in may use others than the one in the job file.
    pub(super) fn services(&self, names: &[&str]) -> Result<Arc<dyn Connect>> {
        if let Some(connect) = &self.connect {
            return Ok(connect.clone());
        }
        let named = names.iter().map(|name| match self.graph.connectors.get(*name) {
            Some(connector) => Ok(((*name).to_owned(), settings(name, connector)?)),
            None => Err(Error::new(Kind::Config, format!("the job has no connector `{name}`, which its plugin asks"))),
        });
        Ok(Arc::new(Connectors::new(named.collect::<Result<Vec<_>>>()?, self.runtime.clone())?))
    }
}

/// As the job says it.
pub fn order(order: graph::Order) -> Order {
    match order {
        graph::Order::Ordered => Order::Ordered,
        graph::Order::Unordered => Order::Unordered,
    }
}

fn settings(name: &str, connector: &graph::Connector) -> Result<Settings> {
    let graph::Connector { url, headers, timeout, deadline, retries, capacity, idempotent, private } = connector;
    let refuse = |what: String| Error::new(Kind::Config, format!("connector `{name}`: {what}"));
    let header = |(name, secret): &(String, Secret)| connector::header(name, secret.reveal());
    Ok(Settings {
        url: connector::address(url, *private).map_err(refuse)?,
        headers: headers.iter().map(header).collect::<std::result::Result<_, _>>().map_err(refuse)?,
        timeout: *timeout,
        deadline: *deadline,
        retries: *retries,
        capacity: *capacity,
        idempotent: *idempotent,
        private: *private,
    })
}
