//! Enrichers: rounds, order, and a record at fault, with a service that answers as a test says.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use pelton::plugin::{Connect, EnricherInstance, Order, Outcome, Processed, Request};

use super::{CALL, batch_of, context, fields_of, guest, plugins, quick};

/// Answers `/scores/NAME` with NAME's text, each after so many steps of time.
#[derive(Debug, Default)]
struct Service {
    answers: BTreeMap<&'static str, (u64, &'static str)>,
    /// what was asked, and what was answered
    seen: Mutex<Vec<String>>,
    capacity: usize,
}

const STEP: Duration = Duration::from_secs(1);

impl Connect for Service {
    fn ask<'a>(&'a self, request: &'a Request) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(async move {
            let name = request.path.trim_start_matches("/scores/");
            self.seen.lock().unwrap().push(format!("? {name}"));
            let (steps, body) = self.answers.get(name).copied().unwrap_or((0, ""));
            // paces: the order of answers is what is tested; time is the test's own
            pelton::clock::sleep(STEP * u32::try_from(steps).unwrap()).await;
            self.seen.lock().unwrap().push(format!("! {name}"));
            Outcome::Answered { status: 200, headers: Vec::new(), body: body.into() }
        })
    }

    fn capacity(&self) -> usize {
        self.capacity
    }
}

fn service(answers: &[(&'static str, u64, &'static str)], capacity: usize) -> Arc<Service> {
    let answers = answers.iter().map(|(name, steps, body)| (*name, (*steps, *body))).collect();
    Arc::new(Service { answers, capacity, ..Service::default() })
}

async fn enricher(order: Order, service: &Arc<Service>) -> EnricherInstance {
    let (plugins, _) = plugins(quick());
    let plugin = plugins.load(&guest("conformance_enricher")).await.unwrap();
    let connect = |names: &[&str]| {
        assert_eq!(names, ["scores"]);
        Ok(service.clone() as Arc<dyn Connect>)
    };
    plugin.enricher(context("{}"), order, connect).await.unwrap()
}

fn asking(rows: &[(&str, &str)]) -> pelton::record::Batch {
    let column = |pick: fn(&(&str, &str)) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(pick)))
    };
    let values: ArrayRef = Arc::new(Int64Array::from(vec![None::<i64>; rows.len()]));
    let (ops, names) = (column(|row| row.0.to_owned()), column(|row| row.1.to_owned()));
    batch_of(fields_of(vec![("op", ops), ("name", names), ("value", values)]))
}

/// Source and text of each row.
fn told(processed: &Processed) -> Vec<(u32, String)> {
    let output = &processed.outputs[0];
    let texts = output.fields.column(2).as_string::<i32>();
    output.source.iter().zip(texts).map(|(row, text)| (*row, text.unwrap_or("-").to_owned())).collect()
}

const ROWS: [(&str, &str); 4] = [("twice", "slow"), ("ask", "quick"), ("pass", "none"), ("twice", "first")];
const ANSWERS: [(&str, u64, &str); 5] =
    [("slow", 5, "second"), ("second", 1, "a"), ("quick", 2, "b"), ("first", 1, "last"), ("last", 2, "c")];

#[tokio::test(start_paused = true)]
async fn rows_leave_in_the_order_of_their_records_or_of_their_answers() {
    let in_order = [(0, "a"), (1, "b"), (2, "-"), (3, "c")].map(|(row, text)| (row, text.to_owned()));
    let as_answered = [2, 1, 3, 0].map(|row: u32| in_order[row as usize].clone());
    for (order, expected, steps) in [(Order::Ordered, in_order, 7), (Order::Unordered, as_answered, 6)] {
        let service = service(&ANSWERS, 8);
        let mut instance = enricher(order, &service).await;
        let start = tokio::time::Instant::now();
        let done = instance.process_or_bisect(&CALL, &asking(&ROWS)).await.unwrap();
        assert_eq!(told(&done.processed), expected, "{order:?}");
        assert!(done.rejected.is_empty());
        // in order a round waits for its slowest; otherwise a record waits for itself
        assert_eq!(start.elapsed().as_secs(), steps, "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_asked_at_a_time_than_there_is_room_for() {
    let service = service(&ANSWERS, 1);
    let mut instance = enricher(Order::Unordered, &service).await;
    instance.process_or_bisect(&CALL, &asking(&ROWS)).await.unwrap();
    let seen = service.seen.lock().unwrap();
    assert_eq!(seen.len(), 10);
    assert!(seen.chunks(2).all(|pair| pair[0][1..] == pair[1][1..]), "{seen:?}");
}

#[tokio::test]
async fn a_record_whose_request_is_none_goes_alone() {
    // the name of the second request comes from the first answer: too long a path, which breaks the call
    let long: &'static str = "x".repeat(1 << 20).leak();
    let service = service(&[("a", 0, "1"), ("bad", 0, long), ("b", 0, "2")], 8);
    let mut instance = enricher(Order::Ordered, &service).await;
    let rows = [("ask", "a"), ("twice", "bad"), ("pass", "none"), ("ask", "b")];
    let done = instance.process_or_bisect(&CALL, &asking(&rows)).await.unwrap();
    assert_eq!(told(&done.processed), [(0, "1".into()), (2, "-".into()), (3, "2".into())]);
    let [rejected] = &done.rejected[..] else { panic!("{:?}", done.rejected) };
    assert!(rejected.row == 1 && rejected.failure.to_string().contains("more than"), "{rejected:?}");
    let asked = service.seen.lock().unwrap().iter().filter(|line| *line == "? a").count();
    assert!(asked > 1, "neighbours are asked for again");
}

#[tokio::test]
async fn an_empty_batch_asks_nothing() {
    let service = service(&[("a", 0, "1")], 8);
    let mut instance = enricher(Order::Unordered, &service).await;
    let done = instance.process_or_bisect(&CALL, &asking(&[])).await.unwrap();
    assert_eq!(told(&done.processed), []);
    assert!(service.seen.lock().unwrap().is_empty());
}
