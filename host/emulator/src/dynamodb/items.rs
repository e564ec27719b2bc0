//! Calls about one item: PutItem, GetItem, UpdateItem, DeleteItem.
//!
//! The rules: a request is checked whole before its table is looked at; condition and change are one step under the lock; what
//! a call answers is in the log already.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::error::{TableError, TableErrorKind, invalid, invalid_value};
use super::expression::{self, Action, Condition, Path, WirePlaceholders, apply, project};
use super::legacy::{self, WireConditions, WireUpdate};
use super::value::{Item, MAX_ITEM, check_depth, item_from_json, item_json, item_size};
use super::{Table, Tables, capacity, named, parse};

type Answer = Result<Json, TableError>;

/// What the three writing calls share.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    table_name: Option<String>,
    item: Option<Map<String, Json>>,
    key: Option<Map<String, Json>>,
    update_expression: Option<String>,
    attribute_updates: Option<BTreeMap<String, WireUpdate>>,
    condition_expression: Option<String>,
    expected: Option<WireConditions>,
    conditional_operator: Option<String>,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
    return_consumed_capacity: Option<String>,
    #[serde(flatten)]
    placeholders: WirePlaceholders,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    Nothing,
    AllOld,
    UpdatedOld,
    AllNew,
    UpdatedNew,
}

/// What a writing call has beside its item or key.
struct Checked {
    condition: Option<Condition>,
    actions: Vec<Action>,
    returns: Return,
    shows_refused: bool,
}

/// Refuses a request that mixes the two styles.
pub fn one_style(older: &[(&str, bool)], newer: &[(&str, bool)]) -> Result<(), TableError> {
    let given = |list: &[(&str, bool)]| {
        let names: Vec<&str> = list.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        names.join(", ")
    };
    let (older, newer) = (given(older), given(newer));
    if older.is_empty() || newer.is_empty() {
        return Ok(());
    }
    Err(invalid(format!(
        "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: \
         {{{older}}} Expression parameters: {{{newer}}}"
    )))
}

impl Request {
    fn checked(self, updates: bool) -> Result<(Option<Map<String, Json>>, Checked), TableError> {
        one_style(
            &[
                ("AttributeUpdates", updates && self.attribute_updates.is_some()),
                ("Expected", self.expected.is_some()),
                ("ConditionalOperator", self.conditional_operator.is_some()),
            ],
            &[
                ("UpdateExpression", updates && self.update_expression.is_some()),
                ("ConditionExpression", self.condition_expression.is_some()),
            ],
        )?;
        let returns = match self.return_values.as_deref() {
            None | Some("NONE") => Return::Nothing,
            Some("ALL_OLD") => Return::AllOld,
            Some("UPDATED_OLD") if updates => Return::UpdatedOld,
            Some("ALL_NEW") if updates => Return::AllNew,
            Some("UPDATED_NEW") if updates => Return::UpdatedNew,
            Some(_) => return Err(invalid("Return values set to invalid value")),
        };
        let shows_refused = match self.return_values_on_condition_check_failure.as_deref() {
            None | Some("NONE") => false,
            Some("ALL_OLD") => true,
            Some(other) => {
                return Err(invalid(format!(
                    "1 validation error detected: Value '{other}' at 'returnValuesOnConditionCheckFailure' failed to \
                     satisfy constraint: Member must satisfy enum value set: [ALL_OLD, NONE]"
                )));
            }
        };
        let update = self.update_expression.as_deref().filter(|_| updates);
        let condition = self.condition_expression.as_deref();
        let placeholders = self.placeholders.checked(&[update, condition])?;
        let condition = match condition {
            Some(text) => Some(expression::condition("ConditionExpression", text, &placeholders)?),
            None => legacy::expected(self.expected.as_ref(), self.conditional_operator.as_deref())?,
        };
        let actions = match (update, self.attribute_updates.filter(|_| updates)) {
            (Some(text), _) => expression::update(text, &placeholders)?,
            (None, Some(given)) => legacy::actions(&given)?,
            (None, None) => Vec::new(),
        };
        placeholders.all_used()?;
        Ok((self.key, Checked { condition, actions, returns, shows_refused }))
    }
}

impl Checked {
    fn admit(&self, old: Option<&Item>) -> Result<(), TableError> {
        let nothing = Item::new();
        match &self.condition {
            Some(condition) if !condition.holds(old.unwrap_or(&nothing)) => {
                let mut refused =
                    TableError::new(TableErrorKind::ConditionalCheckFailed, "The conditional request failed");
                refused.item = old.filter(|_| self.shows_refused).cloned().map(Box::new);
                Err(refused)
            }
            _ => Ok(()),
        }
    }

    fn answer(&self, old: Option<&Item>, new: Option<&Item>) -> Json {
        let updated = |item: Option<&Item>| {
            let paths: Vec<Path> = self.actions.iter().map(|a| a.path().clone()).collect();
            item.map(|item| project(item, &paths)).filter(|item| !item.is_empty())
        };
        let shown = match self.returns {
            Return::Nothing => None,
            Return::AllOld => old.cloned(),
            Return::AllNew => new.cloned(),
            Return::UpdatedOld => updated(old),
            Return::UpdatedNew => updated(new),
        };
        match shown {
            Some(item) => json!({ "Attributes": item_json(&item) }),
            None => json!({}),
        }
    }
}

fn written(mut answer: Json, wish: Option<&str>, table: &Table, size: usize) -> Json {
    capacity(&mut answer, wish, &table.definition.name, size.div_ceil(1024).max(1) as f64);
    answer
}

pub fn put(tables: &Tables, body: &Json) -> Answer {
    let mut request: Request = parse(body)?;
    let name = named(request.table_name.as_deref())?.to_owned();
    let wish = request.return_consumed_capacity.take();
    let item = request.item.take().ok_or_else(|| null("item"))?;
    let (_, checked) = request.checked(false)?;
    let item = item_from_json(&item)?;
    tables.with(Some(&name), |table| {
        let key = table.definition.key.of(&item)?;
        check_size(&item, "Item size has exceeded the maximum allowed size")?;
        for index in &table.definition.indexes {
            index.check(&item)?;
        }
        checked.admit(table.items.get(&key))?;
        let size = item_size(&item);
        let old = table.put(key, item)?;
        Ok(written(checked.answer(old.as_ref(), None), wish.as_deref(), table, size))
    })
}

fn null(field: &str) -> TableError {
    invalid(format!(
        "1 validation error detected: Value null at '{field}' failed to satisfy constraint: Member must not be null"
    ))
}

fn check_size(item: &Item, words: &str) -> Result<(), TableError> {
    if item_size(item) > MAX_ITEM { Err(invalid(words)) } else { Ok(()) }
}

pub fn delete(tables: &Tables, body: &Json) -> Answer {
    let mut request: Request = parse(body)?;
    let name = named(request.table_name.as_deref())?.to_owned();
    let wish = request.return_consumed_capacity.take();
    let (key, checked) = request.checked(false)?;
    let key = item_from_json(&key.ok_or_else(|| null("key"))?)?;
    tables.with(Some(&name), |table| {
        let key = table.definition.key.of_request(&key)?;
        checked.admit(table.items.get(&key))?;
        let old = table.delete(&key)?;
        let size = old.as_ref().map_or(0, item_size);
        Ok(written(checked.answer(old.as_ref(), None), wish.as_deref(), table, size))
    })
}

pub fn update(tables: &Tables, body: &Json) -> Answer {
    let mut request: Request = parse(body)?;
    let name = named(request.table_name.as_deref())?.to_owned();
    let wish = request.return_consumed_capacity.take();
    let (key, checked) = request.checked(true)?;
    let key = item_from_json(&key.ok_or_else(|| null("key"))?)?;
    tables.with(Some(&name), |table| {
        let definition = &table.definition;
        let place = definition.key.of_request(&key)?;
        if let Some(action) = checked.actions.iter().find(|a| definition.key.has(a.path().top())) {
            return Err(invalid_value(format!(
                "Cannot update attribute {}. This attribute is part of the key",
                action.path().top()
            )));
        }
        let old = table.items.get(&place);
        checked.admit(old)?;
        let new = apply(old.unwrap_or(&key), &checked.actions)?;
        check_depth(&new)?;
        check_size(&new, "Item size to update has exceeded the maximum allowed size")?;
        for index in &definition.indexes {
            index.check(&new)?;
        }
        let size = item_size(&new);
        let old = table.put(place, new.clone())?;
        Ok(written(checked.answer(old.as_ref(), Some(&new)), wish.as_deref(), table, size))
    })
}

/// What of an item a reader wants.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WireProjection {
    pub projection_expression: Option<String>,
    pub attributes_to_get: Option<Vec<String>>,
}

/// The paths of AttributesToGet.
pub fn attributes_to_get(names: &[String]) -> Result<Vec<Path>, TableError> {
    if names.is_empty() {
        return Err(invalid("1 validation error detected: Value '[]' at 'attributesToGet' must not be empty"));
    }
    if (1..names.len()).any(|i| names[..i].contains(&names[i])) {
        return Err(invalid_value("Duplicate value in AttributesToGet"));
    }
    Ok(names.iter().map(Path::attribute).collect())
}

pub fn get(tables: &Tables, body: &Json) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        table_name: Option<String>,
        key: Option<Map<String, Json>>,
        return_consumed_capacity: Option<String>,
        consistent_read: Option<bool>,
        #[serde(flatten)]
        projection: WireProjection,
        #[serde(flatten)]
        placeholders: WirePlaceholders,
    }
    let request: Request = parse(body)?;
    let name = named(request.table_name.as_deref())?;
    let key = request.key.ok_or_else(|| null("key"))?;
    let text = request.projection.projection_expression.as_deref();
    one_style(
        &[("AttributesToGet", request.projection.attributes_to_get.is_some())],
        &[("ProjectionExpression", text.is_some())],
    )?;
    let placeholders = request.placeholders.names_only().checked(&[text])?;
    let paths = match (text, &request.projection.attributes_to_get) {
        (Some(text), _) => Some(expression::projection(text, &placeholders)?),
        (None, Some(names)) => Some(attributes_to_get(names)?),
        (None, None) => None,
    };
    placeholders.all_used()?;
    let key = item_from_json(&key)?;
    tables.with(Some(name), |table| {
        let key = table.definition.key.of_request(&key)?;
        let found = table.items.get(&key);
        let mut out = match (found, &paths) {
            (Some(item), Some(paths)) => json!({ "Item": item_json(&project(item, paths)) }),
            (Some(item), None) => json!({ "Item": item_json(item) }),
            (None, _) => json!({}),
        };
        let whole = if request.consistent_read == Some(true) { 1.0 } else { 0.5 };
        let units = whole * found.map_or(1, |item| item_size(item).div_ceil(4096).max(1)) as f64;
        capacity(&mut out, request.return_consumed_capacity.as_deref(), name, units);
        Ok(out)
    })
}
