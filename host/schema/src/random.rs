//! Random schemas, and random changes to them: pairs of versions as people and accidents make them.
//!
//! The rule: everything follows from the dice, and every schema that is given back parses without a defect.
//! Left to others: what is done with them (differential tests, benchmarks).

use serde_json::{Value as Json, json};

use crate::{sample::Dice, types::AvroSchema};

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
const TIMESTAMPS: [&str; 4] = ["timestamp-millis", "timestamp-micros", "local-timestamp-micros", "timestamp-nanos"];

/// A record with random fields.
pub fn schema(dice: &mut Dice) -> Json {
    loop {
        // A name may be of a record that was made and not kept.
        let schema = Make { dice, names: 0, records: Vec::new() }.record(0);
        if AvroSchema::parse_strict(&schema.to_string(), &[]).is_ok() {
            return schema;
        }
    }
}

/// A changed copy: one to three changes.
pub fn changed(dice: &mut Dice, schema: &Json) -> Json {
    let mut now = schema.clone();
    for _ in 0..1 + dice.below(3) {
        // A change may leave a name undefined or defined twice: then another one is made.
        for _ in 0..20 {
            let mut next = now.clone();
            change(dice, &mut next);
            if next != now && AvroSchema::parse_strict(&next.to_string(), &[]).is_ok() {
                now = next;
                break;
            }
        }
    }
    now
}

struct Make<'a> {
    dice: &'a mut Dice,
    names: usize,
    /// records that may be named again
    records: Vec<String>,
}

impl Make<'_> {
    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn record(&mut self, depth: usize) -> Json {
        let name = self.name("R");
        let mut record = json!({ "type": "record", "name": name });
        // A name inside of another namespace would have to be written in full.
        if depth == 0 && self.dice.percent(30) {
            record["namespace"] = json!("org.example");
        }
        self.records.push(name);
        let count = if depth == 0 { 1 + self.dice.below(5) } else { self.dice.below(4) };
        let fields: Vec<Json> = (0..count).map(|_| self.field(depth)).collect();
        record["fields"] = json!(fields);
        record
    }

    fn field(&mut self, depth: usize) -> Json {
        let name = self.name("f");
        let kind = self.any(depth + 1);
        let mut field = json!({ "name": name, "type": kind });
        if self.dice.percent(35)
            && let Some(default) = default(self.dice, &kind)
        {
            field["default"] = default;
        }
        if self.dice.percent(10) {
            field["aliases"] = json!([format!("f{}", 1 + self.dice.below(self.names + 3))]);
        }
        field
    }

    fn any(&mut self, depth: usize) -> Json {
        match self.dice.below(if depth > 3 { 16 } else { 24 }) {
            place @ 0..8 => json!(PRIMITIVES[place]),
            8 => self.fixed(),
            9 => self.symbols(),
            10 => json!({ "type": "int", "logicalType": "date" }),
            11 => {
                let unit = TIMESTAMPS[self.dice.below(TIMESTAMPS.len())];
                json!({ "type": "long", "logicalType": unit })
            }
            12 => {
                let scale = self.dice.below(3);
                json!({ "type": "bytes", "logicalType": "decimal", "precision": 9, "scale": scale })
            }
            13 => json!({ "type": "string", "logicalType": "uuid" }),
            14 if !self.records.is_empty() => {
                // Of itself only where values can end.
                let name = self.records[self.dice.below(self.records.len())].clone();
                json!(["null", name])
            }
            15 => json!({ "type": "array", "items": PRIMITIVES[self.dice.below(8)] }),
            16 | 17 => json!({ "type": "array", "items": self.any(depth + 1) }),
            18 => json!({ "type": "map", "values": self.any(depth + 1) }),
            19 | 20 => self.record(depth + 1),
            14 | 21..=23 => self.union(depth),
            _ => json!("string"),
        }
    }

    fn fixed(&mut self) -> Json {
        json!({ "type": "fixed", "name": self.name("F"), "size": 1 + self.dice.below(4) })
    }

    fn symbols(&mut self) -> Json {
        let count = 1 + self.dice.below(4);
        let mut one = json!({ "type": "enum", "name": self.name("E"), "symbols": (0..count).map(|at| format!("S{at}")).collect::<Vec<_>>() });
        if self.dice.percent(40) {
            one["default"] = json!(format!("S{}", self.dice.below(count)));
        }
        one
    }

    fn union(&mut self, depth: usize) -> Json {
        let mut branches: Vec<Json> = Vec::new();
        for _ in 0..1 + self.dice.below(3) {
            let branch = self.any(depth + 1);
            if !branch.is_array() && !branches.iter().any(|known| word(known) == word(&branch)) {
                branches.push(branch);
            }
        }
        if self.dice.percent(60) && !branches.iter().any(|known| word(known) == "null") {
            let place = self.dice.below(branches.len() + 1);
            branches.insert(place, json!("null"));
        }
        json!(branches)
    }
}

/// What makes a branch of a union different from others.
fn word(kind: &Json) -> String {
    let text = |key: &str| kind.get(key).and_then(Json::as_str);
    match (kind, text("name"), text("type")) {
        (Json::String(name), ..) => name.clone(),
        (_, Some(name), _) => name.to_owned(),
        (_, None, Some(word)) => word.to_owned(),
        _ => String::new(),
    }
}

/// A default that fits, where one is easily made.
fn default(dice: &mut Dice, kind: &Json) -> Option<Json> {
    Some(match word(kind).as_str() {
        "null" => Json::Null,
        "boolean" => json!(true),
        "int" | "long" => json!(dice.below(100)),
        "float" | "double" => json!(1.5),
        "string" if kind.is_string() => json!("d"),
        "bytes" => json!("\u{ff}"),
        "array" => json!([]),
        "map" => json!({}),
        _ if kind.get("type").and_then(Json::as_str) == Some("enum") => kind["symbols"][0].clone(),
        _ => return kind.as_array().and_then(|branches| default(dice, branches.first()?)),
    })
}

/// Every place of a type, as a JSON pointer.
fn places(kind: &Json, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match kind {
        Json::Array(branches) => {
            branches.iter().enumerate().for_each(|(place, branch)| places(branch, &format!("{at}/{place}"), out));
        }
        Json::Object(object) => {
            for key in ["items", "values"] {
                if let Some(inner) = object.get(key) {
                    places(inner, &format!("{at}/{key}"), out);
                }
            }
            for (place, field) in object.get("fields").and_then(Json::as_array).into_iter().flatten().enumerate() {
                places(&field["type"], &format!("{at}/fields/{place}/type"), out);
            }
        }
        _ => {}
    }
}

fn change(dice: &mut Dice, schema: &mut Json) {
    let mut all = Vec::new();
    places(schema, "", &mut all);
    let place = all[dice.below(all.len())].clone();
    let fresh = 1000 + dice.below(1000);
    let Some(kind) = schema.pointer_mut(&place) else { return };
    match (&*kind, dice.below(10)) {
        (Json::Object(object), _) if object.contains_key("fields") => record_change(dice, kind, fresh),
        (Json::Object(object), 0..=7) if object.contains_key("symbols") => enum_change(dice, kind),
        (Json::Object(object), 0..=4) if object.contains_key("size") => kind["size"] = json!(1 + dice.below(4)),
        (Json::Object(object), 0..=6) if object.contains_key("precision") => kind["scale"] = json!(dice.below(3)),
        (Json::Object(object), 5) if object.contains_key("name") => rename(dice, kind, fresh),
        (Json::Array(_), 0..=7) => union_change(dice, kind, fresh),
        (_, 0..=2) => *kind = json!(["null", kind.clone()]),
        (_, 3) if !kind.is_array() => *kind = json!([kind.clone()]),
        _ => *kind = Make { dice, names: fresh, records: Vec::new() }.any(3),
    }
}

fn rename(dice: &mut Dice, kind: &mut Json, fresh: usize) {
    let old = kind["name"].clone();
    if dice.percent(60) {
        kind["aliases"] = json!([old]);
    }
    kind["name"] = json!(format!("N{fresh}"));
}

fn record_change(dice: &mut Dice, record: &mut Json, fresh: usize) {
    let choice = dice.below(10);
    if choice == 0 {
        return rename(dice, record, fresh);
    }
    let mut make = Make { dice, names: fresh, records: Vec::new() };
    let added = make.field(3);
    let Some(fields) = record["fields"].as_array_mut() else { return };
    let place = make.dice.below(fields.len() + 1);
    if choice < 3 || fields.is_empty() {
        return fields.insert(place, added);
    }
    let place = place.min(fields.len() - 1);
    match choice {
        3 | 4 => drop(fields.remove(place)),
        5 => {
            let field = fields.remove(place);
            fields.push(field);
        }
        6 => {
            let old = fields[place]["name"].clone();
            if make.dice.percent(60) {
                fields[place]["aliases"] = json!([old]);
            }
            fields[place]["name"] = json!(format!("n{fresh}"));
        }
        7 => {
            let other = fields[make.dice.below(fields.len())]["name"].clone();
            fields[place]["aliases"] = json!([other]);
        }
        8 => drop(fields[place].as_object_mut().and_then(|field| field.remove("default"))),
        _ => {
            let kind = fields[place]["type"].clone();
            if let Some(default) = default(make.dice, &kind) {
                fields[place]["default"] = default;
            }
        }
    }
}

fn enum_change(dice: &mut Dice, kind: &mut Json) {
    let choice = dice.below(5);
    let Some(symbols) = kind["symbols"].as_array_mut() else { return };
    match choice {
        0 => symbols.push(json!("NEW")),
        1 if symbols.len() > 1 => drop(symbols.remove(dice.below(symbols.len()))),
        2 => symbols.reverse(),
        3 => drop(kind.as_object_mut().and_then(|kind| kind.remove("default"))),
        _ => {
            if let Some(first) = symbols.first().cloned() {
                kind["default"] = first;
            }
        }
    }
}

fn union_change(dice: &mut Dice, kind: &mut Json, fresh: usize) {
    let choice = dice.below(6);
    let added = Make { dice, names: fresh, records: Vec::new() }.any(3);
    let Some(branches) = kind.as_array_mut() else { return };
    match choice {
        0 | 1 => branches.push(added),
        2 if branches.len() > 1 => drop(branches.remove(dice.below(branches.len()))),
        3 => branches.reverse(),
        4 if !branches.is_empty() => *kind = branches[dice.below(branches.len())].clone(),
        _ => branches.insert(0, json!("null")),
    }
}
