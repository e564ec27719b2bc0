//! What differs between two lists of results.
//!
//! The rule: every row of either side is added, removed, changed or the same, and is counted once. Numbers are the same if they are equal as
//! numbers; nothing else is forgiven. Among rows that are matched by the same thing, equal ones are pairs first: shards that are partitions of
//! their own have no order between each other.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::{Map, Value as Json};

use super::{Played, Row};

/// How rows of the two sides are matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// by the ids that sinks give them: the record that they come from, and which of its rows they are
    ById,
    /// by these fields; rows that are alike in them, and not equal, in their order
    By(Vec<String>),
}

impl Matched {
    fn key(&self, row: &Row) -> String {
        match self {
            Self::ById => row.id.clone(),
            Self::By(fields) => {
                let value = |field: &String| row.fields.get(field).map_or("null".to_owned(), ToString::to_string);
                fields.iter().map(value).collect::<Vec<_>>().join(", ")
            }
        }
    }
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

/// Every output of the two, matched as is said of it or by ids, and what they rejected, with up to `most` differences of each.
pub fn compare(a: &Played, b: &Played, by: &BTreeMap<String, Matched>, most: usize) -> Vec<Differences> {
    let none = Vec::new();
    let of = |played: &'_ Played, name: &str| -> Vec<Row> {
        played.outputs.iter().find(|(other, _)| other == name).map_or(&none, |(_, rows)| rows).clone()
    };
    let mut names: Vec<&String> = a.outputs.iter().map(|(name, _)| name).collect();
    names.extend(b.outputs.iter().map(|(name, _)| name).filter(|name| !a.outputs.iter().any(|(n, _)| n == *name)));
    let by = |name: &String| by.get(name).unwrap_or(&Matched::ById);
    let mut all: Vec<Differences> =
        names.into_iter().map(|name| rows(name, &of(a, name), &of(b, name), by(name), most)).collect();
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
    let mut equal: HashMap<(String, String), Vec<usize>> = HashMap::new();
    for (place, row) in b.iter().enumerate().rev() {
        equal.entry((by.key(row), whole(&row.fields))).or_default().push(place);
    }
    let mut paired = vec![false; b.len()];
    let mut unequal = Vec::new();
    for row in a {
        match equal.get_mut(&(by.key(row), whole(&row.fields))).and_then(Vec::pop) {
            Some(place) => paired[place] = true,
            None => unequal.push(row),
        }
    }
    found.same = (a.len() - unequal.len()) as u64;
    let mut left: HashMap<String, VecDeque<usize>> = HashMap::new();
    for (place, row) in b.iter().enumerate().filter(|(place, _)| !paired[*place]) {
        left.entry(by.key(row)).or_default().push_back(place);
    }
    for row in unequal {
        let key = by.key(row);
        let Some(place) = left.get_mut(&key).and_then(VecDeque::pop_front) else {
            found.note(most, Difference::Removed(row.fields.clone()));
            continue;
        };
        paired[place] = true;
        match unlike(&row.fields, &b[place].fields) {
            changed if changed.is_empty() => found.same += 1,
            changed => found.note(most, Difference::Changed(key, changed)),
        }
    }
    for (row, _) in b.iter().zip(&paired).filter(|(_, paired)| !**paired) {
        found.note(most, Difference::Added(row.fields.clone()));
    }
    found
}

/// A row as text: that of rows that are the same is the same, whole numbers and nulls written in one way.
fn whole(fields: &Map<String, Json>) -> String {
    let text = |value: &Json| match value.as_f64().filter(|number| value.is_f64() && number.fract() == 0.0) {
        Some(number) if number.abs() < 1e15 => (number as i64).to_string(),
        _ => value.to_string(),
    };
    let mut fields: Vec<_> = fields.iter().filter(|(_, value)| !value.is_null()).collect();
    fields.sort_by_key(|(name, _)| *name);
    fields.into_iter().map(|(name, value)| format!("{name:?}{}", text(value))).collect()
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
        let found = &compare(&a, &b, &BTreeMap::new(), 10)[0];
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
        assert!(!compare(&a, &a, &BTreeMap::new(), 10).iter().any(Differences::any));
    }

    #[test]
    fn equal_rows_are_pairs_before_rows_that_are_alike() {
        let a = played(&[("1", json!({"k": "x", "n": 1})), ("2", json!({"k": "x", "n": 2})), ("3", json!({"k": "y"}))]);
        let b =
            played(&[("7", json!({"k": "x", "n": 3})), ("8", json!({"k": "x", "n": 1.0})), ("9", json!({"k": "y"}))]);
        let by = BTreeMap::from([("out".to_owned(), Matched::By(vec!["k".into()]))]);
        let found = &compare(&a, &b, &by, 0)[0];
        assert_eq!((found.same, found.changed, found.first.len()), (2, 1, 0));
        let mut turned = a.clone();
        turned.outputs[0].1.reverse();
        assert!(!compare(&a, &turned, &by, 0)[0].any());
    }
}
