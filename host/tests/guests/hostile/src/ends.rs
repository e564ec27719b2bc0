//! Ways to end, or not to: what a language's own library offers.

use pelton_sdk::bindings::log::{Level, write};
use pelton_sdk::metrics;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

/// Does what the config asks for, where it asks for something that is done before there are results.
pub fn act(what: &str) {
    match what {
        "exit" => std::process::exit(3),
        "exit_well" => std::process::exit(0),
        "abort" => std::process::abort(),
        "panic_in_panic" => {
            let _last = Last;
            panic!("the first");
        }
        // paces: nobody: it waits far longer than it may
        "wait" => std::thread::sleep(Duration::from_secs(3600)),
        "wait_for_the_clock" => {
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(1) {
                black_box(&began);
            }
        }
        "thread" => assert!(std::thread::Builder::new().spawn(|| ()).is_err(), "a thread runs"),
        "environment" => assert_eq!(std::env::vars().count() + std::env::args().count(), 0, "there is an environment"),
        "clock" => {
            let began = SystemTime::now();
            for turn in 0..1_000_000_u32 {
                black_box(turn);
            }
            assert_eq!(SystemTime::now(), began, "the clock goes on");
        }
        "read_stdin" => assert_eq!(std::io::read_to_string(std::io::stdin()).unwrap_or_default(), ""),
        _ => talk(what),
    }
}

/// Panics while it panics.
struct Last;

impl Drop for Last {
    fn drop(&mut self) {
        panic!("the second");
    }
}

fn talk(what: &str) {
    match what {
        "stdout_flood" => (0..100_000).for_each(|line| println!("flood {line} \u{1b}[31m")),
        "stdout_without_end_of_line" => {
            // the stream may be closed, which is all the same here
            let _ = std::io::stdout().write_all(&vec![b'x'; 10 << 20]);
        }
        "stderr_of_bytes" => {
            let _ = std::io::stderr().write_all(&[0xff, 0x1b, 0, b'[', b'2', b'J', b'\n']);
            panic!("after bytes");
        }
        "words_of_a_panic" => panic!("\u{1b}[2J\u{202e}{}", "x".repeat(1 << 20)),
        "log_fields" => write(Level::Error, "fields", "{\"a\": \u{1b}[2J"),
        "metric_names" => (0..100_000).for_each(|name| metrics::counter_add(&format!("name_{name}"), 1)),
        "metric_name_steers" => metrics::counter_add("a{b=\"\n\u{1b}[2J\"} 1\nforged", 1),
        "metric_name_long" => metrics::gauge_set(&"m".repeat(10 << 20), 1.0),
        "metric_values" => {
            metrics::counter_add("hostile", u64::MAX);
            metrics::counter_add("hostile", u64::MAX);
            metrics::gauge_set("hostile_gauge", f64::NAN);
            metrics::histogram_record("hostile_histogram", &[f64::INFINITY, f64::NAN, -1e308, -1e308, 1e308]);
        }
        _ => {}
    }
}
