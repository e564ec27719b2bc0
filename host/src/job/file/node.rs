//! A YAML file as a tree in which every key and value knows its place.
//!
//! The rule: this is the only file that names the YAML parser; its limits (depth 64, 250,000 nodes, aliases) hold, and a file is
//! at most one MiB. Duplicate keys are kept, because who reads the tree reports them with both places.

use std::{fmt, ops::Range};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::Secret;
use crate::job::diagnostic::Diagnostic;

/// A value and its place in the text.
#[derive(Clone, Debug)]
pub struct Node {
    pub place: Range<usize>,
    pub value: Value,
}

/// What YAML can say, and the secret that a text may become.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Secret(Secret),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Value {
    /// For messages.
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".into(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Int(value) => format!("the number {value}"),
            Self::Float(value) => format!("the number {value}"),
            Self::Text(text) => format!("the text \"{}\"", text.chars().take(40).collect::<String>()),
            Self::Secret(_) => "a secret".into(),
            Self::List(_) => "a list".into(),
            Self::Map(_) => "a map".into(),
        }
    }
}

/// Parses a file's text.
pub fn parse(text: &str) -> Result<Node, Diagnostic> {
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(root) => Ok(node(root, text)),
        Err(error) => {
            let place = error.location().map_or(0..0, |location| start_of(&location, text)..start_of(&location, text));
            let words = error.without_snippet().to_string();
            let words =
                words.lines().next().unwrap_or_default().split(" at line ").next().unwrap_or_default().to_owned();
            Err(Diagnostic::new("E0001", place, format!("this is no YAML: {words}")).label("here the parser stopped"))
        }
    }
}

/// What the parser hands over, before places become ranges of the text.
enum Raw {
    Leaf(Value),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Leaf(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Text(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Raw, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Raw::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }

    fn visit_enum<A: de::EnumAccess<'de>>(self, _: A) -> Result<Raw, A::Error> {
        Err(de::Error::custom("tags (`!name`) have no meaning here"))
    }
}

fn node(raw: Spanned<Raw>, text: &str) -> Node {
    let start = start_of(&raw.referenced, text);
    let length = raw.referenced.span().byte_len().unwrap_or(0) as usize;
    let (value, place) = match raw.value {
        Raw::Leaf(value) => (value, start..trimmed_end(text, start, start + length)),
        Raw::List(nodes) => {
            let nodes: Vec<Node> = nodes.into_iter().map(|raw| node(raw, text)).collect();
            let end = nodes.last().map_or(start + length, |last| last.place.end);
            (Value::List(nodes), start..end.max(start))
        }
        Raw::Map(entries) => {
            let entries: Vec<(Node, Node)> =
                entries.into_iter().map(|(key, value)| (node(key, text), node(value, text))).collect();
            let end = entries.last().map_or(start + length, |(_, last)| last.place.end);
            (Value::Map(entries), start..end.max(start))
        }
    };
    Node { place, value }
}

/// A block text ends with line breaks that nobody wants underlined.
fn trimmed_end(text: &str, start: usize, end: usize) -> usize {
    text.get(start..end.min(text.len())).map_or(start, |piece| start + piece.trim_end().len())
}

fn start_of(location: &Location, text: &str) -> usize {
    if let Some(byte) = location.span().byte_offset() {
        return (byte as usize).min(text.len());
    }
    text.char_indices().nth(location.span().offset() as usize).map_or(text.len(), |(byte, _)| byte)
}
