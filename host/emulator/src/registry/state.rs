//! What the registry holds, and what may happen to it.
//!
//! The rule: **the state is what its entries make of it, and nothing else changes it**, so a log of entries is the registry. An id is bound
//! to one GUID for ever, also when the schema is gone; a version of a subject is given once as long as the subject has any.
//! Left to others: which entries a call means (`register`, `delete`, `settings`), and keeping them (`journal`).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use pelton_schema::Mode;
use serde::{Deserialize, Serialize};

use super::content::{Content, Guid};

/// Of the form of entries.
pub const FORMAT: u32 = 1;
/// Ids are positive numbers of 32 bits with a sign.
pub const LAST_NUMBER: u32 = i32::MAX as u32;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    Format(u32),
    Schema {
        id: u32,
        content: Content,
    },
    /// Also of a version that was hidden: it is there again.
    Version {
        subject: String,
        version: u32,
        id: u32,
    },
    /// Deleted softly.
    Hide {
        subject: String,
        versions: Vec<u32>,
    },
    /// Deleted for good.
    Purge {
        subject: String,
        versions: Vec<u32>,
    },
    Config {
        subject: Option<String>,
        config: Option<Config>,
    },
    Mode {
        subject: Option<String>,
        mode: Option<Access>,
    },
    Labels {
        subject: String,
        version: u32,
        labels: BTreeMap<String, String>,
    },
    /// An id whose schema is gone.
    Forgotten {
        id: u32,
        guid: Guid,
    },
    /// The last version that a subject gave, or the last id.
    Last {
        subject: Option<String>,
        number: u32,
    },
}

/// What a subject, or all of them, asks of new versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    #[serde(default, skip_serializing_if = "Option::is_none", with = "level")]
    pub level: Option<Mode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize: Option<bool>,
}

/// Levels in Confluent's words.
mod level {
    use pelton_schema::Mode;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "what serde hands over")]
    pub fn serialize<S: Serializer>(level: &Option<Mode>, serializer: S) -> Result<S::Ok, S::Error> {
        level.and_then(Mode::confluent_name).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Mode>, D::Error> {
        let Some(name) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        Mode::parse(&name).map(Some).ok_or_else(|| D::Error::custom(format!("'{name}' is no level")))
    }
}

/// What may be done with a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Access {
    #[default]
    ReadWrite,
    ReadOnly,
    #[serde(rename = "READONLY_OVERRIDE")]
    ReadOnlyOverride,
    Import,
}

impl Access {
    const ALL: [Self; 4] = [Self::ReadWrite, Self::ReadOnly, Self::ReadOnlyOverride, Self::Import];

    pub fn name(self) -> &'static str {
        match self {
            Self::ReadWrite => "READWRITE",
            Self::ReadOnly => "READONLY",
            Self::ReadOnlyOverride => "READONLY_OVERRIDE",
            Self::Import => "IMPORT",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        Self::ALL.into_iter().find(|access| access.name() == name)
    }

    pub fn is_read_only(self) -> bool {
        matches!(self, Self::ReadOnly | Self::ReadOnlyOverride)
    }
}

/// A schema with its names.
#[derive(Debug, PartialEq)]
pub struct Schema {
    pub id: u32,
    pub guid: Guid,
    pub content: Content,
}

/// A version of a subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    pub id: u32,
    pub is_deleted: bool,
    /// said about it later, without making it another version
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    pub versions: BTreeMap<u32, Version>,
    pub last: u32,
}

impl Subject {
    /// Versions with their numbers, oldest first; those that are deleted too where wanted.
    pub fn versions(&self, with_deleted: bool) -> impl DoubleEndedIterator<Item = (u32, &Version)> {
        let shown = move |(_, version): &(&u32, &Version)| with_deleted || !version.is_deleted;
        self.versions.iter().filter(shown).map(|(number, version)| (*number, version))
    }

    pub fn is_shown(&self, with_deleted: bool) -> bool {
        self.versions(with_deleted).next().is_some()
    }
}

#[derive(Debug, Default, PartialEq)]
pub struct State {
    schemas: BTreeMap<u32, Arc<Schema>>,
    /// of every schema that there ever was
    ids: HashMap<Guid, u32>,
    guids: HashMap<u32, Guid>,
    last_id: u32,
    /// that schemas hold
    bytes: usize,
    subjects: BTreeMap<String, Subject>,
    version_count: usize,
    /// versions that have the id
    uses: HashMap<u32, BTreeSet<(String, u32)>>,
    /// ids of schemas that refer to the version
    referrers: HashMap<(String, u32), BTreeSet<u32>>,
    configs: BTreeMap<Option<String>, Config>,
    modes: BTreeMap<Option<String>, Access>,
}

impl State {
    pub fn schema(&self, id: u32) -> Option<&Arc<Schema>> {
        self.schemas.get(&id)
    }

    pub fn schemas(&self) -> usize {
        self.schemas.len()
    }

    pub fn ids(&self) -> usize {
        self.ids.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn version_count(&self) -> usize {
        self.version_count
    }

    pub fn settings(&self) -> usize {
        self.configs.len() + self.modes.len()
    }

    pub fn last_id(&self) -> u32 {
        self.last_id
    }

    /// The id that a content has, or had.
    pub fn id_of(&self, guid: Guid) -> Option<u32> {
        self.ids.get(&guid).copied()
    }

    /// Whose id it is, or was.
    pub fn guid_of(&self, id: u32) -> Option<Guid> {
        self.guids.get(&id).copied()
    }

    pub fn subjects(&self) -> &BTreeMap<String, Subject> {
        &self.subjects
    }

    pub fn subject(&self, name: &str) -> Option<&Subject> {
        self.subjects.get(name)
    }

    /// Versions that have the id, also deleted ones.
    pub fn uses(&self, id: u32) -> impl Iterator<Item = (&str, u32, &Version)> {
        self.uses.get(&id).into_iter().flatten().filter_map(|(name, number)| {
            let version = self.subjects.get(name)?.versions.get(number)?;
            Some((name.as_str(), *number, version))
        })
    }

    /// Ids of schemas that refer to a version: those that some version has; deleted ones too where wanted.
    pub fn referrers(&self, subject: &str, version: u32, with_deleted: bool) -> Vec<u32> {
        let ids = self.referrers.get(&(subject.to_owned(), version)).into_iter().flatten().copied();
        ids.filter(|id| self.uses(*id).any(|(.., version)| with_deleted || !version.is_deleted)).collect()
    }

    /// What was set for a subject, or for all.
    pub fn config(&self, subject: Option<&str>) -> Option<Config> {
        self.configs.get(&subject.map(str::to_owned)).copied()
    }

    pub fn mode(&self, subject: Option<&str>) -> Option<Access> {
        self.modes.get(&subject.map(str::to_owned)).copied()
    }

    /// What holds for a subject.
    pub fn config_in_scope(&self, subject: Option<&str>) -> (Mode, bool) {
        let global = self.config(None).unwrap_or_default();
        let own = subject.and_then(|subject| self.config(Some(subject))).unwrap_or_default();
        (own.level.or(global.level).unwrap_or_default(), own.normalize.or(global.normalize).unwrap_or_default())
    }

    pub fn mode_in_scope(&self, subject: Option<&str>) -> Access {
        let global = self.mode(None).unwrap_or_default();
        match subject.and_then(|subject| self.mode(Some(subject))) {
            Some(own) if global != Access::ReadOnlyOverride => own,
            _ => global,
        }
    }

    /// Makes it so. The error says which entry cannot be; nothing that a call makes is such.
    pub fn apply(&mut self, entry: Entry) -> Result<(), String> {
        match entry {
            Entry::Format(FORMAT) => {}
            Entry::Format(other) => {
                return Err(format!("it has the form {other}, and this registry knows {FORMAT}"));
            }
            Entry::Schema { id, content } => self.add_schema(id, content)?,
            Entry::Version { subject, version, id } => self.add_version(subject, version, id)?,
            Entry::Hide { subject, versions } => {
                for version in versions {
                    self.version_mut(&subject, version)?.is_deleted = true;
                }
            }
            Entry::Purge { subject, versions } => {
                versions.into_iter().try_for_each(|version| self.purge(&subject, version))?;
            }
            Entry::Config { subject, config } => match config {
                Some(config) => drop(self.configs.insert(subject, config)),
                None => drop(self.configs.remove(&subject)),
            },
            Entry::Mode { subject, mode } => match mode {
                Some(mode) => drop(self.modes.insert(subject, mode)),
                None => drop(self.modes.remove(&subject)),
            },
            Entry::Labels { subject, version, labels } => self.version_mut(&subject, version)?.labels = labels,
            Entry::Forgotten { id, guid } => self.bind(id, guid)?,
            Entry::Last { subject: None, number } => self.last_id = self.last_id.max(number),
            Entry::Last { subject: Some(subject), number } => {
                let known = self.subjects.get_mut(&subject);
                let known = known.ok_or_else(|| format!("it names the subject '{subject}', which is not there"))?;
                known.last = known.last.max(number);
            }
        }
        Ok(())
    }

    fn bind(&mut self, id: u32, guid: Guid) -> Result<(), String> {
        let (known, other) = (self.ids.get(&guid), self.guids.get(&id));
        if id == 0 || id > LAST_NUMBER || known.is_some_and(|known| *known != id) || other.is_some_and(|o| *o != guid) {
            return Err(format!("the id {id} cannot be of the schema {guid}"));
        }
        self.ids.insert(guid, id);
        self.guids.insert(id, guid);
        self.last_id = self.last_id.max(id);
        Ok(())
    }

    fn add_schema(&mut self, id: u32, content: Content) -> Result<(), String> {
        let guid = content.guid();
        self.bind(id, guid)?;
        if self.schemas.contains_key(&id) {
            return Ok(());
        }
        for reference in &content.references {
            self.referrers.entry((reference.subject.clone(), reference.version)).or_default().insert(id);
        }
        self.bytes += content.size();
        self.schemas.insert(id, Arc::new(Schema { id, guid, content }));
        Ok(())
    }

    fn add_version(&mut self, subject: String, number: u32, id: u32) -> Result<(), String> {
        if !self.schemas.contains_key(&id) {
            return Err(format!("version {number} of '{subject}' has the id {id}, which is no schema's"));
        }
        if number == 0 || number > LAST_NUMBER {
            return Err(format!("'{subject}' cannot have the version {number}"));
        }
        let home = self.subjects.entry(subject.clone()).or_default();
        home.last = home.last.max(number);
        let known = home.versions.entry(number).or_insert_with(|| {
            self.version_count += 1;
            Version { id, is_deleted: false, labels: BTreeMap::new() }
        });
        if known.id != id {
            return Err(format!("version {number} of '{subject}' has the id {}, not {id}", known.id));
        }
        known.is_deleted = false;
        self.uses.entry(id).or_default().insert((subject, number));
        Ok(())
    }

    fn version_mut(&mut self, subject: &str, number: u32) -> Result<&mut Version, String> {
        let found = self.subjects.get_mut(subject).and_then(|subject| subject.versions.get_mut(&number));
        found.ok_or_else(|| format!("it names version {number} of '{subject}', which is not there"))
    }

    fn purge(&mut self, subject: &str, number: u32) -> Result<(), String> {
        let id = self.version_mut(subject, number)?.id;
        self.version_count -= 1;
        if let Some(home) = self.subjects.get_mut(subject) {
            home.versions.remove(&number);
            if home.versions.is_empty() {
                self.subjects.remove(subject);
            }
        }
        let uses = self.uses.entry(id).or_default();
        uses.remove(&(subject.to_owned(), number));
        if uses.is_empty() {
            self.uses.remove(&id);
            self.forget(id);
        }
        Ok(())
    }

    /// Takes a schema away that no version has; its id stays its own.
    fn forget(&mut self, id: u32) {
        let Some(schema) = self.schemas.remove(&id) else { return };
        self.bytes -= schema.content.size();
        for reference in &schema.content.references {
            let key = (reference.subject.clone(), reference.version);
            if let Some(ids) = self.referrers.get_mut(&key) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.referrers.remove(&key);
                }
            }
        }
    }

    /// Entries that make this state of an empty one.
    pub fn snapshot(&self) -> impl Iterator<Item = Entry> {
        let gone = self.guids.iter().filter(|(id, _)| !self.schemas.contains_key(id));
        let gone: BTreeMap<u32, Guid> = gone.map(|(id, guid)| (*id, *guid)).collect();
        let first = [Entry::Format(FORMAT), Entry::Last { subject: None, number: self.last_id }];
        let schema = |schema: &Arc<Schema>| Entry::Schema { id: schema.id, content: schema.content.clone() };
        let config = |(subject, config): (&Option<String>, &Config)| Entry::Config {
            subject: subject.clone(),
            config: Some(*config),
        };
        let mode =
            |(subject, mode): (&Option<String>, &Access)| Entry::Mode { subject: subject.clone(), mode: Some(*mode) };
        first
            .into_iter()
            .chain(gone.into_iter().map(|(id, guid)| Entry::Forgotten { id, guid }))
            .chain(self.schemas.values().map(schema))
            .chain(self.subjects.iter().flat_map(|(name, subject)| entries_of(name, subject)))
            .chain(self.configs.iter().map(config))
            .chain(self.modes.iter().map(mode))
    }
}

fn entries_of(name: &str, subject: &Subject) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (number, version) in &subject.versions {
        entries.push(Entry::Version { subject: name.to_owned(), version: *number, id: version.id });
        if !version.labels.is_empty() {
            let labels = version.labels.clone();
            entries.push(Entry::Labels { subject: name.to_owned(), version: *number, labels });
        }
        if version.is_deleted {
            entries.push(Entry::Hide { subject: name.to_owned(), versions: vec![*number] });
        }
    }
    entries.push(Entry::Last { subject: Some(name.to_owned()), number: subject.last });
    entries
}
