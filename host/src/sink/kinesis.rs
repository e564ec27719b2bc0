//! Results as records of a Kinesis stream, at least once.
//!
//! What it owes: the rules of [`delivery`](super::delivery) within the limits of PutRecords. The partition key is a field's
//! text, or the result's id where there is no field or no value; a key longer than the service takes is shortened to a digest, so equal
//! keys stay together. Left to others: dropping repeats by id (the consumer).

use std::sync::Arc;

use aws_sdk_kinesis::{Client, primitives::Blob, types::PutRecordsRequestEntry};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use crate::{
    error::{Error, Kind, Result},
    permit::Permit,
    record::{Batch, RowReject},
    sink::{
        Prepared, Promise, Sink, Token, Writer,
        delivery::{self, Delivery, Entry, Form, Limits, Order, Outcomes, Service, aws::Permitted},
    },
    source::Pending,
};

/// Below the service's 10 MiB, so that a request that is repeated costs little.
const LIMITS: Limits = Limits { entries: 500, bytes: 5 << 20, entry: 1 << 20 };
/// Characters of a partition key.
const KEY: usize = 256;

/// Which stream, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// the sink's name in the job
    pub name: String,
    /// the stream's name
    pub stream: String,
    /// the field whose text is the partition key
    pub key: Option<String>,
    /// what a record is
    pub form: Form,
}

/// A stream as a destination.
pub struct KinesisSink {
    delivery: Delivery,
    key: Option<String>,
}

impl KinesisSink {
    /// A sink with a client of its own.
    pub fn new(options: Options, client: Client, runtime: Handle) -> Self {
        let service = Arc::new(Stream { client, name: options.stream });
        let delivery = Delivery::new(options.name, service, runtime, LIMITS, Order::PerKey, options.form);
        Self { delivery, key: options.key }
    }
}

struct Stream {
    client: Client,
    name: String,
}

impl Service for Stream {
    fn send(&self, entries: Vec<Arc<Entry>>, permit: Permit) -> Pending<'static, Outcomes> {
        let call = self.client.put_records().stream_name(&self.name);
        Box::pin(async move {
            let records = entries.iter().map(|entry| {
                let builder = PutRecordsRequestEntry::builder().data(Blob::new(entry.data.clone()));
                builder.partition_key(partition_key(&entry.key)).build().expect("data and key are set")
            });
            let answer =
                call.set_records(Some(records.collect())).customize().interceptor(Permitted(permit)).send().await;
            let answer = answer.map_err(|failed| delivery::aws::call_failed(&failed))?;
            let outcome =
                |code: Option<&str>, why: Option<&str>| Some(format!("{}: {}", code?, why.unwrap_or_default()));
            Ok(answer.records().iter().map(|one| outcome(one.error_code(), one.error_message())).collect())
        })
    }
}

fn partition_key(key: &str) -> String {
    if key.chars().count() <= KEY {
        return key.to_owned();
    }
    Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Sink for KinesisSink {
    fn promise(&self) -> Promise {
        Promise::AtLeastOnce
    }

    fn recover(&mut self, writer: Writer, _epoch: u64, _held: &[u8]) -> Pending<'_, Result<()>> {
        self.delivery.recover(writer);
        Box::pin(std::future::ready(Ok(())))
    }

    fn write<'a>(&'a mut self, batch: &'a Batch) -> Pending<'a, Result<Vec<RowReject>>> {
        Box::pin(self.delivery.write(batch, self.key.as_deref()))
    }

    fn prepare(&mut self, _epoch: u64) -> Pending<'_, Result<Prepared>> {
        Box::pin(async { self.delivery.flush().await.map(|()| Prepared::default()) })
    }

    fn go_on(&mut self, generation: u64) {
        self.delivery.go_on(generation);
    }

    fn commit<'a>(&'a mut self, token: &'a Token) -> Pending<'a, Result<()>> {
        let message = format!("sink `{}` makes no tokens, but there is one of epoch {}", token.sink, token.epoch);
        Box::pin(std::future::ready(Err(Error::new(Kind::State, message))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn long_keys_are_shortened_and_stay_apart() {
        assert_eq!(partition_key("JFK"), "JFK");
        assert_eq!(partition_key(&"ü".repeat(256)), "ü".repeat(256));
        let (a, b) = (partition_key(&"a".repeat(257)), partition_key(&"b".repeat(257)));
        assert!(a.len() == 64 && a != b);
    }
}
