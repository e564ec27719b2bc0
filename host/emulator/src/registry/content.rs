//! What a schema is: its type, its text, what it refers to, what is said about it; and the name that follows from that.
//!
//! The rule: **two schemas are the same when they have the same GUID**, and it covers all of that and nothing else, neither the subject
//! nor white space nor the order of references. It is made with SHA-256, so that nobody can make two schemas of one GUID.
//! Left to others: whether a text is a schema (`register`), and what white space is (`normal`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize, de::Error as _};
use sha2::{Digest, Sha256};

/// How a schema is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    #[default]
    Avro,
    Json,
    Protobuf,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Avro, Self::Json, Self::Protobuf];

    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The schema of a name that a text uses without defining it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    pub name: String,
    pub subject: String,
    pub version: u32,
}

/// What is said about a version: a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// by path in the schema
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, BTreeSet<String>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    /// names of properties
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub sensitive: BTreeSet<String>,
}

impl Metadata {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many bytes it holds.
    pub fn size(&self) -> usize {
        let tags = self.tags.iter().map(|(path, tags)| path.len() + tags.iter().map(String::len).sum::<usize>());
        let properties = self.properties.iter().map(|(key, value)| key.len() + value.len());
        tags.chain(properties).sum::<usize>() + self.sensitive.iter().map(String::len).sum::<usize>()
    }
}

/// A schema with everything that makes it another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    #[serde(rename = "type")]
    pub kind: Kind,
    pub text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

/// The name of a schema in every registry: a UUID of its content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Guid([u8; 16]);

impl Content {
    pub fn guid(&self) -> Guid {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(self.kind.name().as_bytes());
        part(self.text.as_bytes());
        let mut references: Vec<&Reference> = self.references.iter().collect();
        references.sort_unstable();
        part(&(references.len() as u64).to_be_bytes());
        for reference in references {
            part(reference.name.as_bytes());
            part(reference.subject.as_bytes());
            part(&reference.version.to_be_bytes());
        }
        let Metadata { tags, properties, sensitive } = &self.metadata;
        for (path, tags) in tags {
            part(b"tags");
            part(path.as_bytes());
            part(&(tags.len() as u64).to_be_bytes());
            tags.iter().for_each(|tag| part(tag.as_bytes()));
        }
        for (key, value) in properties {
            part(b"property");
            part(key.as_bytes());
            part(value.as_bytes());
        }
        for name in sensitive {
            part(b"sensitive");
            part(name.as_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        // A UUID of version 8: bits of whoever makes it.
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Guid(bytes)
    }

    /// How many bytes it holds.
    pub fn size(&self) -> usize {
        let references = self.references.iter().map(|one| one.name.len() + one.subject.len() + 8);
        self.text.len() + references.sum::<usize>() + self.metadata.size()
    }
}

impl Guid {
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        let mut digits = text.bytes();
        for (place, byte) in bytes.iter_mut().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) && digits.next() != Some(b'-') {
                return None;
            }
            let mut digit = || char::from(digits.next()?).to_digit(16);
            *byte = u8::try_from(digit()? * 16 + digit()?).ok()?;
        }
        digits.next().is_none().then_some(Self(bytes))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            let dash = if matches!(place, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Guid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Guid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("'{text}' is no GUID")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_covers_the_content_and_nothing_else() {
        let one = |name: &str, version| Reference { name: name.into(), subject: "s".into(), version };
        let base = Content { text: "\"int\"".into(), references: vec![one("a", 1), one("b", 2)], ..Content::default() };
        let mut turned = base.clone();
        turned.references.reverse();
        assert_eq!(base.guid(), turned.guid());
        let change = |make: &dyn Fn(&mut Content)| {
            let mut other = base.clone();
            make(&mut other);
            other.guid()
        };
        let all = [
            base.guid(),
            change(&|c| c.kind = Kind::Json),
            change(&|c| c.text = "\"long\"".into()),
            change(&|c| drop(c.references.pop())),
            change(&|c| c.references[0].version = 3),
            change(&|c| drop(c.metadata.properties.insert("a".into(), "b".into()))),
            change(&|c| drop(c.metadata.tags.insert("a".into(), ["b".to_owned()].into()))),
            change(&|c| assert!(c.metadata.sensitive.insert("a".into()))),
        ];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        for guid in all {
            let text = guid.to_string();
            assert_eq!((text.len(), &text[14..15]), (36, "8"), "{text}");
            assert_eq!(Guid::parse(&text), Some(guid));
        }
        // Every registry gives this one the same name, for ever.
        let int = Content { text: "\"int\"".into(), ..Content::default() };
        assert_eq!(int.guid().to_string(), "1ff06415-069e-8899-bba7-8c8274011c4d");
        for bad in ["", "1", "00000000-0000-0000-0000-00000000000", "00000000-0000-0000-0000-0000000000zz", "é"] {
            assert_eq!(Guid::parse(bad), None, "{bad}");
        }
    }
}
