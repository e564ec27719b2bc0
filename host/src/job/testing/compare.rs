//! What a test expected against what it showed.
//!
//! The rule: rows of one step or sink are compared in any order, because order holds per key only; a field that is not named is not
//! compared; numbers are equal by value and times by instant. A difference is said once: a row that almost fits is shown against the
//! expected row that it is nearest to.

use serde_json::{Value as Json, json};

use super::{Ended, Rejected, Row, tap_name};
use crate::job::{
    graph::{Graph, Test},
    timestamp_us,
};

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// a row is there, with other values in these fields (name, expected, found; none: the row has no such field)
    Row { of: String, expected: Row, found: Row, fields: Vec<(String, Json, Option<Json>)> },
    /// no row is like this
    Missing { of: String, expected: Row },
    /// nobody expected this row
    Unexpected { of: String, found: Row },
    /// a record should have been rejected and was not, or with other words
    MissingReject { step: Option<String>, contains: String },
    /// nobody expected this reject
    UnexpectedReject(Rejected),
}

/// Every difference, sinks and steps in the order of the file, then rejects.
pub(super) fn all(graph: &Graph, test: &Test, ended: &Ended) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (node, expected) in &test.expect {
        let name = &graph.nodes[*node].name;
        let tap = tap_name(name);
        let found = ended.rows.get(&tap).or_else(|| ended.rows.get(name)).map_or(&[][..], Vec::as_slice);
        let expected: Vec<&Row> = expected.iter().filter_map(Json::as_object).collect();
        rows(name, &expected, found, &mut differences);
    }
    let is_source = |name: &str| graph.nodes.iter().any(|node| node.name == name && node.inputs.is_empty());
    rejects(&test.rejects, &ended.rejected, is_source, &mut differences);
    differences
}

fn rows(of: &str, expected: &[&Row], found: &[Row], to: &mut Vec<Difference>) {
    let matched = matching(expected, found);
    let mut left: Vec<&Row> =
        found.iter().enumerate().filter(|(index, _)| !matched.contains(&Some(*index))).map(|(_, row)| row).collect();
    let of = || of.to_owned();
    for (row, _) in expected.iter().zip(&matched).filter(|(_, found)| found.is_none()) {
        let near = left.iter().enumerate().map(|(index, found)| (alike(row, found), index));
        let near =
            near.filter(|(alike, _)| *alike > 0).max_by_key(|(alike, index)| (*alike, std::cmp::Reverse(*index)));
        match near {
            Some((_, index)) => {
                let found = left.remove(index).clone();
                let fields = unlike(row, &found);
                to.push(Difference::Row { of: of(), expected: (*row).clone(), found, fields });
            }
            None => to.push(Difference::Missing { of: of(), expected: (*row).clone() }),
        }
    }
    to.extend(left.into_iter().map(|found| Difference::Unexpected { of: of(), found: found.clone() }));
}

/// For each expected row a found one of its own: as many as can be, since a row that names few fields fits several.
fn matching(expected: &[&Row], found: &[Row]) -> Vec<Option<usize>> {
    let fits: Vec<Vec<usize>> = expected
        .iter()
        .map(|row| (0..found.len()).filter(|index| unlike(row, &found[*index]).is_empty()).collect())
        .collect();
    let mut taken: Vec<Option<usize>> = vec![None; found.len()];
    for row in 0..expected.len() {
        take(row, &fits, &mut taken, &mut vec![false; found.len()]);
    }
    let mut matched = vec![None; expected.len()];
    for (found, row) in taken.iter().enumerate().filter_map(|(found, row)| Some((found, (*row)?))) {
        matched[row] = Some(found);
    }
    matched
}

/// A found row for this one, if need be by giving its owner another: a search without recursion, since rows may be many.
fn take(row: usize, fits: &[Vec<usize>], taken: &mut [Option<usize>], seen: &mut [bool]) {
    let mut path: Vec<(usize, usize)> = vec![(row, 0)];
    while let Some((row, next)) = path.last_mut() {
        let Some(found) = fits[*row].get(*next).copied() else {
            path.pop();
            continue;
        };
        *next += 1;
        if std::mem::replace(&mut seen[found], true) {
            continue;
        }
        match taken[found] {
            Some(owner) => path.push((owner, 0)),
            None => {
                for (row, next) in path {
                    taken[fits[row][next - 1]] = Some(row);
                }
                return;
            }
        }
    }
}

fn alike(expected: &Row, found: &Row) -> usize {
    expected.iter().filter(|(name, value)| found.get(*name).is_some_and(|found| same(value, found))).count()
}

fn unlike(expected: &Row, found: &Row) -> Vec<(String, Json, Option<Json>)> {
    let differs = |(name, _): &(&String, &Json)| !found.get(*name).is_some_and(|found| same(&expected[*name], found));
    expected
        .iter()
        .filter(differs)
        .map(|(name, value)| (name.clone(), value.clone(), found.get(name).cloned()))
        .collect()
}

fn same(expected: &Json, found: &Json) -> bool {
    match (expected, found) {
        (Json::Number(a), Json::Number(b)) => a == b || close(a.as_f64(), b.as_f64()),
        (Json::String(a), Json::String(b)) => {
            a == b || matches!((timestamp_us(a), timestamp_us(b)), (Ok(a), Ok(b)) if a == b)
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.iter().all(|(name, value)| b.get(name).is_some_and(|found| same(value, found)))
        }
        _ => expected == found,
    }
}

/// Text of a number in a file need not name every digit of a float.
fn close(a: Option<f64>, b: Option<f64>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()) && (a.fract() != 0.0 || b.fract() != 0.0))
}

fn rejects(
    expected: &[(Option<String>, String)],
    found: &[Rejected],
    is_source: impl Fn(&str) -> bool,
    to: &mut Vec<Difference>,
) {
    let mut found = found.iter().peekable();
    for (step, contains) in expected {
        let fits = |reject: &&Rejected| {
            let here =
                step.as_ref().is_none_or(|step| *step == reject.step || (step == "decode" && is_source(&reject.step)));
            here && format!("{}: {}", reject.code, reject.message).contains(contains.as_str())
        };
        if found.next_if(fits).is_none() {
            to.push(Difference::MissingReject { step: step.clone(), contains: contains.clone() });
        }
    }
    to.extend(found.map(|reject| Difference::UnexpectedReject(reject.clone())));
}

impl Difference {
    /// For machines.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Row { of, expected, found, fields } => json!({
                "difference": "row", "of": of, "expected": expected, "found": found,
                "fields": fields.iter().map(|(name, _, _)| name).collect::<Vec<_>>(),
            }),
            Self::Missing { of, expected } => json!({ "difference": "missing", "of": of, "expected": expected }),
            Self::Unexpected { of, found } => json!({ "difference": "unexpected", "of": of, "found": found }),
            Self::MissingReject { step, contains } => {
                json!({ "difference": "missing_reject", "step": step, "contains": contains })
            }
            Self::UnexpectedReject(Rejected { step, code, message }) => {
                json!({ "difference": "unexpected_reject", "step": step, "code": code, "message": message })
            }
        }
    }

    /// For people: what is expected begins with `-`, what is found with `+`.
    pub fn lines(&self) -> Vec<String> {
        let row = |row: &Row| Json::Object(row.clone()).to_string();
        match self {
            Self::Row { of, found, fields, .. } => {
                let others = found.iter().filter(|(name, _)| !fields.iter().any(|(field, ..)| field == *name));
                let mut lines = vec![format!("{of}: a row differs")];
                lines.extend(others.map(|(name, value)| format!("    {name}: {value}")));
                for (name, expected, found) in fields {
                    lines.push(format!("  - {name}: {expected}"));
                    lines.push(match found {
                        Some(found) => format!("  + {name}: {found}"),
                        None => format!("  + there is no field `{name}`"),
                    });
                }
                lines
            }
            Self::Missing { of, expected } => {
                vec![format!("{of}: a row was expected and is not there"), format!("  - {}", row(expected))]
            }
            Self::Unexpected { of, found } => {
                vec![format!("{of}: a row is there that was not expected"), format!("  + {}", row(found))]
            }
            Self::MissingReject { step, contains } => {
                let by = step.as_ref().map_or_else(|| "any step".to_owned(), |step| format!("`{step}`"));
                vec!["rejects: one was expected".to_owned(), format!("  - by {by}, with `{contains}` in its words")]
            }
            Self::UnexpectedReject(Rejected { step, code, message }) => {
                let mut lines = message.lines();
                let first = format!("  + {step}: {code}: {}", lines.next().unwrap_or_default());
                let head = "rejects: a record was rejected and that was not expected".to_owned();
                [head, first].into_iter().chain(lines.map(|line| format!("      {line}"))).collect()
            }
        }
    }
}
