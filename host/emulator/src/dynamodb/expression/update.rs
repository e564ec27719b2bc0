//! What an update does to an item.
//!
//! The rules: every right side is computed from the item as it was; then values are put, then elements are removed, so an
//! index means what it meant before. A path whose parent is missing is refused.

use super::super::error::{TableError, invalid};
use super::super::number::Number;
use super::super::value::{Item, Value};
use super::path::{Element, Path, get, overlap};

#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    Path(Path),
    Value(Value),
    IfNotExists(Path, Box<Term>),
    ListAppend(Box<Term>, Box<Term>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Sum {
    One(Term),
    Plus(Term, Term),
    Minus(Term, Term),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Set(Path, Sum),
    Remove(Path),
    /// To a number or a set.
    Add(Path, Value),
    /// From a set.
    Delete(Path, Value),
    /// Onto a list: only the older parameters can say it.
    Append(Path, Vec<Value>),
}

impl Action {
    pub fn path(&self) -> &Path {
        match self {
            Self::Set(path, _)
            | Self::Remove(path)
            | Self::Add(path, _)
            | Self::Delete(path, _)
            | Self::Append(path, _) => path,
        }
    }
}

pub fn check_paths(actions: &[Action]) -> Result<(), TableError> {
    overlap(&actions.iter().map(Action::path).collect::<Vec<_>>())
}

/// Puts the actions into effect on a copy.
pub fn apply(old: &Item, actions: &[Action]) -> Result<Item, TableError> {
    let mut puts = Vec::new();
    let mut removals = Vec::new();
    for action in actions {
        match outcome(old, action)? {
            Outcome::Put(value) => puts.push((action.path(), value)),
            Outcome::Remove => removals.push(action.path()),
            Outcome::Nothing => {
                parent(&mut old.clone(), action.path())?;
            }
        }
    }
    let mut new = old.clone();
    // In order, so that elements behind the end of a list come in the order of their indices.
    puts.sort_by_key(|(path, _)| *path);
    for (path, value) in puts {
        put(&mut new, path, value)?;
    }
    removals.sort();
    for path in removals.into_iter().rev() {
        remove(&mut new, path)?;
    }
    Ok(new)
}

enum Outcome {
    Put(Value),
    Remove,
    Nothing,
}

fn outcome(old: &Item, action: &Action) -> Result<Outcome, TableError> {
    let current = get(old, action.path());
    Ok(match (action, current) {
        (Action::Set(_, sum), _) => Outcome::Put(sum_of(old, sum)?),
        (Action::Remove(_), _) => Outcome::Remove,
        (Action::Add(_, value), None) => Outcome::Put(value.clone()),
        (Action::Add(_, value), Some(current)) => Outcome::Put(added(current, value)?),
        (Action::Delete(..), None) => Outcome::Nothing,
        (Action::Delete(_, value), Some(current)) => match without(current, value)? {
            Some(left) => Outcome::Put(left),
            None => Outcome::Remove,
        },
        (Action::Append(_, list), None) => Outcome::Put(Value::L(list.clone())),
        (Action::Append(_, list), Some(Value::L(current))) => {
            Outcome::Put(Value::L(current.iter().chain(list).cloned().collect()))
        }
        (Action::Append(..), Some(_)) => return Err(wrong_operand()),
    })
}

fn wrong_operand() -> TableError {
    invalid("An operand in the update expression has an incorrect data type")
}

fn sum_of(old: &Item, sum: &Sum) -> Result<Value, TableError> {
    let number = |term: &Term| match term_of(old, term)? {
        Value::N(number) => Ok(number),
        _ => Err(wrong_operand()),
    };
    let add = |a: Number, b: Number| a.plus(b).map(Value::N).map_err(|e| invalid(e.to_string()));
    match sum {
        Sum::One(term) => term_of(old, term),
        Sum::Plus(a, b) => add(number(a)?, number(b)?),
        Sum::Minus(a, b) => add(number(a)?, number(b)?.negated()),
    }
}

fn term_of(old: &Item, term: &Term) -> Result<Value, TableError> {
    match term {
        Term::Value(value) => Ok(value.clone()),
        Term::Path(path) => get(old, path)
            .cloned()
            .ok_or_else(|| invalid("The provided expression refers to an attribute that does not exist in the item")),
        Term::IfNotExists(path, otherwise) => {
            // Both operands are computed, so a second one that is missing is refused either way.
            let otherwise = term_of(old, otherwise)?;
            Ok(get(old, path).cloned().unwrap_or(otherwise))
        }
        Term::ListAppend(first, second) => match (term_of(old, first)?, term_of(old, second)?) {
            (Value::L(mut list), Value::L(more)) => {
                list.extend(more);
                Ok(Value::L(list))
            }
            _ => Err(wrong_operand()),
        },
    }
}

fn added(current: &Value, value: &Value) -> Result<Value, TableError> {
    Ok(match (current, value) {
        (Value::N(a), Value::N(b)) => Value::N(a.plus(*b).map_err(|e| invalid(e.to_string()))?),
        (Value::Ss(a), Value::Ss(b)) => Value::Ss(a | b),
        (Value::Ns(a), Value::Ns(b)) => Value::Ns(a | b),
        (Value::Bs(a), Value::Bs(b)) => Value::Bs(a | b),
        _ => return Err(wrong_operand()),
    })
}

/// None when nothing is left.
fn without(current: &Value, value: &Value) -> Result<Option<Value>, TableError> {
    let left = match (current, value) {
        (Value::Ss(a), Value::Ss(b)) => Value::Ss(a - b),
        (Value::Ns(a), Value::Ns(b)) => Value::Ns(a - b),
        (Value::Bs(a), Value::Bs(b)) => Value::Bs(a - b),
        _ => return Err(wrong_operand()),
    };
    Ok(if left.count() == Some(0) { None } else { Some(left) })
}

fn no_such_path() -> TableError {
    invalid("The document path provided in the update expression is invalid for update")
}

enum Parent<'a> {
    Map(&'a mut Item, &'a str),
    List(&'a mut Vec<Value>, usize),
}

/// Where the last element of a path is.
fn parent<'a>(item: &'a mut Item, path: &'a Path) -> Result<Parent<'a>, TableError> {
    let [top @ .., last] = path.0.as_slice() else {
        return Err(no_such_path());
    };
    let Some((first, between)) = top.split_first() else {
        return match last {
            Element::Name(name) => Ok(Parent::Map(item, name)),
            Element::Index(_) => Err(no_such_path()),
        };
    };
    let mut value = match first {
        Element::Name(name) => item.get_mut(name),
        Element::Index(_) => None,
    };
    for element in between {
        value = match (element, value) {
            (Element::Name(name), Some(Value::M(map))) => map.get_mut(name),
            (Element::Index(index), Some(Value::L(list))) => list.get_mut(*index),
            _ => None,
        };
    }
    match (last, value) {
        (Element::Name(name), Some(Value::M(map))) => Ok(Parent::Map(map, name)),
        (Element::Index(index), Some(Value::L(list))) => Ok(Parent::List(list, *index)),
        _ => Err(no_such_path()),
    }
}

fn put(item: &mut Item, path: &Path, value: Value) -> Result<(), TableError> {
    match parent(item, path)? {
        Parent::Map(map, name) => {
            map.insert(name.to_owned(), value);
        }
        Parent::List(list, index) => match list.get_mut(index) {
            Some(place) => *place = value,
            None => list.push(value),
        },
    }
    Ok(())
}

fn remove(item: &mut Item, path: &Path) -> Result<(), TableError> {
    match parent(item, path)? {
        Parent::Map(map, name) => {
            map.remove(name);
        }
        Parent::List(list, index) => {
            if index < list.len() {
                list.remove(index);
            }
        }
    }
    Ok(())
}
