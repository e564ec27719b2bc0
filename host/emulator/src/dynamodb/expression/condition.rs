//! What a condition says about an item.
//!
//! The rule: what is missing equals nothing, differs from everything and has no order; values of different types are different.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::super::error::{TableError, invalid};
use super::super::number::Number;
use super::super::value::{Item, TYPES, Value};
use super::path::{Path, get};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Path(Path),
    Value(Value),
    Size(Box<Operand>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    Compare(Comparison, Operand, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    Type(Operand, String),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
}

impl Comparison {
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    pub fn of_sign(sign: &str) -> Option<Self> {
        let all = [Self::Equal, Self::NotEqual, Self::Less, Self::LessOrEqual, Self::Greater, Self::GreaterOrEqual];
        all.into_iter().find(|c| c.sign() == sign)
    }

    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Operand {
    pub fn literal(&self) -> Option<&Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Path(_) | Self::Size(_) => None,
        }
    }

    fn resolve<'a>(&'a self, item: &'a Item) -> Option<Cow<'a, Value>> {
        match self {
            Self::Path(path) => get(item, path).map(Cow::Borrowed),
            Self::Value(value) => Some(Cow::Borrowed(value)),
            Self::Size(of) => Some(Cow::Owned(Value::N(Number::of_count(of.resolve(item)?.count()?)))),
        }
    }

    /// The attributes that it reads.
    fn tops<'a>(&'a self, out: &mut Vec<&'a str>) {
        match self {
            Self::Path(path) => out.push(path.top()),
            Self::Value(_) => {}
            Self::Size(of) => of.tops(out),
        }
    }
}

impl Condition {
    pub fn holds(&self, item: &Item) -> bool {
        let two = |a: &Operand, b: &Operand, test: fn(&Value, &Value) -> bool| {
            a.resolve(item).zip(b.resolve(item)).is_some_and(|(a, b)| test(&a, &b))
        };
        match self {
            Self::Compare(Comparison::Equal, a, b) => two(a, b, |a, b| a == b),
            Self::Compare(Comparison::NotEqual, a, b) => !two(a, b, |a, b| a == b),
            Self::Compare(comparison, a, b) => in_order(item, *comparison, a, b),
            Self::Between(value, low, high) => {
                in_order(item, Comparison::GreaterOrEqual, value, low)
                    && in_order(item, Comparison::LessOrEqual, value, high)
            }
            Self::In(value, list) => list.iter().any(|one| two(value, one, |a, b| a == b)),
            Self::Exists(path) => get(item, path).is_some(),
            Self::Type(operand, name) => operand.resolve(item).is_some_and(|v| v.type_name() == name),
            Self::BeginsWith(value, start) => two(value, start, begins_with),
            Self::Contains(value, part) => two(value, part, contains),
            Self::And(a, b) => a.holds(item) && b.holds(item),
            Self::Or(a, b) => a.holds(item) || b.holds(item),
            Self::Not(condition) => !condition.holds(item),
        }
    }

    /// The attributes that it reads.
    pub fn tops(&self) -> Vec<&str> {
        let mut out = Vec::new();
        self.collect_tops(&mut out);
        out
    }

    fn collect_tops<'a>(&'a self, out: &mut Vec<&'a str>) {
        match self {
            Self::Compare(_, a, b) | Self::BeginsWith(a, b) | Self::Contains(a, b) => {
                a.tops(out);
                b.tops(out);
            }
            Self::Between(a, b, c) => [a, b, c].into_iter().for_each(|o| o.tops(out)),
            Self::In(value, list) => std::iter::once(value).chain(list).for_each(|o| o.tops(out)),
            Self::Exists(path) => out.push(path.top()),
            Self::Type(operand, _) => operand.tops(out),
            Self::And(a, b) | Self::Or(a, b) => {
                a.collect_tops(out);
                b.collect_tops(out);
            }
            Self::Not(condition) => condition.collect_tops(out),
        }
    }

    /// What can be said about a condition without an item.
    pub fn check(&self) -> Result<(), TableError> {
        let distinct = |operator: &str, first: &Operand, rest: &[&Operand]| match first {
            Operand::Path(_) if rest.contains(&first) => Err(invalid(format!(
                "The first operand must be distinct from the remaining operands for this operator or function; \
                 operator: {operator}"
            ))),
            _ => Ok(()),
        };
        match self {
            Self::Compare(comparison, a, b) => {
                distinct(comparison.sign(), a, &[b])?;
                if !matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
                    literals(comparison.sign(), &[a, b], Value::is_scalar)?;
                }
                Ok(())
            }
            Self::Between(value, low, high) => {
                distinct("BETWEEN", value, &[low, high])?;
                literals("BETWEEN", &[value, low, high], Value::is_scalar)?;
                between(low, high)
            }
            Self::In(value, list) => {
                if list.len() > 100 {
                    return Err(invalid(format!("The IN operator is provided with too many operands; {}", list.len())));
                }
                distinct("IN", value, &list.iter().collect::<Vec<_>>())
            }
            Self::BeginsWith(value, start) => {
                distinct("begins_with", value, &[start])?;
                literals("begins_with", &[value, start], |v| matches!(v, Value::S(_) | Value::B(_)))
            }
            Self::Contains(value, part) => distinct("contains", value, &[part]),
            Self::Type(_, name) if !TYPES.contains(&name.as_str()) => Err(invalid(format!(
                "Invalid attribute type name found; type: {name}, valid types: {}",
                TYPES.join(",")
            ))),
            Self::Type(..) | Self::Exists(_) | Self::And(..) | Self::Or(..) | Self::Not(_) => Ok(()),
        }
    }
}

pub fn literals(operator: &str, operands: &[&Operand], fits: fn(&Value) -> bool) -> Result<(), TableError> {
    match operands.iter().filter_map(|o| o.literal()).find(|value| !fits(value)) {
        Some(bad) => Err(wrong_type(operator, bad.type_name())),
        None => Ok(()),
    }
}

pub fn wrong_type(operator: &str, name: &str) -> TableError {
    invalid(format!(
        "Incorrect operand type for operator or function; operator or function: {operator}, operand type: {name}"
    ))
}

fn between(low: &Operand, high: &Operand) -> Result<(), TableError> {
    let (Some(low), Some(high)) = (low.literal(), high.literal()) else {
        return Ok(());
    };
    match low.order(high) {
        None => Err(invalid("The BETWEEN operator requires same data type for lower and upper bounds")),
        Some(Ordering::Greater) => {
            Err(invalid("The BETWEEN operator requires upper bound to be greater than or equal to lower bound"))
        }
        Some(_) => Ok(()),
    }
}

fn in_order(item: &Item, comparison: Comparison, a: &Operand, b: &Operand) -> bool {
    let order = a.resolve(item).zip(b.resolve(item)).and_then(|(a, b)| a.order(&b));
    order.is_some_and(|order| comparison.holds(order))
}

pub fn begins_with(value: &Value, start: &Value) -> bool {
    match (value, start) {
        (Value::S(value), Value::S(start)) => value.starts_with(start.as_str()),
        (Value::B(value), Value::B(start)) => value.starts_with(start),
        _ => false,
    }
}

fn contains(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::S(value), Value::S(part)) => value.contains(part.as_str()),
        (Value::B(value), Value::B(part)) => {
            part.is_empty() || value.windows(part.len()).any(|window| window == part.as_slice())
        }
        (Value::Ss(set), Value::S(part)) => set.contains(part),
        (Value::Ns(set), Value::N(part)) => set.contains(part),
        (Value::Bs(set), Value::B(part)) => set.contains(part),
        (Value::L(list), part) => list.contains(part),
        _ => false,
    }
}
