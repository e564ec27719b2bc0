//! What differs between two lists of results.
//!
//! The rule: every row of either side is added, removed, changed or the same, and is counted once. Numbers are the same if they are equal as
//! numbers; nothing else is forgiven.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::{Played, Row};

/// How rows of the two sides are matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// by the ids that sinks give them: the record that they come from, and which of its rows they are
    ById,
    /// by these fields; rows that are alike in them in their order
    By(Vec<String>),
}

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// only in B
    Added(Map<String, Json>),
    /// only in A
    Removed(Map<String, Json>),
    /// in both: what it is matched by, and fields with their values in A and in B
    Changed(String, Vec<(String, Json, Json)>),
}

/// What differs in one output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Differences {
    /// the output's name
    pub output: String,
    /// rows of both sides that are equal
    pub same: u64,
    /// rows only in B
    pub added: u64,
    /// rows only in A
    pub removed: u64,
    /// rows of both with other values
    pub changed: u64,
    /// the first of them
    pub first: Vec<Difference>,
}

impl Differences {
    /// Whether anything differs.
    pub fn any(&self) -> bool {
        self.added + self.removed + self.changed > 0
    }

    fn note(&mut self, most: usize, difference: Difference) {
        match difference {
            Difference::Added(_) => self.added += 1,
            Difference::Removed(_) => self.removed += 1,
            Difference::Changed(..) => self.changed += 1,
        }
        if self.first.len() < most {
            self.first.push(difference);
        }
    }
}

/// The name under which dead letters are compared.
pub const REJECTED: &str = "rejected";

/// Every output of the two, and what they rejected, with up to `most` differences of each.
pub fn compare(a: &Played, b: &Played, by: &Matched, most: usize) -> Vec<Differences> {
    let none = Vec::new();
    let of = |played: &'_ Played, name: &str| -> Vec<Row> {
        played.outputs.iter().find(|(other, _)| other == name).map_or(&none, |(_, rows)| rows).clone()
    };
    let mut names: Vec<&String> = a.outputs.iter().map(|(name, _)| name).collect();
    names.extend(b.outputs.iter().map(|(name, _)| name).filter(|name| !a.outputs.iter().any(|(n, _)| n == *name)));
    let mut all: Vec<Differences> =
        names.into_iter().map(|name| rows(name, &of(a, name), &of(b, name), by, most)).collect();
    // Words of a rejection name the version; whether a record was rejected, and as what, is what counts.
    let letters = |played: &Played| -> Vec<Row> { played.rejected.iter().map(without_words).collect() };
    all.push(rows(REJECTED, &letters(a), &letters(b), &Matched::ById, most));
    all
}

fn without_words(letter: &Row) -> Row {
    let kept = |name: &str| !matches!(name, "message" | "generation" | "rejected_at");
    let fields = letter.fields.iter().filter(|(name, _)| kept(name)).map(|(name, value)| (name.clone(), value.clone()));
    Row { id: letter.id.clone(), fields: fields.collect() }
}

fn rows(output: &str, a: &[Row], b: &[Row], by: &Matched, most: usize) -> Differences {
    let mut found = Differences { output: output.to_owned(), ..Differences::default() };
    let mut left = keyed(b, by);
    for (key, row) in in_order(a, by) {
        match left.remove(&key) {
            None => found.note(most, Difference::Removed(row.fields.clone())),
            Some(other) => match unlike(&row.fields, &other.fields) {
                changed if changed.is_empty() => found.same += 1,
                changed => found.note(most, Difference::Changed(key.0, changed)),
            },
        }
    }
    for (key, row) in in_order(b, by) {
        if left.remove(&key).is_some() {
            found.note(most, Difference::Added(row.fields.clone()));
        }
    }
    found
}

/// What a row is matched by, and its number among those that are alike.
type Key = (String, u64);

fn in_order<'r>(rows: &'r [Row], by: &Matched) -> Vec<(Key, &'r Row)> {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let keyed = rows.iter().map(|row| {
        let key = match by {
            Matched::ById => row.id.clone(),
            Matched::By(fields) => {
                let value = |field: &String| row.fields.get(field).map_or("null".to_owned(), ToString::to_string);
                fields.iter().map(value).collect::<Vec<_>>().join(", ")
            }
        };
        let nth = seen.entry(key.clone()).or_default();
        *nth += 1;
        ((key, *nth), row)
    });
    keyed.collect()
}

fn keyed<'r>(rows: &'r [Row], by: &Matched) -> BTreeMap<Key, &'r Row> {
    in_order(rows, by).into_iter().collect()
}

fn unlike(a: &Map<String, Json>, b: &Map<String, Json>) -> Vec<(String, Json, Json)> {
    let mut names: Vec<&String> = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))).collect();
    names.sort();
    let value = |of: &Map<String, Json>, name: &str| of.get(name).cloned().unwrap_or(Json::Null);
    let pair = |name: &String| (name.clone(), value(a, name), value(b, name));
    names.into_iter().map(pair).filter(|(_, a, b)| !same(a, b)).collect()
}

fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a == b || (a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64())),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn played(rows: &[(&str, Json)]) -> Played {
        let row = |(id, fields): &(&str, Json)| Row { id: (*id).into(), fields: fields.as_object().unwrap().clone() };
        Played { outputs: vec![("out".into(), rows.iter().map(row).collect())], ..Played::default() }
    }

    #[test]
    fn every_row_is_counted_once() {
        let a = played(&[("1", json!({"n": 1})), ("2", json!({"n": 2})), ("3", json!({"n": 3, "m": null}))]);
        let b = played(&[("3", json!({"n": 3.0})), ("2", json!({"n": 5})), ("4", json!({"n": 4}))]);
        let found = &compare(&a, &b, &Matched::ById, 10)[0];
        assert_eq!((found.same, found.added, found.removed, found.changed), (1, 1, 1, 1));
        let changed = Difference::Changed("2".into(), vec![("n".into(), json!(2), json!(5))]);
        assert_eq!(
            found.first,
            [
                Difference::Removed(json!({"n": 1}).as_object().unwrap().clone()),
                changed,
                Difference::Added(json!({"n": 4}).as_object().unwrap().clone())
            ]
        );
        assert!(!compare(&a, &a, &Matched::ById, 10).iter().any(Differences::any));
    }

    #[test]
    fn rows_that_are_alike_are_matched_in_their_order() {
        let a = played(&[("1", json!({"k": "x", "n": 1})), ("2", json!({"k": "x", "n": 2}))]);
        let b = played(&[("7", json!({"k": "x", "n": 1})), ("8", json!({"k": "x", "n": 3}))]);
        let found = &compare(&a, &b, &Matched::By(vec!["k".into()]), 0)[0];
        assert_eq!((found.same, found.changed, found.first.len()), (1, 1, 0));
    }
}
