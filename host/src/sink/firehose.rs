//! Results as records of a Firehose delivery stream, at least once.
//!
//! What it owes: the rules of [`delivery`](super::delivery) within the limits of PutRecordBatch. Each record of JSON ends with a
//! line end, because Firehose joins records into objects without anything between them. Firehose itself keeps no order.
//! Left to others: dropping repeats by id (the consumer).

use std::sync::Arc;

use aws_sdk_firehose::{Client, primitives::Blob, types::Record};
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

/// The service's own: 500 records, 4 MiB, 1,000 KiB a record.
const LIMITS: Limits = Limits { entries: 500, bytes: 4 << 20, entry: 1_000 << 10 };

/// Which delivery stream.
#[derive(Clone, Debug)]
pub struct Options {
    /// the sink's name in the job
    pub name: String,
    /// the delivery stream's name
    pub delivery_stream: String,
    /// what a record is
    pub form: Form,
}

/// A delivery stream as a destination.
pub struct FirehoseSink {
    delivery: Delivery,
}

impl FirehoseSink {
    /// A sink with a client of its own.
    pub fn new(options: Options, client: Client, runtime: Handle) -> Self {
        let service = Arc::new(DeliveryStream { client, name: options.delivery_stream });
        Self { delivery: Delivery::new(options.name, service, runtime, LIMITS, Order::None, options.form) }
    }
}

struct DeliveryStream {
    client: Client,
    name: String,
}

impl Service for DeliveryStream {
    fn send(&self, entries: Vec<Arc<Entry>>, permit: Permit) -> Pending<'static, Outcomes> {
        let call = self.client.put_record_batch().delivery_stream_name(&self.name);
        Box::pin(async move {
            let records = entries
                .iter()
                .map(|entry| Record::builder().data(Blob::new(entry.data.clone())).build().expect("the data is set"));
            let answer =
                call.set_records(Some(records.collect())).customize().interceptor(Permitted(permit)).send().await;
            let answer = answer.map_err(|failed| delivery::aws::call_failed(&failed))?;
            let outcome =
                |code: Option<&str>, why: Option<&str>| Some(format!("{}: {}", code?, why.unwrap_or_default()));
            let outcomes = answer.request_responses().iter();
            Ok(outcomes.map(|one| outcome(one.error_code(), one.error_message())).collect())
        })
    }
}

impl Sink for FirehoseSink {
    fn promise(&self) -> Promise {
        Promise::AtLeastOnce
    }

    fn recover(&mut self, writer: Writer, _epoch: u64, _held: &[u8]) -> Pending<'_, Result<()>> {
        self.delivery.recover(writer);
        Box::pin(std::future::ready(Ok(())))
    }

    fn write<'a>(&'a mut self, batch: &'a Batch) -> Pending<'a, Result<Vec<RowReject>>> {
        Box::pin(self.delivery.write(batch, None))
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
