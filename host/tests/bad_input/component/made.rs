//! Files that are too large or too broken to be written down: each case says its maker and a number.
//!
//! The rule: the same line makes the same bytes on every machine. Left to others: what is said about them.

use std::{fmt::Write, path::Path};

/// What the line of a case makes: the file of a plugin, or a core module that becomes one.
pub enum Made {
    Component(Vec<u8>),
    Core(String),
    /// made at the path itself
    Nothing,
}

/// Does what a line such as `functions 100000` says.
pub fn make(line: &str, path: &Path) -> Made {
    let (what, number) = line.trim().split_once(' ').unwrap_or((line.trim(), "0"));
    let number: usize = number.parse().unwrap();
    match what {
        "empty" => Made::Component(Vec::new()),
        "words" => Made::Component(b"This is no plugin.\n".repeat(number)),
        "zeros" => Made::Component(vec![0; number]),
        "elf" => Made::Component([b"\x7fELF\x02\x01\x01\0".as_slice(), &[0; 64]].concat()),
        "core" => Made::Component(wat::parse_str("(module)").unwrap()),
        "folder" => {
            std::fs::create_dir(path).unwrap();
            Made::Nothing
        }
        "pipe" => {
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
            Made::Nothing
        }
        "cut" => {
            let mut bytes = sound();
            bytes.truncate(number);
            Made::Component(bytes)
        }
        "longer" => Made::Component([sound(), vec![0xff; number]].concat()),
        "flip" => Made::Component(flipped(sound(), number as u64)),
        _ => large(what, number),
    }
}

/// A component of the same bytes for as long as this text stands.
fn sound() -> Vec<u8> {
    let more =
        repeat(20, "(core module (memory 1) (func (export \"f\") (param i32) (result i32) local.get 0 i32.load))");
    let types = repeat(20, "(type (record (field \"name\" string) (field \"n#\" (list u32))))");
    wat::parse_str(format!("(component {more} {types} {UNTYPED})")).unwrap()
}

/// Eight bytes changed, by the seed.
fn flipped(mut bytes: Vec<u8>, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    for _ in 0..8 {
        // the first bytes say what the file is
        let place = 8 + (random.next() as usize) % (bytes.len() - 8);
        bytes[place] ^= 1 << (random.next() % 8);
    }
    bytes
}

/// SplitMix64, so that a seed means the same for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Text repeated with its number in the place of `#`.
fn repeat(count: usize, text: &str) -> String {
    let mut all = String::with_capacity(count * (text.len() + 8));
    for number in 0..count {
        writeln!(all, "{}", text.replace('#', &number.to_string())).unwrap();
    }
    all
}

/// What is small to say and large to compile, or to hold.
fn large(what: &str, count: usize) -> Made {
    let process = |body: &str| {
        Made::Core(format!("(func (export \"process\") (param i32) (result i32) {body} (i32.const 8192))"))
    };
    let component = |body: String| Made::Component(wat::parse_str(format!("(component {body})")).unwrap());
    match what {
        "functions" => Made::Core(repeat(count, "(func (param i32) (result i32) local.get 0 i32.const # i32.mul)")),
        "body" => process(&repeat(count, "(local.set 0 (i32.add (local.get 0) (i32.load (i32.const #))))")),
        "branches" => process(&repeat(
            count,
            "(if (local.get 0) (then (local.set 0 (i32.load (i32.const #)))) (else (local.set 0 (i32.const #))))",
        )),
        "nested" => process(&format!("{}{}", "(block (br_if 0 (local.get 0)) ".repeat(count), ")".repeat(count))),
        "loops" => process(&format!("{}{}", "(loop (br_if 0 (local.get 0)) ".repeat(count), ")".repeat(count))),
        "locals" => {
            let uses = repeat(count, "(local.set # (i32.add (local.get 0) (i32.const #)))");
            let reads = repeat(count, "(local.set 0 (i32.xor (local.get 0) (local.get #)))");
            process(&format!("(local {}) {uses} {reads}", "i32 ".repeat(count)))
        }
        "table" => process(&format!("(block (br_table {} (local.get 0)))", "0 ".repeat(count))),
        "globals" => Made::Core(repeat(count, "(global (mut v128) (v128.const i64x2 # #))")),
        "elements" => {
            Made::Core(format!("(table {count} funcref) (func $f) (elem (i32.const 0) func {})", "$f ".repeat(count)))
        }
        "memories" => Made::Core(repeat(count, "(memory 1)")),
        "tables" => Made::Core(repeat(count, "(table 100000 funcref)")),
        "types" => component(repeat(count, "(type (record (field \"a#\" string)))")),
        "imports" => component(repeat(count, "(import \"acme:door/n#\" (instance))")),
        "components" => component(repeat(count, "(component)")),
        "deep" => component(format!("{}{}", "(component ".repeat(count), ")".repeat(count))),
        "exports" => component(format!("(instance $i) {}", repeat(count, "(export \"acme:door/n#\" (instance $i))"))),
        "instances" => component(format!(
            "(core module $m (memory 1) {}) {} {UNTYPED}",
            repeat(1000, "(global (mut i64) (i64.const #))"),
            repeat(count, "(core instance (instantiate $m))"),
        )),
        "held" => component(format!(
            "(core module $m {}) {} {UNTYPED}",
            repeat(count, "(global (mut v128) (v128.const i64x2 0 0))"),
            repeat(60, "(core instance (instantiate $m))"),
        )),
        other => panic!("`{other}` makes nothing"),
    }
}

/// The exports of a transformer, of types that are not those of the interface: enough to be instantiated.
const UNTYPED: &str = r#"
  (core module $main (func (export "f")))
  (core instance $main (instantiate $main))
  (func $f (canon lift (core func $main "f")))
  (instance $lifecycle (export "describe" (func $f)) (export "init" (func $f)))
  (instance $transform (export "process" (func $f)))
  (export "pelton:plugin/lifecycle@0.1.0" (instance $lifecycle))
  (export "pelton:plugin/transform@0.1.0" (instance $transform))"#;
