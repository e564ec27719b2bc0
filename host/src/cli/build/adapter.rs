//! A stand-in for `wasi_snapshot_preview1`, made for exactly the functions that a core module imports.
//!
//! The rule: it keeps nothing in the guest's memory and never asks the guest to allocate, because Go takes every page that memory grew
//! by for its own and cannot allocate while it starts. Where an answer of the host must pass through memory, the bytes that lay there
//! are put back. Output goes to the streams of the host, which join it to lines. No clock asks the host: Go reads them while it collects
//! garbage, and that may be while the host puts an argument into memory, when nobody may ask. The wall clock shows what the SDK has told it,
//! the batch's time; the other one rises with each reading, so that a wait ends. Everything that needs files or sockets answers `ENOSYS`.
//! Left to others: joining it to the module (`encode`).

use std::fmt::Write;

use wasmparser::{FuncType, ValType};

/// The module's name for what it imports.
pub const MODULE: &str = "wasi_snapshot_preview1";

/// What the adapter itself imports, as a world.
pub const WIT: &str = r#"
package pelton:adapter;
world adapter {
  import wasi:cli/stdout@0.2.0;
  import wasi:cli/stderr@0.2.0;
}
package wasi:io@0.2.0 {
  interface error { resource error; }
  interface streams {
    use error.{error};
    variant stream-error { last-operation-failed(error), closed }
    resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
  }
}
package wasi:cli@0.2.0 {
  interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }
  interface stderr { use wasi:io/streams@0.2.0.{output-stream}; get-stderr: func() -> output-stream; }
}
"#;

/// A function of the guest's, by name and type.
pub type Wanted<'a> = (&'a str, &'a FuncType);

/// The text of the adapter.
pub fn text(wanted: &[Wanted<'_>]) -> String {
    let mut text = String::from("(module\n");
    let is_wanted = |name: &str| wanted.iter().any(|(wanted, _)| *wanted == name);
    if is_wanted("fd_write") {
        text.push_str(STREAM_IMPORTS);
    }
    text.push_str(HEAD);
    if is_wanted("fd_write") {
        text.push_str(STREAMS);
    }
    for (at, (name, ty)) in wanted.iter().enumerate() {
        // The same function may be imported twice, and must be exported once.
        if wanted[..at].iter().any(|(before, _)| before == name) {
            continue;
        }
        match BODIES.iter().find(|(known, _)| known == name) {
            Some((_, body)) => _ = writeln!(text, "(func (export \"{name}\") {body})"),
            None => unknown(&mut text, name, ty),
        }
    }
    text.push(')');
    text
}

/// A function that answers that there is no such thing.
fn unknown(text: &mut String, name: &str, ty: &FuncType) {
    let list = |types: &[ValType]| types.iter().map(|ty| format!(" {ty}")).collect::<String>();
    let _ = write!(text, "(func (export \"{name}\") (param{}) (result{}) ", list(ty.params()), list(ty.results()));
    let _ = match ty.results() {
        [ValType::I32] => writeln!(text, "i32.const {ENOSYS})"),
        _ => writeln!(text, "unreachable)"),
    };
}

const ENOSYS: u32 = 52;

const STREAM_IMPORTS: &str = r#"
(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
(import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
(import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
"#;

const HEAD: &str = r#"
(import "env" "memory" (memory 0))
(global $clock (mut i64) (i64.const 1000000000))
(global $wall (mut i64) (i64.const 0))
(global $random (mut i64) (i64.const 0x2545f4914f6cdd1d))
"#;

/// Address 16 lends room for the answer of a write: its twelve bytes are put back. A stream is asked for once, so that a line that comes in
/// pieces is joined.
const STREAMS: &str = r#"
(global $out (mut i32) (i32.const -1))
(global $err (mut i32) (i32.const -1))
(func $stream (param $fd i32) (result i32)
  (if (i32.eq (local.get $fd) (i32.const 1)) (then
    (if (i32.eq (global.get $out) (i32.const -1)) (then (global.set $out (call $stdout))))
    (return (global.get $out))))
  (if (i32.eq (global.get $err) (i32.const -1)) (then (global.set $err (call $stderr))))
  (global.get $err))
(func $piece (param $stream i32) (param $at i32) (param $length i32)
  (local $first i64) (local $second i32)
  (local.set $first (i64.load (i32.const 16)))
  (local.set $second (i32.load (i32.const 24)))
  (call $write (local.get $stream) (local.get $at) (local.get $length) (i32.const 16))
  (i64.store (i32.const 16) (local.get $first))
  (i32.store (i32.const 24) (local.get $second)))
(func $all (param $stream i32) (param $at i32) (param $length i32)
  (local $part i32)
  (block $done (loop $next
    (br_if $done (i32.eqz (local.get $length)))
    (local.set $part (select (i32.const 4096) (local.get $length) (i32.gt_u (local.get $length) (i32.const 4096))))
    (call $piece (local.get $stream) (local.get $at) (local.get $part))
    (local.set $at (i32.add (local.get $at) (local.get $part)))
    (local.set $length (i32.sub (local.get $length) (local.get $part)))
    (br $next))))
"#;

/// Name, and the rest of the function: 8 is EBADF, 0 success. Layouts are those of the preview's witx.
const BODIES: &[(&str, &str)] = &[
    ("args_sizes_get", NOTHING),
    ("environ_sizes_get", NOTHING),
    ("args_get", "(param i32 i32) (result i32) i32.const 0"),
    ("environ_get", "(param i32 i32) (result i32) i32.const 0"),
    ("sched_yield", "(result i32) i32.const 0"),
    ("proc_exit", "(param i32) unreachable"),
    ("fd_prestat_get", "(param i32 i32) (result i32) i32.const 8"),
    ("fd_write", FD_WRITE),
    ("clock_time_get", CLOCK_TIME_GET),
    (TELLS_TIME, "(param i64) (result i32) (global.set $wall (i64.mul (local.get 0) (i64.const 1000000))) i32.const 0"),
    ("clock_res_get", "(param i32 i32) (result i32) (i64.store (local.get 1) (i64.const 1000)) i32.const 0"),
    ("random_get", RANDOM_GET),
    ("poll_oneoff", POLL_ONEOFF),
];

const NOTHING: &str = r#"(param i32 i32) (result i32)
  (i32.store (local.get 0) (i32.const 0))
  (i32.store (local.get 1) (i32.const 0))
  i32.const 0"#;

const FD_WRITE: &str = r#"(param $fd i32) (param $pieces i32) (param $count i32) (param $written i32) (result i32)
  (local $stream i32) (local $length i32) (local $sum i32)
  (if (i32.gt_u (i32.sub (local.get $fd) (i32.const 1)) (i32.const 1)) (then (return (i32.const 8))))
  (local.set $stream (call $stream (local.get $fd)))
  (block $done (loop $next
    (br_if $done (i32.eqz (local.get $count)))
    (local.set $length (i32.load offset=4 (local.get $pieces)))
    (call $all (local.get $stream) (i32.load (local.get $pieces)) (local.get $length))
    (local.set $sum (i32.add (local.get $sum) (local.get $length)))
    (local.set $pieces (i32.add (local.get $pieces) (i32.const 8)))
    (local.set $count (i32.sub (local.get $count) (i32.const 1)))
    (br $next)))
  (i32.store (local.get $written) (local.get $sum))
  i32.const 0"#;

/// By which the SDK says what the wall clock shows from now on, milliseconds since 1970; no part of the preview.
const TELLS_TIME: &str = "pelton_tells_time";

/// Clock 0 is the wall clock.
const CLOCK_TIME_GET: &str = r#"(param $id i32) (param i64) (param $at i32) (result i32)
  (if (local.get $id)
    (then
      (global.set $clock (i64.add (global.get $clock) (i64.const 1000)))
      (i64.store (local.get $at) (global.get $clock)))
    (else (i64.store (local.get $at) (global.get $wall))))
  i32.const 0"#;

const RANDOM_GET: &str = r#"(param $at i32) (param $count i32) (result i32)
  (block $done (loop $next
    (br_if $done (i32.eqz (local.get $count)))
    (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 13))))
    (global.set $random (i64.xor (global.get $random) (i64.shr_u (global.get $random) (i64.const 7))))
    (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 17))))
    (i32.store8 (local.get $at) (i32.wrap_i64 (i64.shr_u (global.get $random) (i64.const 32))))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (local.set $count (i32.sub (local.get $count) (i32.const 1)))
    (br $next)))
  i32.const 0"#;

/// Everything is ready at once; a wait for a clock moves it as far as it was to wait.
const POLL_ONEOFF: &str = r#"(param $in i32) (param $out i32) (param $count i32) (param $ready i32) (result i32)
  (local $left i32) (local $time i64)
  (local.set $left (local.get $count))
  (block $done (loop $next
    (br_if $done (i32.eqz (local.get $left)))
    (memory.fill (local.get $out) (i32.const 0) (i32.const 32))
    (i64.store (local.get $out) (i64.load (local.get $in)))
    (i32.store8 offset=10 (local.get $out) (i32.load8_u offset=8 (local.get $in)))
    (if (i32.eqz (i32.load8_u offset=8 (local.get $in))) (then
      (local.set $time (i64.load offset=24 (local.get $in)))
      (if (i32.eqz (i32.and (i32.load16_u offset=40 (local.get $in)) (i32.const 1)))
        (then (local.set $time (i64.add (local.get $time) (global.get $clock)))))
      (if (i64.gt_u (local.get $time) (global.get $clock)) (then (global.set $clock (local.get $time))))))
    (local.set $in (i32.add (local.get $in) (i32.const 48)))
    (local.set $out (i32.add (local.get $out) (i32.const 32)))
    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
    (br $next)))
  (i32.store (local.get $ready) (local.get $count))
  i32.const 0"#;
