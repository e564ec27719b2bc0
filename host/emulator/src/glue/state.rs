//! What there is: registries, their schemas, their versions, and what can happen to them.
//!
//! The rules: `default-registry` is always there; numbers of versions count on and are never used again; nothing changes but by an
//! [`Entry`], whether it comes from a call or from the log. Left to others: whether a call may do so.

use std::collections::{BTreeMap, HashMap};

use pelton_schema::Mode;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::registry::bare;
use crate::store::Millis;

pub const DEFAULT_REGISTRY: &str = "default-registry";

#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub registries: BTreeMap<String, Registry>,
    ids: HashMap<String, Place>,
    /// Of all definitions.
    bytes: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Registry {
    pub about: About,
    pub schemas: BTreeMap<String, Schema>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    pub description: Option<String>,
    pub created: Millis,
    pub updated: Millis,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    pub settings: Settings,
    pub versions: BTreeMap<u32, Version>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub about: About,
    pub format: Format,
    #[serde(with = "mode")]
    pub mode: Mode,
    pub checkpoint: u32,
    /// The greatest number that a version ever had.
    pub last: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Format {
    Avro,
    Json,
    Protobuf,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    pub id: String,
    pub definition: String,
    pub is_available: bool,
    pub created: Millis,
    pub metadata: Vec<Pair>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    pub key: String,
    pub value: String,
    pub created: Millis,
}

/// Where a version is.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub registry: String,
    pub schema: String,
    pub number: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    Registry { name: String, about: About },
    DropRegistry { name: String },
    Schema { registry: String, name: String, settings: Settings },
    DropSchema { registry: String, name: String },
    Version { registry: String, schema: String, number: u32, version: Version },
    DropVersion { id: String },
    Metadata { id: String, metadata: Vec<Pair> },
}

mod mode {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Mode;

    pub fn serialize<S: Serializer>(mode: &Mode, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(mode.glue_name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Mode, D::Error> {
        let name = String::deserialize(from)?;
        Mode::parse(&name).ok_or_else(|| D::Error::custom(format!("'{name}' is no mode")))
    }
}

impl Format {
    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        }
    }
}

impl Version {
    pub fn status(&self) -> &'static str {
        if self.is_available { "AVAILABLE" } else { "FAILURE" }
    }
}

impl Schema {
    /// The newest version that is available.
    pub fn latest(&self) -> Option<(u32, &Version)> {
        let newest = self.versions.iter().rfind(|(_, version)| version.is_available);
        newest.map(|(number, version)| (*number, version))
    }
}

/// A definition as it is compared: white space means nothing in JSON.
fn form(format: Format, definition: &str) -> String {
    match format {
        Format::Avro | Format::Json => bare(definition).unwrap_or_else(|_| definition.trim().to_owned()),
        Format::Protobuf => definition.trim().to_owned(),
    }
}

/// The id of a version: a UUID of version 8, out of what it is.
pub fn id_of(registry: &str, schema: &str, format: Format, definition: &str) -> String {
    let mut hash = Sha256::new();
    for part in [registry, schema, format.name(), &form(format, definition)] {
        hash.update(part.as_bytes());
        // In no name, and after the definition nothing comes.
        hash.update([0]);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    let number = u128::from_be_bytes(bytes);
    let number = number & !(0xf << 76) & !(0x3 << 62) | (0x8 << 76) | (0x2 << 62);
    let hex = format!("{number:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

impl State {
    pub fn new() -> Self {
        let mut state = Self::default();
        state.restore_default(About::default());
        state
    }

    fn restore_default(&mut self, about: About) {
        let registry = || Registry { about, schemas: BTreeMap::new() };
        self.registries.entry(DEFAULT_REGISTRY.to_owned()).or_insert_with(registry);
    }

    pub fn place(&self, id: &str) -> Option<&Place> {
        self.ids.get(id)
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn version_count(&self) -> usize {
        self.ids.len()
    }

    pub fn schema_count(&self) -> usize {
        self.registries.values().map(|registry| registry.schemas.len()).sum()
    }

    pub fn schema(&self, registry: &str, name: &str) -> Option<&Schema> {
        self.registries.get(registry)?.schemas.get(name)
    }

    fn home(&mut self, registry: &str) -> Result<&mut Registry, String> {
        self.registries.get_mut(registry).ok_or_else(|| format!("registry {registry} is not there"))
    }

    fn schema_mut(&mut self, registry: &str, name: &str) -> Result<&mut Schema, String> {
        let schema = self.home(registry)?.schemas.get_mut(name);
        schema.ok_or_else(|| format!("schema {name} of registry {registry} is not there"))
    }

    fn version_mut(&mut self, id: &str) -> Result<&mut Version, String> {
        let missing = || format!("version {id} is not there");
        let Place { registry, schema, number } = self.ids.get(id).cloned().ok_or_else(missing)?;
        self.schema_mut(&registry, &schema)?.versions.get_mut(&number).ok_or_else(missing)
    }

    fn forget(&mut self, schema: &Schema) {
        for version in schema.versions.values() {
            self.ids.remove(&version.id);
            self.bytes -= version.definition.len();
        }
    }

    /// Makes it so; says why it cannot be.
    pub fn apply(&mut self, entry: Entry) -> Result<(), String> {
        match entry {
            Entry::Registry { name, about } => {
                let registry = self.registries.entry(name);
                registry.or_insert_with(|| Registry { about: About::default(), schemas: BTreeMap::new() }).about =
                    about;
            }
            Entry::DropRegistry { name } => {
                let registry = self.registries.remove(&name).ok_or_else(|| format!("registry {name} is not there"))?;
                registry.schemas.values().for_each(|schema| self.forget(schema));
                self.restore_default(About::default());
            }
            Entry::Schema { registry, name, settings } => {
                let schemas = &mut self.home(&registry)?.schemas;
                match schemas.get_mut(&name) {
                    Some(schema) => schema.settings = settings,
                    None => {
                        schemas.insert(name, Schema { settings, versions: BTreeMap::new() });
                    }
                }
            }
            Entry::DropSchema { registry, name } => {
                let schema = self.home(&registry)?.schemas.remove(&name);
                self.forget(&schema.ok_or_else(|| format!("schema {name} is not there"))?);
            }
            Entry::Version { registry, schema, number, version } => {
                let (id, size) = (version.id.clone(), version.definition.len());
                let home = self.schema_mut(&registry, &schema)?;
                if home.versions.contains_key(&number) {
                    return Err(format!("version {number} of schema {schema} is there already"));
                }
                home.settings.last = home.settings.last.max(number);
                home.versions.insert(number, version);
                self.bytes += size;
                self.ids.insert(id, Place { registry, schema, number });
            }
            Entry::DropVersion { id } => {
                let size = self.version_mut(&id)?.definition.len();
                if let Some(Place { registry, schema, number }) = self.ids.remove(&id) {
                    self.schema_mut(&registry, &schema)?.versions.remove(&number);
                }
                self.bytes -= size;
            }
            Entry::Metadata { id, metadata } => self.version_mut(&id)?.metadata = metadata,
        }
        Ok(())
    }

    /// Entries that make this state out of an empty one.
    pub fn snapshot(&self) -> impl Iterator<Item = Entry> + '_ {
        self.registries.iter().flat_map(|(name, Registry { about, schemas })| {
            let head = Entry::Registry { name: name.clone(), about: about.clone() };
            std::iter::once(head).chain(schemas.iter().flat_map(move |(schema, Schema { settings, versions })| {
                let settings = settings.clone();
                let head = Entry::Schema { registry: name.clone(), name: schema.clone(), settings };
                std::iter::once(head).chain(versions.iter().map(move |(number, version)| Entry::Version {
                    registry: name.clone(),
                    schema: schema.clone(),
                    number: *number,
                    version: version.clone(),
                }))
            }))
        })
    }
}
