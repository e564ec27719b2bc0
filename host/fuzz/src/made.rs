//! Schemas out of bytes: each byte is a choice, so that a fuzzer that changes one changes a part of a schema.
//!
//! The rule: names are few, so that parts refer to each other, also wrongly; when the bytes end, so does the schema.
//! Left to others: what is done with it (`pairs`).

use serde_json::{Value as Json, json};

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
const NAMES: [&str; 6] = ["A", "B", "C", "n.A", "n.D", "E"];
const FIELDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const LOGICAL: [(&str, &str); 14] = [
    ("int", "date"),
    ("int", "time-millis"),
    ("long", "time-micros"),
    ("long", "timestamp-millis"),
    ("long", "timestamp-micros"),
    ("long", "timestamp-nanos"),
    ("long", "local-timestamp-micros"),
    ("string", "uuid"),
    ("bytes", "uuid"),
    ("bytes", "decimal"),
    ("bytes", "decimal"),
    ("bytes", "big-decimal"),
    ("string", "date"),
    ("double", "decimal"),
];
const MOST_DEPTH: usize = 6;

/// Bytes that are choices.
#[derive(Debug)]
pub struct Feed<'a>(pub &'a [u8]);

impl Feed<'_> {
    /// The next choice of so many; the first where there is none left.
    pub fn below(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % count
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// A number of anything.
    pub fn bits(&mut self) -> u64 {
        (0..8).fold(0, |bits, _| bits << 8 | self.below(256) as u64)
    }
}

/// A record out of bytes; now and then something else.
pub fn schema(feed: &mut Feed<'_>) -> Json {
    let mut names = Vec::new();
    if feed.below(8) == 7 { any(feed, &mut names, 0) } else { record(feed, &mut names, 0) }
}

/// A type out of bytes.
pub fn any(feed: &mut Feed<'_>, names: &mut Vec<&'static str>, depth: usize) -> Json {
    if depth >= MOST_DEPTH || feed.0.is_empty() {
        return json!(feed.one_of(&PRIMITIVES));
    }
    match feed.below(16) {
        0..=5 => json!(feed.one_of(&PRIMITIVES)),
        6 | 7 => {
            let (kind, logical) = feed.one_of(&LOGICAL);
            json!({ "type": kind, "logicalType": logical, "precision": feed.below(90), "scale": feed.below(12) })
        }
        8 => json!({ "type": "array", "items": any(feed, names, depth + 1) }),
        9 => json!({ "type": "map", "values": any(feed, names, depth + 1) }),
        10 | 11 => {
            let count = feed.below(5);
            Json::Array((0..count).map(|_| any(feed, names, depth + 1)).collect())
        }
        12 => symbols(feed, names),
        13 => fixed(feed, names),
        14 if !names.is_empty() => json!(feed.one_of(&names.clone())),
        _ => record(feed, names, depth),
    }
}

fn named(feed: &mut Feed<'_>, names: &mut Vec<&'static str>) -> &'static str {
    // Mostly a name that is free.
    let free: Vec<&'static str> = NAMES.into_iter().filter(|name| !names.contains(name)).collect();
    let name = if free.is_empty() || feed.below(32) == 31 { feed.one_of(&NAMES) } else { feed.one_of(&free) };
    names.push(name);
    name
}

fn aliases(feed: &mut Feed<'_>, list: &[&str]) -> Json {
    let count = feed.below(8).saturating_sub(5);
    Json::Array((0..count).map(|_| json!(feed.one_of(list))).collect())
}

fn record(feed: &mut Feed<'_>, names: &mut Vec<&'static str>, depth: usize) -> Json {
    let name = named(feed, names);
    let count = feed.below(6);
    let mut seen: Vec<&str> = Vec::new();
    let mut fields = Vec::new();
    for _ in 0..count {
        let name = feed.one_of(&FIELDS);
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let mut field = json!({ "name": name, "type": any(feed, names, depth + 1), "aliases": aliases(feed, &FIELDS) });
        if feed.below(2) == 1 {
            field["default"] = default(feed);
        }
        fields.push(field);
    }
    json!({ "type": "record", "name": name, "aliases": aliases(feed, &NAMES), "fields": fields })
}

fn symbols(feed: &mut Feed<'_>, names: &mut Vec<&'static str>) -> Json {
    let name = named(feed, names);
    let count = feed.below(6);
    let mut symbols: Vec<&str> = (0..count).map(|_| feed.one_of(&FIELDS)).collect();
    symbols.sort_unstable();
    symbols.dedup();
    let mut made = json!({ "type": "enum", "name": name, "symbols": symbols, "aliases": aliases(feed, &NAMES) });
    if feed.below(3) == 2 {
        made["default"] = json!(feed.one_of(&FIELDS));
    }
    made
}

fn fixed(feed: &mut Feed<'_>, names: &mut Vec<&'static str>) -> Json {
    let name = named(feed, names);
    let size = feed.one_of(&[0, 1, 2, 12, 16, 32, 33, 40]);
    let logical = feed.one_of(&["", "decimal", "duration", "uuid"]);
    let mut made = json!({ "type": "fixed", "name": name, "size": size, "aliases": aliases(feed, &NAMES) });
    if !logical.is_empty() {
        made["logicalType"] = json!(logical);
        made["precision"] = json!(feed.below(100));
        made["scale"] = json!(feed.below(12));
    }
    made
}

fn default(feed: &mut Feed<'_>) -> Json {
    match feed.below(16) {
        0..=2 => Json::Null,
        3 => json!(true),
        4 | 5 => json!(feed.below(256) as i64 - 128),
        6 => json!(1.5),
        7 => json!(i64::MIN),
        8 => json!(u64::MAX),
        9 => json!(""),
        10 => json!(feed.one_of(&FIELDS)),
        11 => json!("\u{0}\u{ff}"),
        12 => json!([]),
        13 => json!([default(feed)]),
        14 => json!({}),
        _ => json!({ feed.one_of(&FIELDS): default(feed) }),
    }
}
