//! Reads typed settings out of the tree, and goes on after a mistake.
//!
//! The rule: **a mistake costs its own value and nothing else.** Every setting is an [`At`]: a value that could not be read is
//! reported where it stands and left empty, so that all mistakes of a file are found at once. Unknown keys, duplicates and unknown
//! variants are reported here, because only here both the tree and the names that a type knows are at hand.

use std::{borrow::Cow, cell::RefCell, fmt, marker::PhantomData, ops::Range};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::{
    Secret,
    node::{Node, Value},
};
use crate::job::diagnostic::Diagnostic;

const AT: &str = "__pelton_at";
const LIST: &str = "__pelton_list";
pub const SECRET: &str = "__pelton_secret";

/// A setting and its place. Empty if it could not be read, which is reported already.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// bytes of the file's text
    pub place: Range<usize>,
    /// the value, or none where a mistake was reported
    pub value: Option<T>,
}

/// Names with settings, in the order of the file.
#[derive(Clone, Debug)]
pub struct Named<T>(pub Vec<(At<String>, At<T>)>);

/// One of something, or a list of it.
#[derive(Clone, Debug)]
pub struct OneOrMore<T>(pub Vec<At<T>>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Reads a whole tree; mistakes are added to the list.
pub fn read<T: de::DeserializeOwned>(node: &Node, mistakes: &RefCell<Vec<Diagnostic>>) -> At<T> {
    let value = match T::deserialize(Reader { node, mistakes }) {
        Ok(value) => Some(value),
        Err(mistake) => {
            mistakes.borrow_mut().push(mistake.at(node));
            None
        }
    };
    At { place: node.place.clone(), value }
}

/// A mistake on its way to the next [`At`].
#[derive(Debug)]
struct Mistake {
    code: &'static str,
    message: String,
    help: Option<String>,
}

impl Mistake {
    fn at(self, node: &Node) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(self.code, first_line(node), self.message);
        diagnostic.help = self.help;
        diagnostic
    }

    fn wrong(node: &Node, expected: &dyn fmt::Display) -> Self {
        let message = format!("expected {expected}, found {}", node.value.describe());
        let quotable = matches!(node.value, Value::Int(_) | Value::Float(_) | Value::Bool(_));
        let help =
            (quotable && expected.to_string() == "a text").then(|| "put it in quotes to make it a text".to_owned());
        Self { code: "E0004", message, help }
    }
}

/// A map or list is long: only its beginning is worth underlining.
fn first_line(node: &Node) -> Range<usize> {
    match &node.value {
        Value::Map(entries) => entries.first().map_or(node.place.clone(), |(key, _)| key.place.clone()),
        Value::List(nodes) => nodes.first().map_or(node.place.clone(), |first| first.place.clone()),
        _ => node.place.clone(),
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { code: "E0004", message: message.to_string(), help: None }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self { code: "E0004", message: format!("expected {expected}, found {found}"), help: None }
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self { code: "E0104", message: format!("expected {expected}, found {found}"), help: None }
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    node: &'a Node,
    mistakes: &'a RefCell<Vec<Diagnostic>>,
}

static NOTHING: Node = Node { place: 0..0, value: Value::Null };

impl<'a> Reader<'a> {
    fn of(self, node: &'a Node) -> Self {
        Self { node, mistakes: self.mistakes }
    }

    fn report(self, diagnostic: Diagnostic) {
        self.mistakes.borrow_mut().push(diagnostic);
    }

    /// The entries without repeated keys, which are reported.
    fn entries(self, entries: &'a [(Node, Node)]) -> Vec<&'a (Node, Node)> {
        let mut kept: Vec<&(Node, Node)> = Vec::new();
        let mut seen = std::collections::BTreeMap::<&str, &Node>::new();
        for entry in entries {
            let Value::Text(name) = &entry.0.value else {
                let found = entry.0.value.describe();
                self.report(Diagnostic::new(
                    "E0004",
                    first_line(&entry.0),
                    format!("a key must be a text, found {found}"),
                ));
                continue;
            };
            if let Some(first) = seen.get(name.as_str()) {
                let message = format!("the key `{name}` stands here twice");
                let twice = Diagnostic::new("E0002", entry.0.place.clone(), message).label("again");
                self.report(twice.related(first.place.clone(), "first here"));
                continue;
            }
            seen.insert(name.as_str(), &entry.0);
            kept.push(entry);
        }
        kept
    }
}

macro_rules! number {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
            match &self.node.value {
                Value::Int(value) => visitor.visit_i64(*value),
                Value::Float(value) => visitor.visit_f64(*value),
                _ => Err(Mistake::wrong(self.node, &"a number")),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_str(value),
            Value::Secret(_) => self.deserialize_str(visitor),
            Value::List(nodes) => visitor.visit_seq(Elements { from: self, rest: nodes.iter() }),
            Value::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.node.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            _ => Err(Mistake::wrong(self.node, &"`true` or `false`")),
        }
    }

    number! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.node.value {
            Value::Text(text) => visitor.visit_str(text),
            Value::Secret(_) => Err(Mistake {
                code: "E0010",
                message: "a secret cannot stand here: this setting is shown in logs and plans".into(),
                help: Some(
                    "use ${env:NAME}, or leave the secret to a setting that keeps it (`registry` has `password`)"
                        .into(),
                ),
            }),
            _ => Err(Mistake::wrong(self.node, &"a text")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Mistake> {
        match (name, &self.node.value) {
            (AT, _) => visitor.visit_seq(Placed { from: self, next: 0 }),
            (LIST, Value::List(nodes)) => visitor.visit_seq(Elements { from: self, rest: nodes.iter() }),
            (LIST, _) => visitor.visit_seq(Elements { from: self, rest: std::slice::from_ref(self.node).iter() }),
            (SECRET, Value::Secret(secret)) => visitor.visit_str(secret.reveal()),
            (SECRET, _) => self.deserialize_str(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.node.value {
            Value::List(nodes) => visitor.visit_seq(Elements { from: self, rest: nodes.iter() }),
            _ => Err(Mistake::wrong(self.node, &"a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.node.value {
            Value::Map(entries) => {
                let entries = self.entries(entries);
                visitor.visit_map(Entries { from: self, rest: entries.into_iter(), value: None })
            }
            Value::Null => visitor.visit_map(Entries { from: self, rest: Vec::new().into_iter(), value: None }),
            _ => Err(Mistake::wrong(self.node, &"a map")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let entries = match &self.node.value {
            Value::Map(entries) => self.entries(entries),
            Value::Null => Vec::new(),
            _ => return Err(Mistake::wrong(self.node, &format!("a map with {}", fields.join(", ")))),
        };
        let (known, unknown): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|(key, _)| matches!(&key.value, Value::Text(name) if fields.contains(&name.as_str())));
        for (key, _) in unknown {
            let Value::Text(name) = &key.value else { continue };
            let message = format!("there is no key `{name}` here");
            self.report(
                Diagnostic::new("E0003", key.place.clone(), message)
                    .label("unknown key")
                    .suggest(name, fields.iter().copied()),
            );
        }
        visitor.visit_map(Entries { from: self, rest: known.into_iter(), value: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let (key, value) = match &self.node.value {
            Value::Text(_) => (self.node, &NOTHING),
            Value::Map(entries) if entries.len() == 1 => (&entries[0].0, &entries[0].1),
            _ => {
                let message = format!("expected one of {}, found {}", variants.join(", "), self.node.value.describe());
                return Err(Mistake { code: "E0007", message, help: None });
            }
        };
        let Value::Text(name) = &key.value else { return Err(Mistake::wrong(key, &"a text")) };
        if !variants.contains(&name.as_str()) {
            let wrong = Diagnostic::new("E0006", 0..0, "").suggest(name, variants.iter().copied());
            return Err(Mistake { code: "E0006", message: format!("`{name}` is not known here"), help: wrong.help });
        }
        visitor.visit_enum(Variant { name, content: self.of(value) })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { bytes byte_buf unit unit_struct tuple tuple_struct i128 u128 }
}

struct Elements<'a> {
    from: Reader<'a>,
    rest: std::slice::Iter<'a, Node>,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistake> {
        self.rest.next().map(|node| seed.deserialize(self.from.of(node))).transpose()
    }
}

struct Entries<'a> {
    from: Reader<'a>,
    rest: std::vec::IntoIter<&'a (Node, Node)>,
    value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistake> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(self.from.of(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistake> {
        seed.deserialize(self.from.of(self.value.take().unwrap_or(&NOTHING)))
    }
}

/// Start, end, value: what an [`At`] is made of. A value that cannot be read is reported and left out.
struct Placed<'a> {
    from: Reader<'a>,
    next: u8,
}

impl<'de> SeqAccess<'de> for Placed<'_> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistake> {
        self.next += 1;
        let node = self.from.node;
        match self.next {
            1 => seed.deserialize(node.place.start.into_deserializer()).map(Some),
            2 => seed.deserialize(node.place.end.into_deserializer()).map(Some),
            3 => match seed.deserialize(self.from) {
                Ok(value) => Ok(Some(value)),
                Err(mistake) => {
                    self.from.report(mistake.at(node));
                    Ok(None)
                }
            },
            _ => Ok(None),
        }
    }
}

struct Variant<'a> {
    name: &'a str,
    content: Reader<'a>,
}

impl<'de, 'a> de::EnumAccess<'de> for Variant<'a> {
    type Error = Mistake;
    type Variant = Reader<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Reader<'a>), Mistake> {
        Ok((seed.deserialize(self.name.into_deserializer())?, self.content))
    }
}

impl<'de> VariantAccess<'de> for Reader<'_> {
    type Error = Mistake;

    fn unit_variant(self) -> Result<(), Mistake> {
        match &self.node.value {
            Value::Null => Ok(()),
            Value::Map(entries) if entries.is_empty() => Ok(()),
            _ => Err(Mistake::wrong(self.node, &"nothing")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mistake> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_struct("", fields, visitor)
    }
}

struct AtVisitor<T>(PhantomData<T>);

impl<'de, T: de::Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
    type Value = At<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a setting")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<At<T>, A::Error> {
        let start = parts.next_element()?.unwrap_or(0);
        let end = parts.next_element()?.unwrap_or(0);
        Ok(At { place: start..end, value: parts.next_element()? })
    }
}

impl<'de, T: de::Deserialize<'de>> de::Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_newtype_struct(AT, AtVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: de::Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = OneOrMore<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one, or a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = list.next_element()? {
            all.push(one);
        }
        Ok(OneOrMore(all))
    }
}

impl<'de, T: de::Deserialize<'de>> de::Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_newtype_struct(LIST, ListVisitor(PhantomData))
    }
}

struct NamedVisitor<T>(PhantomData<T>);

impl<'de, T: de::Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(entry) = map.next_entry()? {
            all.push(entry);
        }
        Ok(Named(all))
    }
}

impl<'de, T: de::Deserialize<'de>> de::Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(NamedVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Named_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let content = generator.subschema_for::<T>();
        schemars::json_schema!({ "type": "object", "additionalProperties": content })
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMore<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMore_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

impl<'de> de::Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct SecretVisitor;
        impl Visitor<'_> for SecretVisitor {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::new(text))
            }
        }
        from.deserialize_newtype_struct(SECRET, SecretVisitor)
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}
