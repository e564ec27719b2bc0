//! A guest that misbehaves on request: `{"do": "trap"}` and so on, for the tests of the host.
//!
//! It is written on the bare bindings, because the SDK prevents most of this. Input and output are one optional text field `text`;
//! `{"do": "ok"}` gives every row back as it is, and each other case is that with one thing wrong.

#![cfg(target_family = "wasm")]

mod ends;
mod lies;

use pelton_sdk::batch::{field, output};
use pelton_sdk::bindings::base::exports::pelton::plugin::lifecycle;
use pelton_sdk::bindings::log::{Level, write};
use pelton_sdk::bindings::transform::exports::pelton::plugin::transform;
use pelton_sdk::bindings::types::{
    Batch, BytesColumn, Column, Context, Emitted, Failure, Identity, Kind, Manifest, Processed, RecordError, Values,
};
use pelton_sdk::out::{emitted, processed};
use pelton_sdk::serde_json::Value;
use pelton_sdk::transform::{input, manifest};
use std::cell::RefCell;
use std::hint::black_box;

thread_local! {
    static WHAT: RefCell<(String, String)> = RefCell::default();
    static HOARD: RefCell<Vec<Vec<u8>>> = RefCell::default();
}

struct Hostile;

impl lifecycle::Guest for Hostile {
    fn describe(config: String) -> Result<Manifest, String> {
        let (what, _) = read(&config)?;
        match what.as_str() {
            "trap_in_describe" => trap(),
            "loop_in_describe" => spin(),
            "allocate_in_describe" => allocate(),
            "exit_in_describe" => ends::act("exit"),
            _ => {}
        }
        let fields = || vec![field("text", Kind::Text, true, "")];
        let mut manifest = manifest::<pelton_sdk::serde_json::Value>("hostile", "0.1.0", "misbehaves on request");
        manifest.inputs = vec![input(fields(), Identity::empty())];
        manifest.outputs = vec![output("out", fields(), "")];
        lies::spoil(&mut manifest, &what);
        Ok(manifest)
    }

    fn init(context: Context) -> Result<(), String> {
        let what = read(&context.config)?;
        match what.0.as_str() {
            "trap_in_init" => trap(),
            "loop_in_init" => spin(),
            "allocate_in_init" => allocate(),
            "exit_in_init" => ends::act("exit"),
            "refuse_init" => return Err("init was told to refuse".to_owned()),
            _ => {}
        }
        WHAT.set(what);
        Ok(())
    }
}

/// What to do, and the text that sets it off.
fn read(config: &str) -> Result<(String, String), String> {
    let config: Value = pelton_sdk::config::parse(config)?;
    let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok((text("do"), text("text")))
}

impl transform::Guest for Hostile {
    fn process(batch: Batch) -> Result<Processed, Failure> {
        let (what, text) = WHAT.with_borrow(Clone::clone);
        let hit = batch.fields.first().map(|column| rows_with(column, &text)).unwrap_or_default();
        let good = echo(&batch);
        ends::act(&what);
        match what.as_str() {
            "trap" => trap(),
            "loop" => spin(),
            "allocate" => allocate(),
            "stack_overflow" => {
                black_box(overflow(1));
                Ok(good)
            }
            "trap_on" if !hit.is_empty() => trap(),
            "loop_on" if !hit.is_empty() => spin(),
            "reject_on" => Ok(reject(&batch, &hit)),
            "fail" => Err(Failure::Fatal("told to fail".to_owned())),
            "retry" => Err(Failure::Retry("told to fail for now".to_owned())),
            "log_flood" => {
                (0..100_000).for_each(|line| write(Level::Info, &format!("flood {line} \u{1b}[31m\nforged line"), ""));
                Ok(good)
            }
            what => Ok(spoil(good, &batch, what)),
        }
    }
}

/// Results with one thing wrong with them.
fn spoil(mut good: Processed, batch: &Batch, what: &str) -> Processed {
    let Some(first) = good.emitted.first_mut() else { return good };
    match what {
        "bad_output" => first.output = 7,
        "bad_source" => first.source.iter_mut().for_each(|source| *source = batch.count),
        "wrong_count" => first.source.push(0),
        "wrong_kind" => {
            first.fields = vec![Column { values: Values::Int64(vec![0; first.source.len()]), null: Vec::new() }]
        }
        "no_fields" => first.fields.clear(),
        "null_count" => first.fields[0].null = vec![0; first.source.len() + 1],
        "bad_error_index" => {
            good.errors.push(RecordError { index: u32::MAX, code: "x".to_owned(), message: String::new() })
        }
        "long_error" => {
            good.errors.push(RecordError { index: 0, code: "x".repeat(1 << 20), message: "y".repeat(1 << 20) })
        }
        "same_error" => {
            let error = RecordError { index: 0, code: "\u{1b}[2J".to_owned(), message: "\n\u{202e}".to_owned() };
            good.errors = vec![error; batch.count as usize];
        }
        "many_errors" => {
            let error = RecordError { index: 0, code: "x".to_owned(), message: String::new() };
            good.errors = vec![error; 100_000];
        }
        "same_output" => good.emitted.push(good.emitted[0].clone()),
        "many_outputs" => good.emitted = vec![Emitted { fields: Vec::new(), ..good.emitted[0].clone() }; 50_000],
        "many_rows" => first.source = vec![0; 1_000_000],
        "partition_key" => first.partition_key = BytesColumn { data: vec![b'k'], offsets: vec![0, 1] },
        "payload" => first.payload = BytesColumn { data: vec![b'p'], offsets: vec![0, 1] },
        "operation" => first.operation = vec![9; first.source.len()],
        "null_mask" => first.fields[0].null = vec![7; first.source.len()],
        "more_fields" => first.fields = vec![first.fields[0].clone(); 100_000],
        "hoard" => HOARD.with_borrow_mut(|hoard| hoard.push(vec![1; 50 << 20])),
        "timers" => good.timers.key.push(0),
        "event_times" => first.event_us = vec![0; 3],
        _ => spoil_text(first, what),
    }
    good
}

fn spoil_text(first: &mut Emitted, what: &str) {
    let count = first.source.len() as u32;
    let Some(Column { values: Values::Text(text), .. }) = first.fields.first_mut() else { return };
    match what {
        "offsets_back" => {
            *text = BytesColumn {
                data: b"abcdef".to_vec(),
                offsets: (0..=count).map(|i| if i % 2 == 0 { 4 } else { 2 }).collect(),
            }
        }
        "offsets_past" => text.offsets = (0..=count).map(|i| i * 1_000_000).collect(),
        "offsets_start" => {
            *text = BytesColumn { data: b"ab".to_vec(), offsets: (0..=count).map(|i| 1 + i.min(1)).collect() }
        }
        "bad_utf8" => *text = BytesColumn { data: vec![0xff; count as usize], offsets: (0..=count).collect() },
        // Each cell alone cuts a character in two; the whole is UTF-8.
        "split_utf8" => {
            *text = BytesColumn {
                data: "ä".repeat(count.div_ceil(2) as usize).into_bytes(),
                offsets: (0..=count).collect(),
            }
        }
        "huge" => {
            *text = BytesColumn {
                data: vec![b'x'; 100 << 20],
                offsets: (0..=count).map(|i| if i == count { 100 << 20 } else { 0 }).collect(),
            }
        }
        _ => {}
    }
}

/// Every row as it came.
fn echo(batch: &Batch) -> Processed {
    let source: Vec<u32> = (0..batch.count).collect();
    processed(vec![emitted(0, source, Default::default(), Identity::empty(), batch.fields.clone())], Vec::new())
}

fn reject(batch: &Batch, hit: &[u32]) -> Processed {
    let source: Vec<u32> = (0..batch.count).filter(|row| !hit.contains(row)).collect();
    let fields = batch.fields.iter().map(|column| pelton_sdk::value::take(column, &source)).collect();
    let error = |row: &u32| RecordError {
        index: *row,
        code: "told_to".to_owned(),
        message: "told to reject this text".to_owned(),
    };
    processed(vec![emitted(0, source, Default::default(), Identity::empty(), fields)], hit.iter().map(error).collect())
}

fn rows_with(column: &Column, text: &str) -> Vec<u32> {
    let Values::Text(cells) = &column.values else { return Vec::new() };
    let cell = |pair: &[u32]| &cells.data[pair[0] as usize..pair[1] as usize];
    let equal = cells.offsets.windows(2).enumerate().filter(|(_, pair)| cell(pair) == text.as_bytes());
    equal.map(|(row, _)| row as u32).collect()
}

#[inline(never)]
fn trap() -> ! {
    panic!("told to trap")
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn allocate() -> ! {
    let mut kept = Vec::new();
    loop {
        kept.push(vec![1_u8; 1 << 20]);
        black_box(&kept);
    }
}

#[inline(never)]
fn overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if frame[0] == 0 { 0 } else { overflow(depth + 1) + black_box(frame[63]) }
}

pelton_sdk::bindings::base::export_base!(Hostile with_types_in pelton_sdk::bindings::base);
pelton_sdk::bindings::transform::export_transform!(Hostile with_types_in pelton_sdk::bindings::transform);
