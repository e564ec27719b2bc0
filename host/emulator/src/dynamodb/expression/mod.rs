//! Expressions: conditions, updates and projections, from text to what they do.
//!
//! The rules: a text is checked whole before an item is looked at, with the service's checks (types of literals, reserved
//! words, paths that overlap, placeholders that nobody uses); an update reads the item as it was before. The older
//! parameters (`legacy.rs`) become the same trees.

mod condition;
mod lexer;
mod parser;
mod path;
mod update;

pub use condition::{Comparison, Condition, Operand};
use path::overlap;
pub use path::{Path, project};
pub use update::{Action, Sum, Term, apply, check_paths};

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value as Json;

use super::error::{TableError, invalid};
use super::value::Value;
use parser::Parser;

/// Words that cannot stand for an attribute, in lower case: AWS's list, as DynamoDB Local refuses them.
const RESERVED: &str = include_str!("reserved.txt");
const MAX_EXPRESSION: usize = 4096;

fn is_reserved(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    RESERVED.split_ascii_whitespace().any(|word| word == lower)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WirePlaceholders {
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<BTreeMap<String, Json>>,
}

/// The names and values of one request, and which of them its expressions used.
#[derive(Debug, Default)]
pub struct Placeholders {
    names: BTreeMap<String, String>,
    values: BTreeMap<String, Value>,
    used: RefCell<BTreeSet<String>>,
}

impl WirePlaceholders {
    /// For calls that know no values and ignore them.
    pub fn names_only(self) -> Self {
        Self { expression_attribute_values: None, ..self }
    }

    /// `expressions` are those that the request has.
    pub fn checked(self, expressions: &[Option<&str>]) -> Result<Placeholders, TableError> {
        let mut out = Placeholders::default();
        let any = expressions.iter().any(Option::is_some);
        for (given, what) in [
            (self.expression_attribute_names.as_ref().map(BTreeMap::len), "ExpressionAttributeNames"),
            (self.expression_attribute_values.as_ref().map(BTreeMap::len), "ExpressionAttributeValues"),
        ] {
            match given {
                Some(_) if !any => return Err(invalid(format!("{what} can only be specified when using expressions"))),
                Some(0) => return Err(invalid(format!("{what} must not be empty"))),
                _ => {}
            }
        }
        for (key, name) in self.expression_attribute_names.unwrap_or_default() {
            check_placeholder(&key, '#', "ExpressionAttributeNames")?;
            if name.is_empty() {
                return Err(invalid(format!(
                    "ExpressionAttributeNames contains invalid value: Empty name for key {key}"
                )));
            }
            out.names.insert(key, name);
        }
        for (key, json) in self.expression_attribute_values.unwrap_or_default() {
            check_placeholder(&key, ':', "ExpressionAttributeValues")?;
            let value = Value::from_json(&json).map_err(|mut e| {
                e.message = format!("ExpressionAttributeValues contains invalid value: {} for key {key}", e.message);
                e
            })?;
            out.values.insert(key, value);
        }
        Ok(out)
    }
}

fn check_placeholder(key: &str, sign: char, what: &str) -> Result<(), TableError> {
    let word = key.strip_prefix(sign).unwrap_or_default();
    if !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(());
    }
    Err(invalid(format!("{what} contains invalid key: Syntax error; key: \"{key}\"")))
}

impl Placeholders {
    fn name(&self, key: &str) -> Result<String, TableError> {
        self.used.borrow_mut().insert(key.to_owned());
        self.names.get(key).cloned().ok_or_else(|| {
            invalid(format!(
                "An expression attribute name used in the document path is not defined; attribute name: {key}"
            ))
        })
    }

    fn value(&self, key: &str) -> Result<Value, TableError> {
        self.used.borrow_mut().insert(key.to_owned());
        self.values.get(key).cloned().ok_or_else(|| {
            invalid(format!("An expression attribute value used in expression is not defined; attribute value: {key}"))
        })
    }

    /// To be called once every expression of the request is read.
    pub fn all_used(&self) -> Result<(), TableError> {
        let used = self.used.borrow();
        let unused = |keys: Vec<&String>| {
            let left: Vec<&str> = keys.into_iter().filter(|k| !used.contains(*k)).map(String::as_str).collect();
            left.join(", ")
        };
        for (left, what) in [
            (unused(self.names.keys().collect()), "ExpressionAttributeNames"),
            (unused(self.values.keys().collect()), "ExpressionAttributeValues"),
        ] {
            if !left.is_empty() {
                return Err(invalid(format!("Value provided in {what} unused in expressions: keys: {{{left}}}")));
            }
        }
        Ok(())
    }
}

/// Says which parameter an error is about.
fn within<T>(parameter: &str, result: Result<T, TableError>) -> Result<T, TableError> {
    result.map_err(|mut error| {
        error.message = format!("Invalid {parameter}: {}", error.message);
        error
    })
}

fn read<'a, T>(
    parameter: &str,
    text: &'a str,
    placeholders: &'a Placeholders,
    parse: impl FnOnce(&mut Parser<'a>) -> Result<T, TableError>,
) -> Result<T, TableError> {
    within(parameter, {
        if text.is_empty() {
            Err(invalid("The expression can not be empty;"))
        } else if text.len() > MAX_EXPRESSION {
            Err(invalid(format!(
                "Expression size has exceeded the maximum allowed size; expression size: {}",
                text.len()
            )))
        } else {
            Parser::new(text, placeholders).and_then(|mut parser| parser.whole(parse))
        }
    })
}

pub fn condition(parameter: &str, text: &str, placeholders: &Placeholders) -> Result<Condition, TableError> {
    read(parameter, text, placeholders, Parser::condition)
}

pub fn update(text: &str, placeholders: &Placeholders) -> Result<Vec<Action>, TableError> {
    let actions = read("UpdateExpression", text, placeholders, Parser::update)?;
    within("UpdateExpression", check_paths(&actions))?;
    Ok(actions)
}

pub fn projection(text: &str, placeholders: &Placeholders) -> Result<Vec<Path>, TableError> {
    let paths = read("ProjectionExpression", text, placeholders, Parser::projection)?;
    within("ProjectionExpression", overlap(&paths.iter().collect::<Vec<_>>()))?;
    Ok(paths)
}
