//! The parameters that were there before expressions, which the Kinesis Client Library uses: Expected, AttributeUpdates,
//! KeyConditions, ScanFilter and QueryFilter with ConditionalOperator.
//!
//! The rule: they become the trees of `expression/`, after the service's own checks. Names stand for whole attributes: a dot
//! in one is part of the name.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use super::error::{TableError, invalid, invalid_value};
use super::expression::{Action, Comparison, Condition, Operand, Path, Sum, Term};
use super::value::Value;

/// An entry of Expected, KeyConditions, ScanFilter or QueryFilter.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WireCondition {
    value: Option<Json>,
    exists: Option<bool>,
    comparison_operator: Option<String>,
    attribute_value_list: Option<Vec<Json>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WireUpdate {
    action: Option<String>,
    value: Option<Json>,
}

/// One comparison of the older kind.
#[derive(Debug)]
pub struct Comparing {
    pub operator: Operator,
    pub values: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Compare(Comparison),
    NotNull,
    Null,
    Contains,
    NotContains,
    BeginsWith,
    In,
    Between,
}

impl Operator {
    fn parse(name: &str) -> Result<Self, TableError> {
        Ok(match name {
            "EQ" => Self::Compare(Comparison::Equal),
            "NE" => Self::Compare(Comparison::NotEqual),
            "LT" => Self::Compare(Comparison::Less),
            "LE" => Self::Compare(Comparison::LessOrEqual),
            "GT" => Self::Compare(Comparison::Greater),
            "GE" => Self::Compare(Comparison::GreaterOrEqual),
            "NOT_NULL" => Self::NotNull,
            "NULL" => Self::Null,
            "CONTAINS" => Self::Contains,
            "NOT_CONTAINS" => Self::NotContains,
            "BEGINS_WITH" => Self::BeginsWith,
            "IN" => Self::In,
            "BETWEEN" => Self::Between,
            _ => return Err(invalid("Comparison type does not exist in DynamoDB")),
        })
    }

    fn takes(self, count: usize) -> bool {
        match self {
            Self::NotNull | Self::Null => count == 0,
            Self::Between => count == 2,
            Self::In => count > 0,
            _ => count == 1,
        }
    }

    fn takes_type(self, value: &Value) -> bool {
        match self {
            Self::Compare(Comparison::Equal | Comparison::NotEqual) => true,
            Self::BeginsWith => matches!(value, Value::S(_) | Value::B(_)),
            Self::Contains | Self::NotContains => value.is_scalar() || matches!(value, Value::Bool(_) | Value::Null),
            _ => value.is_scalar(),
        }
    }
}

impl Comparing {
    fn new(name: &str, values: Vec<Value>) -> Result<Self, TableError> {
        let operator = Operator::parse(name)?;
        if !operator.takes(values.len()) {
            return Err(invalid_value(format!("Invalid number of argument(s) for the {name} ComparisonOperator")));
        }
        if let Some(bad) = values.iter().find(|value| !operator.takes_type(value)) {
            return Err(invalid_value(format!(
                "ComparisonOperator {name} is not valid for {} AttributeValue type",
                bad.type_name()
            )));
        }
        if values.windows(2).any(|pair| pair[0].type_name() != pair[1].type_name()) {
            return Err(invalid_value("AttributeValues inside AttributeValueList must be of same type"));
        }
        let backwards = |v: &[Value]| v[0].order(&v[1]) == Some(Ordering::Greater);
        if operator == Operator::Between && backwards(&values) {
            return Err(invalid(
                "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
            ));
        }
        Ok(Self { operator, values })
    }

    fn condition(self, name: &str) -> Condition {
        let path = || Operand::Path(Path::attribute(name));
        let mut values = self.values.into_iter().map(Operand::Value);
        let mut next = || values.next().unwrap_or(Operand::Value(Value::Null));
        match self.operator {
            Operator::Compare(comparison) => Condition::Compare(comparison, path(), next()),
            Operator::NotNull => Condition::Exists(Path::attribute(name)),
            Operator::Null => Condition::Not(Box::new(Condition::Exists(Path::attribute(name)))),
            Operator::Contains => Condition::Contains(path(), next()),
            Operator::NotContains => Condition::And(
                Box::new(Condition::Exists(Path::attribute(name))),
                Box::new(Condition::Not(Box::new(Condition::Contains(path(), next())))),
            ),
            Operator::BeginsWith => Condition::BeginsWith(path(), next()),
            Operator::Between => Condition::Between(path(), next(), next()),
            Operator::In => Condition::In(path(), values.collect()),
        }
    }
}

fn values(list: &[Json]) -> Result<Vec<Value>, TableError> {
    list.iter().map(Value::from_json).collect()
}

impl WireCondition {
    fn expected(&self, name: &str) -> Result<Condition, TableError> {
        let refuse = |what: String| Err(invalid_value(format!("{what} for Attribute: {name}")));
        if let Some(operator) = &self.comparison_operator {
            if self.exists.is_some() {
                return refuse("Exists and ComparisonOperator cannot be used together".into());
            }
            let given = match (&self.value, &self.attribute_value_list) {
                (Some(_), Some(_)) => return refuse("Value and AttributeValueList cannot be used together".into()),
                (Some(value), None) => values(std::slice::from_ref(value))?,
                (None, Some(list)) => values(list)?,
                (None, None) if ["NULL", "NOT_NULL"].contains(&operator.as_str()) => Vec::new(),
                (None, None) => {
                    return refuse(format!(
                        "Value or AttributeValueList must be used with ComparisonOperator: {operator}"
                    ));
                }
            };
            return Ok(Comparing::new(operator, given)?.condition(name));
        }
        if self.attribute_value_list.is_some() {
            return refuse("AttributeValueList can only be used with a ComparisonOperator".into());
        }
        match (self.exists, &self.value) {
            (Some(false), Some(_)) => refuse("Value cannot be used when Exists is false".into()),
            (Some(false), None) => Ok(Condition::Not(Box::new(Condition::Exists(Path::attribute(name))))),
            (_, Some(value)) => Ok(Comparing::new("EQ", vec![Value::from_json(value)?])?.condition(name)),
            (exists, None) => {
                let shown = exists.map_or("null".to_owned(), |e| e.to_string());
                refuse(format!("Value must be provided when Exists is {shown}"))
            }
        }
    }

    /// As KeyConditions and filters write it.
    pub fn comparing(&self) -> Result<Comparing, TableError> {
        let list = self.attribute_value_list.as_deref().unwrap_or_default();
        Comparing::new(self.comparison_operator.as_deref().unwrap_or_default(), values(list)?)
    }
}

pub type WireConditions = BTreeMap<String, WireCondition>;

/// All of Expected as one condition.
pub fn expected(conditions: Option<&WireConditions>, operator: Option<&str>) -> Result<Option<Condition>, TableError> {
    joined(conditions, operator, |name, condition| condition.expected(name))
}

/// All of ScanFilter or QueryFilter as one condition.
pub fn filter(conditions: Option<&WireConditions>, operator: Option<&str>) -> Result<Option<Condition>, TableError> {
    joined(conditions, operator, |name, condition| Ok(condition.comparing()?.condition(name)))
}

fn joined(
    conditions: Option<&WireConditions>,
    operator: Option<&str>,
    one: impl Fn(&str, &WireCondition) -> Result<Condition, TableError>,
) -> Result<Option<Condition>, TableError> {
    let any = match operator {
        Some("OR") => true,
        Some("AND") | None => false,
        Some(other) => {
            return Err(invalid(format!("1 validation error detected: Value '{other}' at 'conditionalOperator'")));
        }
    };
    let given = conditions.map_or(0, BTreeMap::len);
    if operator.is_some() && given < 2 {
        let words = match conditions {
            None => "ConditionalOperator cannot be used without Filter or Expected",
            Some(_) => "ConditionalOperator can only be used when Filter or Expected has two or more elements",
        };
        return Err(invalid(words));
    }
    let mut all = None;
    for (name, condition) in conditions.into_iter().flatten() {
        let condition = one(name, condition)?;
        all = Some(match all {
            None => condition,
            Some(before) if any => Condition::Or(Box::new(before), Box::new(condition)),
            Some(before) => Condition::And(Box::new(before), Box::new(condition)),
        });
    }
    Ok(all)
}

/// All of AttributeUpdates as actions.
pub fn actions(updates: &BTreeMap<String, WireUpdate>) -> Result<Vec<Action>, TableError> {
    updates.iter().map(|(name, update)| action(name, update)).collect()
}

fn action(name: &str, update: &WireUpdate) -> Result<Action, TableError> {
    let path = Path::attribute(name);
    let kind = update.action.as_deref().unwrap_or("PUT");
    if !["ADD", "DELETE", "PUT"].contains(&kind) {
        return Err(invalid("Member must satisfy enum value set: [ADD, DELETE, PUT]"));
    }
    let Some(value) = update.value.as_ref().map(Value::from_json).transpose()? else {
        return match kind {
            "DELETE" => Ok(Action::Remove(path)),
            _ => Err(invalid_value("Only DELETE action is allowed when no attribute value is specified")),
        };
    };
    match (kind, value) {
        ("PUT", value) => Ok(Action::Set(path, Sum::One(Term::Value(value)))),
        ("ADD", value @ (Value::N(_) | Value::Ss(_) | Value::Ns(_) | Value::Bs(_))) => Ok(Action::Add(path, value)),
        ("ADD", Value::L(list)) => Ok(Action::Append(path, list)),
        ("DELETE", value @ (Value::Ss(_) | Value::Ns(_) | Value::Bs(_))) => Ok(Action::Delete(path, value)),
        (kind, value) => Err(invalid_value(format!(
            "{kind} action{} is not supported for the type {}",
            if kind == "DELETE" { " with value" } else { "" },
            value.type_name()
        ))),
    }
}
