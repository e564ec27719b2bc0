//! Which keys a Query wants.
//!
//! The rule: the hash key is equal to a value; the range key, if it is named, is in one range.

use super::error::{TableError, invalid, invalid_value};
use super::expression::{Comparison, Condition, Operand};
use super::legacy::{Comparing, Operator, WireConditions};
use super::schema::{ItemKey, Key, KeyAttribute};
use super::value::{KeyPart, MAX_HASH_KEY, MAX_RANGE_KEY, Value};

/// By attribute, before the table is known.
#[derive(Debug)]
pub struct KeyCondition(Vec<(String, Comparing)>);

/// For one table or index.
#[derive(Debug)]
pub struct KeyRange {
    pub hash: KeyPart,
    range: Option<(Operator, Vec<KeyPart>)>,
}

impl KeyCondition {
    pub fn of_expression(condition: &Condition) -> Result<Self, TableError> {
        let mut out = Vec::new();
        collect(condition, &mut out)?;
        Self::checked_names(out)
    }

    pub fn of_conditions(conditions: &WireConditions) -> Result<Self, TableError> {
        let one = |(name, wire): (&String, &super::legacy::WireCondition)| Ok((name.clone(), wire.comparing()?));
        Self::checked_names(conditions.iter().map(one).collect::<Result<_, TableError>>()?)
    }

    fn checked_names(list: Vec<(String, Comparing)>) -> Result<Self, TableError> {
        if list.is_empty() || list.len() > 2 {
            return Err(invalid("Conditions can be of length 1 or 2 only"));
        }
        if list.len() == 2 && list[0].0 == list[1].0 {
            return Err(invalid("KeyConditionExpressions must only contain one condition per key"));
        }
        Ok(Self(list))
    }

    /// Whether it fits the key of what is read.
    pub fn checked(&self, key: &Key) -> Result<KeyRange, TableError> {
        let missed = || invalid(format!("Query condition missed key schema element: {}", key.hash.name));
        let (_, hash) = self.0.iter().find(|(name, _)| *name == key.hash.name).ok_or_else(missed)?;
        if hash.operator != Operator::Compare(Comparison::Equal) {
            return Err(invalid("Query key condition not supported"));
        }
        let hash = parts(&key.hash, hash, MAX_HASH_KEY)?.pop().ok_or_else(missed)?;
        let range = match self.0.iter().find(|(name, _)| *name != key.hash.name) {
            None => None,
            Some((name, comparing)) => {
                let attribute = key.range.as_ref().filter(|r| r.name == *name);
                let attribute = attribute.ok_or_else(|| invalid("Query condition missed key schema element"))?;
                let fits = match comparing.operator {
                    Operator::Compare(comparison) => comparison != Comparison::NotEqual,
                    Operator::BeginsWith => attribute.kind != "N",
                    Operator::Between => true,
                    _ => false,
                };
                if !fits {
                    return Err(invalid("Attempted conditional constraint is not an indexable operation"));
                }
                Some((comparing.operator, parts(attribute, comparing, MAX_RANGE_KEY)?))
            }
        };
        Ok(KeyRange { hash, range })
    }
}

fn parts(attribute: &KeyAttribute, comparing: &Comparing, most: usize) -> Result<Vec<KeyPart>, TableError> {
    if comparing.values.iter().any(|v| v.type_name() != attribute.kind) {
        return Err(invalid_value("Condition parameter type does not match schema type"));
    }
    comparing.values.iter().map(|v| attribute.part(v, most)).collect()
}

fn collect(condition: &Condition, out: &mut Vec<(String, Comparing)>) -> Result<(), TableError> {
    let unusable = |operator: &str| invalid(format!("Invalid operator used in KeyConditionExpression: {operator}"));
    match condition {
        Condition::And(a, b) => {
            collect(a, out)?;
            collect(b, out)
        }
        Condition::Compare(Comparison::NotEqual, ..) => Err(unusable("<>")),
        Condition::Compare(comparison, Operand::Value(value), path @ Operand::Path(_)) => {
            let turned = match comparison {
                Comparison::Less => Comparison::Greater,
                Comparison::LessOrEqual => Comparison::GreaterOrEqual,
                Comparison::Greater => Comparison::Less,
                Comparison::GreaterOrEqual => Comparison::LessOrEqual,
                same => *same,
            };
            one(Operator::Compare(turned), path, vec![value.clone()], out)
        }
        Condition::Compare(comparison, path, value) => {
            one(Operator::Compare(*comparison), path, literal(&[value])?, out)
        }
        Condition::Between(path, low, high) => one(Operator::Between, path, literal(&[low, high])?, out),
        Condition::BeginsWith(path, start) => one(Operator::BeginsWith, path, literal(&[start])?, out),
        Condition::In(..) => Err(unusable("IN")),
        Condition::Or(..) => Err(unusable("OR")),
        Condition::Not(_) => Err(unusable("NOT")),
        Condition::Exists(_) => Err(unusable("attribute_exists")),
        Condition::Type(..) => Err(unusable("attribute_type")),
        Condition::Contains(..) => Err(unusable("contains")),
    }
}

fn literal(operands: &[&Operand]) -> Result<Vec<Value>, TableError> {
    let several =
        || invalid("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition");
    operands.iter().map(|o| o.literal().cloned().ok_or_else(several)).collect()
}

fn one(
    operator: Operator,
    path: &Operand,
    values: Vec<Value>,
    out: &mut Vec<(String, Comparing)>,
) -> Result<(), TableError> {
    match path {
        Operand::Path(path) if path.is_plain() => {
            out.push((path.top().to_owned(), Comparing { operator, values }));
            Ok(())
        }
        Operand::Path(path) => Err(invalid(format!(
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: {}",
            path.top()
        ))),
        Operand::Value(_) => Err(invalid("No key attribute is named in a condition of KeyConditionExpression")),
        Operand::Size(_) => Err(invalid("KeyConditionExpressions cannot contain nested operations")),
    }
}

impl KeyRange {
    pub fn holds(&self, key: &ItemKey) -> bool {
        if key.hash != self.hash {
            return false;
        }
        let (Some((operator, values)), Some(part)) = (&self.range, &key.range) else {
            return self.range.is_none();
        };
        match (operator, values.as_slice()) {
            (Operator::Compare(comparison), [value]) => comparison.holds(part.cmp(value)),
            (Operator::Between, [low, high]) => (low..=high).contains(&part),
            (Operator::BeginsWith, [KeyPart::S(start)]) => {
                matches!(part, KeyPart::S(t) if t.starts_with(start.as_str()))
            }
            (Operator::BeginsWith, [KeyPart::B(start)]) => matches!(part, KeyPart::B(b) if b.starts_with(start)),
            _ => false,
        }
    }
}
