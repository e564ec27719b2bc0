//! Whatever a guest does, the host says what it was, goes on, and so do the guest's neighbours.

use std::cell::Cell;

use pelton::plugin::{Failure, Plugin};

use super::{CALL, context, guest, plugins, quick, texts, transformer};

async fn hostile() -> Plugin {
    plugins(quick()).0.load(&guest("hostile_plugin")).await.unwrap()
}

fn config(what: &str) -> String {
    format!(r#"{{"do": "{what}"}}"#)
}

#[tokio::test]
async fn each_broken_promise_is_named_and_neighbours_go_on() {
    let plugin = hostile().await;
    let mut neighbour = transformer(&plugin, &config("ok")).await;
    let batch = texts(["a", "b", "c", "d"]);
    let cases = [
        ("offsets_back", "out of order"),
        ("offsets_past", "past the 4 bytes"),
        ("offsets_start", "at place 0 is out of order"),
        ("wrong_count", "4 cells for 5 rows"),
        ("bad_source", "comes from record 4, but 4 were given"),
        ("bad_output", "emits to output 7, but declares 1 outputs"),
        ("wrong_kind", "its cells are Int64, declared is Text"),
        ("no_fields", "it has 0 columns, expected 1"),
        ("null_count", "null mask has 5 cells for 4 rows"),
        ("bad_utf8", "not UTF-8"),
        ("split_utf8", "not UTF-8"),
        ("bad_error_index", "refuses record 4294967295, but was given 4"),
        ("timers", "only plugins with keyed state"),
        ("event_times", "event time has 3 cells, expected 0"),
    ];
    for (what, expected) in cases {
        let mut instance = transformer(&plugin, &config(what)).await;
        for _ in 0..2 {
            let failure = instance.process(&CALL, &batch).await.unwrap_err();
            assert!(matches!(failure, Failure::Invalid { .. }), "{what}: {failure}");
            assert!(failure.to_string().contains(expected), "{what}: {failure}");
        }
        let processed = neighbour.process(&CALL, &batch).await.unwrap();
        assert_eq!(processed.outputs[0].fields.columns(), batch.fields.columns(), "after {what}");
    }
}

#[tokio::test]
async fn a_trap_says_why_and_where() {
    let plugin = hostile().await;
    let mut instance = transformer(&plugin, &config("trap")).await;
    for _ in 0..2 {
        let failure = instance.process(&CALL, &texts(["a"])).await.unwrap_err();
        let text = failure.to_string();
        assert!(matches!(failure, Failure::Trap { .. }), "{text}");
        assert!(text.contains("told to trap"), "{text}");
        assert!(failure.backtrace().iter().any(|frame| frame.contains("hostile_plugin::trap")), "{text}");
    }
}

#[tokio::test]
async fn running_out_of_stack_memory_or_output_is_a_trap() {
    // what it is about is not time, of which a loaded machine needs more
    let limits = pelton::plugin::Limits { call_time: std::time::Duration::from_secs(5), ..quick() };
    let (plugins, _) = plugins(limits);
    let plugin = plugins.load(&guest("hostile_plugin")).await.unwrap();
    let cases = [
        ("stack_overflow", "hostile_plugin::overflow` calls itself without end"),
        ("allocate", "the limit is 67108864"),
        ("huge", "the limit is 67108864"),
    ];
    for (what, expected) in cases {
        let mut instance = transformer(&plugin, &config(what)).await;
        let failure = instance.process(&CALL, &texts(["a", "b"])).await.unwrap_err();
        assert!(matches!(failure, Failure::Trap { .. }), "{what}: {failure}");
        assert!(failure.to_string().contains(expected), "{what}: {failure}");
    }
}

#[tokio::test]
async fn more_bytes_than_the_limit_are_not_taken_over() {
    let limits = pelton::plugin::Limits { memory: 512 << 20, call_time: std::time::Duration::from_secs(5), ..quick() };
    let (plugins, _) = plugins(limits);
    let plugin = plugins.load(&guest("hostile_plugin")).await.unwrap();
    let mut instance = transformer(&plugin, &config("huge")).await;
    let failure = instance.process(&CALL, &texts(["a", "b"])).await.unwrap_err();
    assert!(failure.to_string().contains("too much data"), "{failure}");
}

#[tokio::test]
async fn a_loop_is_ended_and_its_neighbour_runs_meanwhile() {
    let plugin = hostile().await;
    let mut endless = transformer(&plugin, &config("loop")).await;
    let mut neighbour = transformer(&plugin, &config("ok")).await;
    let batch = texts(["a"]);
    let served = Cell::new(0);
    let (looping, during) = tokio::join!(
        biased;
        async {
            let failure = endless.process(&CALL, &batch).await.unwrap_err();
            (failure, served.get())
        },
        async {
            for _ in 0..3 {
                neighbour.process(&CALL, &batch).await.unwrap();
                served.set(served.get() + 1);
                tokio::task::yield_now().await;
            }
            served.get()
        }
    );
    assert!(matches!(looping.0, Failure::TimedOut { .. }), "{}", looping.0);
    assert!(looping.0.backtrace().iter().any(|frame| frame.contains("process")), "{}", looping.0);
    assert_eq!((looping.1, during), (3, 3), "the neighbour was served before the loop was ended");
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_a_usable_instance() {
    let plugin = hostile().await;
    let mut instance = transformer(&plugin, r#"{"do": "loop_on", "text": "x"}"#).await;
    let bad = texts(["x"]);
    tokio::select! {
        biased;
        failed = instance.process(&CALL, &bad) => panic!("the loop ended first: {failed:?}"),
        () = tokio::task::yield_now() => {}
    }
    assert!(instance.process(&CALL, &texts(["a"])).await.is_ok());
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_cleaned() {
    let (plugins, kept) = plugins(pelton::plugin::Limits { call_time: std::time::Duration::from_secs(20), ..quick() });
    let plugin = plugins.load(&guest("hostile_plugin")).await.unwrap();
    let mut instance = transformer(&plugin, &config("log_flood")).await;
    instance.process(&CALL, &texts(["a"])).await.unwrap();
    let lines = kept.lines();
    assert!(!lines.is_empty() && lines.len() < 5_000, "{} lines got through", lines.len());
    assert!(lines.iter().all(|line| !line.message.contains(['\n', '\u{1b}'])));
}

#[tokio::test]
async fn errors_that_a_guest_writes_are_cut() {
    let plugin = hostile().await;
    let mut instance = transformer(&plugin, &config("long_error")).await;
    let processed = instance.process(&CALL, &texts(["a"])).await.unwrap();
    assert_eq!(processed.errors[0].code.len(), 64);
    assert!(processed.errors[0].message.len() < 8_192);
}

#[tokio::test]
async fn what_the_guest_says_itself_is_passed_on() {
    let plugin = hostile().await;
    let mut instance = transformer(&plugin, &config("retry")).await;
    assert_eq!(instance.process(&CALL, &texts(["a"])).await, Err(Failure::Retry("told to fail for now".into())));
    let mut instance = transformer(&plugin, &config("fail")).await;
    assert_eq!(instance.process(&CALL, &texts(["a"])).await, Err(Failure::Fatal("told to fail".into())));
}

#[tokio::test]
async fn a_guest_that_cannot_start_says_so() {
    let plugin = hostile().await;
    for (what, expected) in [("trap_in_init", "told to trap"), ("refuse_init", "init was told to refuse")] {
        let mut instance = transformer(&plugin, &config(what)).await;
        let failure = instance.start().await.unwrap_err();
        assert!(failure.to_string().contains(expected), "{failure}");
    }
    for (what, expected) in [("trap_in_describe", "told to trap"), ("loop_in_describe", "of CPU time")] {
        let error = plugin.transformer(context(&config(what))).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
