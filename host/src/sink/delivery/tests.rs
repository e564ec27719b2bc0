//! Delivery against a service that refuses what it likes: order, repeats, bounds, and the sink contract.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Mutex;

use arrow::array::{RecordBatch, StringArray};
use serde_json::Value;

use super::*;
use crate::{
    contract::{self, SinkRig},
    sink::{Prepared, Promise, Sink, Token},
};

/// Takes entries, and refuses those for which the rule says so.
#[derive(Default)]
struct Log {
    taken: Vec<Arc<Entry>>,
    requests: Vec<usize>,
    calls: u64,
}

struct Moody {
    log: Arc<Mutex<Log>>,
    refuses: fn(call: u64, place: usize) -> bool,
    fails: fn(call: u64) -> Option<bool>,
}

impl Service for Moody {
    fn send(&self, entries: Vec<Arc<Entry>>, _: Permit) -> Pending<'static, Outcomes> {
        let mut log = self.log.lock().unwrap();
        log.calls += 1;
        let call = log.calls;
        if let Some(is_final) = (self.fails)(call) {
            let failed = CallFailed { why: "broken".into(), is_final, happened: Happened::Perhaps };
            return Box::pin(std::future::ready(Err(failed)));
        }
        log.requests.push(entries.len());
        let outcome = |(place, entry)| match (self.refuses)(call, place) {
            true => Some("refused".to_owned()),
            false => {
                log.taken.push(entry);
                None
            }
        };
        let outcomes = entries.into_iter().enumerate().map(outcome).collect();
        Box::pin(std::future::ready(Ok(outcomes)))
    }
}

const LIMITS: Limits = Limits { entries: 4, bytes: 1_000, entry: 400 };

fn moody(refuses: fn(u64, usize) -> bool, fails: fn(u64) -> Option<bool>) -> (Delivery, Arc<Mutex<Log>>) {
    let log = Arc::new(Mutex::new(Log::default()));
    let service = Arc::new(Moody { log: log.clone(), refuses, fails });
    let retry = Retry { attempts: 8, base: Duration::ZERO, most: Duration::ZERO };
    let mut delivery = Delivery::new("out".into(), service, Handle::current(), LIMITS, Order::PerKey, Form::Json(b""))
        .with_retry(retry);
    delivery.recover(Writer {
        job: "job".into(),
        partition: "p".into(),
        generation: 2,
        fence: 3,
        permit: crate::permit::Permit::unlimited(),
        set_back: None,
    });
    (delivery, log)
}

fn taken(log: &Mutex<Log>) -> Vec<(String, u64)> {
    let rows = log.lock().unwrap();
    let row = |entry: &Arc<Entry>| {
        let row: Value = serde_json::from_slice(&entry.data).unwrap();
        assert_eq!(row["_pelton"], serde_json::json!({"id": entry.id.to_string(), "generation": 2, "fence": 3}));
        (entry.key.clone(), row["n"].as_u64().unwrap())
    };
    rows.taken.iter().map(row).collect()
}

#[tokio::test]
async fn refused_entries_alone_are_repeated_and_never_overtaken() {
    let (mut delivery, log) = moody(|call, place| (call + place as u64).is_multiple_of(2), |_| None);
    delivery.write(&contract::rows(0..40), Some("key")).await.unwrap();
    delivery.flush().await.unwrap();
    let taken = taken(&log);
    assert_eq!(taken.len(), 40, "each once");
    for key in ["k0", "k1", "k2"] {
        let numbers: Vec<u64> = taken.iter().filter(|(of, _)| of == key).map(|(_, number)| *number).collect();
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
    }
}

#[tokio::test]
async fn without_a_key_field_the_id_is_the_key_and_requests_are_full() {
    let (mut delivery, log) = moody(|_, _| false, |_| None);
    delivery.write(&contract::rows(0..16), None).await.unwrap();
    delivery.flush().await.unwrap();
    assert_eq!(log.lock().unwrap().requests, [4, 4, 4, 4]);
    assert_eq!(log.lock().unwrap().taken[0].key.len(), 32);
}

#[tokio::test]
async fn a_failed_request_is_repeated_until_attempts_end() {
    let (mut delivery, log) = moody(|_, _| false, |call| (call < 5).then_some(false));
    delivery.write(&contract::rows(0..2), None).await.unwrap();
    delivery.flush().await.unwrap();
    assert_eq!((taken(&log).len(), log.lock().unwrap().calls), (2, 5));
    let (mut delivery, log) = moody(|_, _| true, |_| None);
    delivery.write(&contract::rows(0..1), None).await.unwrap();
    let failed = delivery.flush().await.unwrap_err();
    assert!(failed.to_string().contains("8 attempts, the last: refused"), "{failed}");
    assert_eq!(log.lock().unwrap().calls, 8);
}

#[tokio::test]
async fn a_final_failure_is_said_at_once() {
    let (mut delivery, log) = moody(|_, _| false, |_| Some(true));
    delivery.write(&contract::rows(0..1), None).await.unwrap();
    assert_eq!(delivery.flush().await.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(log.lock().unwrap().calls, 1);
}

#[tokio::test]
async fn a_result_that_is_too_large_is_named() {
    let (mut delivery, log) = moody(|_, _| false, |_| None);
    let mut rows = contract::rows(0..3);
    let schema = rows.fields.schema();
    let texts = StringArray::from(vec!["a".to_owned(), "b".repeat(400), "c".to_owned()]);
    rows.fields = RecordBatch::try_new(schema, vec![Arc::new(texts), rows.fields.column(1).clone()]).unwrap();
    let rejects = delivery.write(&rows, None).await.unwrap();
    delivery.flush().await.unwrap();
    assert_eq!(
        taken(&log).into_iter().map(|(_, number)| number).collect::<Vec<_>>(),
        [0, 2],
        "its neighbours get through"
    );
    let id = Ids::new("job", "out").of(&rows)[1];
    assert_eq!((rejects.len(), rejects[0].row, rejects[0].code.as_str()), (1, 1, "result_too_large"));
    assert!(rejects[0].message.contains(&format!("result {id} has")), "{rejects:?}");
    let failed = delivery.write(&contract::rows(0..1), Some("nix")).await.unwrap_err();
    assert!(failed.to_string().contains("no field `nix`"), "{failed}");
}

/// A sink of nothing but a delivery, over a service that refuses every third entry and breaks every fifth call.
struct Plain(Delivery);

impl Sink for Plain {
    fn promise(&self) -> Promise {
        Promise::AtLeastOnce
    }

    fn recover(&mut self, writer: Writer, _epoch: u64, _held: &[u8]) -> Pending<'_, Result<()>> {
        self.0.recover(Writer { generation: 2, fence: 3, ..writer });
        Box::pin(std::future::ready(Ok(())))
    }

    fn write<'a>(&'a mut self, batch: &'a Batch) -> Pending<'a, Result<Vec<RowReject>>> {
        Box::pin(self.0.write(batch, Some("key")))
    }

    fn prepare(&mut self, _epoch: u64) -> Pending<'_, Result<Prepared>> {
        Box::pin(async { self.0.flush().await.map(|()| Prepared::default()) })
    }

    fn go_on(&mut self, generation: u64) {
        self.0.go_on(generation);
    }

    fn commit<'a>(&'a mut self, _token: &'a Token) -> Pending<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[derive(Default)]
struct Rig(Vec<Arc<Mutex<Log>>>);

impl SinkRig for Rig {
    fn reset(&mut self) -> Pending<'_, Result<()>> {
        self.0.clear();
        Box::pin(std::future::ready(Ok(())))
    }

    fn open(&mut self) -> Pending<'_, Result<Box<dyn Sink>>> {
        let (delivery, log) = moody(
            |call, place| (call + place as u64).is_multiple_of(3),
            |call| call.is_multiple_of(5).then_some(false),
        );
        self.0.push(log);
        Box::pin(std::future::ready(Ok(Box::new(Plain(delivery)) as Box<dyn Sink>)))
    }

    fn shown(&mut self) -> Pending<'_, Result<Vec<Value>>> {
        let mut rows = Vec::new();
        for log in &self.0 {
            rows.extend(log.lock().unwrap().taken.iter().map(|entry| serde_json::from_slice(&entry.data).unwrap()));
        }
        Box::pin(std::future::ready(Ok(rows)))
    }
}

#[tokio::test]
async fn keeps_the_contract_of_sinks() {
    assert_eq!(contract::sink(&mut Rig::default()).await, Ok(()));
}
