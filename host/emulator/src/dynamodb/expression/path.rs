//! Paths into documents: `a.b[3]`.

use super::super::error::{TableError, invalid};
use super::super::value::{Item, Value};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    Name(String),
    Index(usize),
}

/// Not empty; the first element is a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(pub Vec<Element>);

impl Path {
    pub fn attribute(name: impl Into<String>) -> Self {
        Self(vec![Element::Name(name.into())])
    }

    /// The attribute that it leads into.
    pub fn top(&self) -> &str {
        match self.0.first() {
            Some(Element::Name(name)) => name,
            _ => "",
        }
    }

    pub fn is_plain(&self) -> bool {
        self.0.len() == 1
    }

    fn shown(&self) -> String {
        let element = |e: &Element| match e {
            Element::Name(name) => name.clone(),
            Element::Index(index) => format!("[{index}]"),
        };
        format!("[{}]", self.0.iter().map(element).collect::<Vec<_>>().join(", "))
    }
}

pub fn get<'a>(item: &'a Item, path: &Path) -> Option<&'a Value> {
    let mut value = item.get(path.top())?;
    for element in &path.0[1..] {
        value = match (element, value) {
            (Element::Name(name), Value::M(map)) => map.get(name)?,
            (Element::Index(index), Value::L(list)) => list.get(*index)?,
            _ => return None,
        };
    }
    Some(value)
}

/// Refuses two paths of which one contains the other, or that cannot both be.
pub fn overlap(paths: &[&Path]) -> Result<(), TableError> {
    for (i, one) in paths.iter().enumerate() {
        for two in &paths[i + 1..] {
            let same = one.0.iter().zip(&two.0).take_while(|(a, b)| a == b).count();
            let how = match (one.0.get(same), two.0.get(same)) {
                (None, _) | (_, None) => "overlap",
                (Some(Element::Name(_)), Some(Element::Index(_)))
                | (Some(Element::Index(_)), Some(Element::Name(_))) => "conflict",
                _ => continue,
            };
            return Err(invalid(format!(
                "Two document paths {how} with each other; must remove or rewrite one of these paths; path one: {}, \
                 path two: {}",
                one.shown(),
                two.shown()
            )));
        }
    }
    Ok(())
}

/// Only what the paths lead to. Elements of lists move together.
pub fn project(item: &Item, paths: &[Path]) -> Item {
    let mut sorted: Vec<&Path> = paths.iter().collect();
    sorted.sort();
    let mut out = Item::new();
    for path in sorted {
        let (Some(found), Some(source)) = (get(item, path), item.get(path.top())) else { continue };
        let place = out.entry(path.top().to_owned());
        if path.is_plain() {
            place.or_insert_with(|| found.clone());
        } else {
            let into = place.or_insert_with(|| empty_like(source));
            copy(into, source, &path.0[1..]);
        }
    }
    out
}

fn empty_like(value: &Value) -> Value {
    if matches!(value, Value::L(_)) { Value::L(Vec::new()) } else { Value::M(Item::new()) }
}

/// Lists get elements in the order of the sorted paths, so the last one is the one that a path goes on in.
fn copy(into: &mut Value, from: &Value, rest: &[Element]) {
    let Some((first, rest)) = rest.split_first() else { return };
    match (into, from, first) {
        (Value::M(into), Value::M(from), Element::Name(name)) => {
            let Some(source) = from.get(name) else { return };
            if rest.is_empty() {
                into.insert(name.clone(), source.clone());
            } else {
                copy(into.entry(name.clone()).or_insert_with(|| empty_like(source)), source, rest);
            }
        }
        (Value::L(into), Value::L(from), Element::Index(index)) => {
            let Some(source) = from.get(*index) else { return };
            if rest.is_empty() {
                into.push(source.clone());
            } else {
                let mut part = empty_like(source);
                copy(&mut part, source, rest);
                into.push(part);
            }
        }
        _ => {}
    }
}
