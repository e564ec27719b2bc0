//! Core modules of plugins: a case writes the parts that are hostile, under short names, and gets the others sound.
//!
//! The rule: `(export "process")` and so on are the functions of the case's world, which its first line says (`;; world: keyed-transformer`);
//! a function that the case does not have says yes and does nothing, and `describe` tells of one input and one output with one text each.
//! What a sound result needs lies at fixed places: the manifest at `MANIFEST`, and zeros, which are an ok of nothing, at `NOTHING`.
//! Left to others: the component around it (`pelton build`).

use std::fmt::Write;

/// Where the answer of `describe` lies.
const MANIFEST: usize = 1024;

/// Zeros, which mean ok with empty lists.
const NOTHING: usize = 8192;

/// Where memory for the host begins.
const HEAP: usize = 65536;

/// Interface, function, parameters.
type Function = (&'static str, &'static str, &'static str);

const LIFECYCLE: [Function; 2] =
    [("lifecycle", "describe", "i32 i32"), ("lifecycle", "init", "i32 i32 i32 i32 i32 i32 i64 i32 i32")];

const MIGRATE: Function = ("migrate-state", "migrate", "i32");

fn functions(world: &str) -> Vec<Function> {
    let own: &[Function] = match world {
        "transformer" => &[("transform", "process", "i32")],
        "stateful-transformer" => &[("transform", "process", "i32"), ("on-timers", "fire", "i32"), MIGRATE],
        "keyed-transformer" => &[("keyed", "process", "i32"), ("keyed", "fire", "i32"), MIGRATE],
        "aggregator" => &[
            ("aggregate", "fold", "i32"),
            ("aggregate", "combine", "i32 i32 i32 i32 i32 i32"),
            ("aggregate", "finish", "i32"),
            MIGRATE,
        ],
        other => panic!("no case is of the world `{other}`"),
    };
    LIFECYCLE.iter().chain(own).copied().collect()
}

/// The world of a case.
pub fn world(parts: &str) -> &str {
    parts.lines().next().and_then(|line| line.strip_prefix(";; world: ")).unwrap_or("transformer").trim()
}

/// The text of a whole module.
pub fn module(parts: &str) -> String {
    let world = world(parts);
    let mut text = parts.to_owned();
    let mut more = String::new();
    for (interface, name, parameters) in functions(world) {
        let short = format!("(export \"{name}\")");
        let long = format!("(export \"pelton:plugin/{interface}@0.1.0#{name}\")");
        if !text.contains(&short) {
            let answer = if name == "describe" { MANIFEST } else { NOTHING };
            writeln!(more, "(func {long} (param {parameters}) (result i32) i32.const {answer})").unwrap();
        }
        text = text.replace(&short, &long);
    }
    if !text.contains("(export \"memory\"") {
        more.push_str("(memory (export \"memory\") 32)\n");
    }
    if !text.contains("(export \"cabi_realloc\")") {
        writeln!(more, "{REALLOC}(global $heap (mut i32) (i32.const {HEAP}))").unwrap();
    }
    if !text.contains("no-manifest") {
        writeln!(more, "(data (i32.const {MANIFEST}) \"{}\")", escaped(&manifest(world != "transformer"))).unwrap();
    }
    // imports come first
    format!("(module\n{text}\n{more})")
}

/// Never gives back; begins anew where the memory ends, which is enough for a few calls.
const REALLOC: &str = r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (local $place i32)
  (local.set $place (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
  (if (i32.gt_u (i32.add (local.get $place) (local.get 3)) (i32.const 2000000))
    (then (local.set $place (i32.const 65536))))
  (global.set $heap (i32.add (local.get $place) (local.get 3)))
  (local.get $place))
"#;

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:02x}").unwrap();
        text
    })
}

/// `ok(manifest)` as it lies at `MANIFEST`: the records first, then what they point to.
fn manifest(has_table: bool) -> Vec<u8> {
    let mut rest = Vec::new();
    let mut put = |bytes: &[u8]| {
        rest.resize(rest.len().next_multiple_of(8), 0);
        let place = (MANIFEST + 256 + rest.len()) as u32;
        rest.extend_from_slice(bytes);
        [place, bytes.len() as u32]
    };
    let (name, version) = (put(b"hostile"), put(b"0.1.0"));
    let (input, output, text, table) = (put(b"in"), put(b"out"), put(b"text"), put(b"state"));
    // kind 4 is text, 0x100 is optional
    let field = put(&words(&[&text, &[0x104], &[0, 0]]));
    let inputs = put(&words(&[&input, &[0], &[field[0], 1], &[0, 0]]));
    let outputs = put(&words(&[&output, &[field[0], 1], &[0], &[0, 0]]));
    let tables = put(&words(&[&table, &[0], &[0, 0], &[1], &[0, 0], &[0; 4]]));
    let mut whole = words(&[
        &[0],
        &name,
        &version,
        &[0, 0, 0, 0],
        &[inputs[0], 1],
        &[outputs[0], 1],
        &[0, 0],
        &[tables[0], u32::from(has_table)],
        &[0, 0, 0, 0],
    ]);
    assert!(whole.len() <= 256);
    whole.resize(256, 0);
    whole.extend(rest);
    whole
}

fn words(parts: &[&[u32]]) -> Vec<u8> {
    parts.concat().iter().flat_map(|word| word.to_le_bytes()).collect()
}
