//! The bad records are found, the others get through.

use std::time::Duration;

use arrow::array::AsArray;
use pelton::plugin::{Bisected, Failure, Limits, Plugin};

use super::{CALL, guest, plugins, quick, texts, transformer};

async fn hostile(limits: Limits) -> Plugin {
    plugins(limits).0.load(&guest("hostile_plugin")).await.unwrap()
}

fn batch(count: usize, bad: &[usize]) -> Vec<&'static str> {
    (0..count).map(|row| if bad.contains(&row) { "bad" } else { "good" }).collect()
}

fn check(bisected: &Bisected, count: u32, bad: &[u32]) {
    let rejected: Vec<u32> = bisected.rejected.iter().map(|rejected| rejected.row).collect();
    assert_eq!(rejected, bad);
    let others: Vec<u32> = (0..count).filter(|row| !bad.contains(row)).collect();
    let output = &bisected.processed.outputs[0];
    assert_eq!(output.source, others);
    assert_eq!(output.fields.num_rows(), others.len());
    assert!(output.fields.column(0).as_string::<i32>().iter().all(|text| text == Some("good")));
}

#[tokio::test]
async fn records_that_trap_are_rejected_alone() {
    let plugin = hostile(quick()).await;
    let mut instance = transformer(&plugin, r#"{"do": "trap_on", "text": "bad"}"#).await;
    let found = instance.process_or_bisect(&CALL, &texts(batch(100, &[0, 57]))).await.unwrap();
    check(&found, 100, &[0, 57]);
    assert!(found.rejected[0].failure.to_string().contains("told to trap"));
    let clean = instance.process_or_bisect(&CALL, &texts(batch(10, &[]))).await.unwrap();
    check(&clean, 10, &[]);
}

#[tokio::test]
async fn a_record_that_takes_too_long_is_tried_twice() {
    let call_time = Limits::default().call_time;
    let plugin = hostile(Limits::default()).await;
    let mut instance = transformer(&plugin, r#"{"do": "loop_on", "text": "bad"}"#).await;
    let found = instance.process_or_bisect(&CALL, &texts(batch(500, &[357]))).await.unwrap();
    check(&found, 500, &[357]);
    let Failure::TimedOut { budget, .. } = &found.rejected[0].failure else {
        panic!("{}", found.rejected[0].failure);
    };
    assert_eq!(*budget, call_time * 2, "the last attempt had twice the time");
}

#[tokio::test]
async fn however_many_are_bad_the_search_gets_past_them() {
    let plugin = hostile(quick()).await;
    let mut instance = transformer(&plugin, r#"{"do": "trap_on", "text": "bad"}"#).await;
    for bad in [vec![7, 2_000, 4_001], (0..4_096).step_by(100).collect(), (0..40).collect()] {
        let found = instance.process_or_bisect(&CALL, &texts(batch(4_096, &bad))).await.unwrap();
        check(&found, 4_096, &bad.iter().map(|row| *row as u32).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn two_records_that_never_end_are_found_in_one_batch() {
    let plugin = hostile(quick()).await;
    let mut instance = transformer(&plugin, r#"{"do": "loop_on", "text": "bad"}"#).await;
    let found = instance.process_or_bisect(&CALL, &texts(batch(50, &[3, 30, 31]))).await.unwrap();
    check(&found, 50, &[3, 30, 31]);
}

#[tokio::test]
async fn what_the_search_has_no_time_for_is_rejected_as_not_tried() {
    let plugin = hostile(Limits { bisect_time: Duration::from_nanos(1), ..quick() }).await;
    let mut instance = transformer(&plugin, r#"{"do": "trap_on", "text": "bad"}"#).await;
    let all: Vec<usize> = (0..200).collect();
    let found = instance.process_or_bisect(&CALL, &texts(batch(200, &all))).await.unwrap();
    assert_eq!(found.rejected.iter().map(|rejected| rejected.row).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
    assert!(
        found.rejected.iter().all(|rejected| rejected.failure.code() == "not_tried"),
        "{}",
        found.rejected[0].failure
    );
}

#[tokio::test]
async fn records_that_the_plugin_refuses_keep_their_place() {
    let plugin = hostile(quick()).await;
    let mut instance = transformer(&plugin, r#"{"do": "reject_on", "text": "bad"}"#).await;
    let found = instance.process_or_bisect(&CALL, &texts(batch(10, &[3]))).await.unwrap();
    assert!(found.rejected.is_empty());
    let errors: Vec<_> = found.processed.errors.iter().map(|error| (error.row, error.code.as_str())).collect();
    assert_eq!(errors, [(3, "told_to")]);
}

#[tokio::test]
async fn a_plugin_that_asks_for_a_retry_blames_no_record() {
    let plugin = hostile(quick()).await;
    let mut instance = transformer(&plugin, r#"{"do": "retry"}"#).await;
    let failure = instance.process_or_bisect(&CALL, &texts(["a", "b"])).await.unwrap_err();
    assert!(matches!(failure, Failure::Retry(_)), "{failure}");
}
