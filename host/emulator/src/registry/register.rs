//! Registering a schema, finding it again, and whether it would be let in.
//!
//! The rules: what a subject has is given back, whatever its mode; what it has not must fit the mode, then the level, which looks at the
//! versions that are not deleted. A schema without metadata of its own takes those of the latest version, as at Confluent.
//! Left to others: what reads what (`pelton_schema`), and the words of HTTP (`answers`).

use std::sync::Arc;

use pelton_schema::{AvroSchema, Direction, Mode};

use super::{
    content::{Content, Guid, Kind, Metadata},
    normal,
    refusal::Refusal,
    request::Draft,
    state::{Access, Entry, LAST_NUMBER, Schema, State, Subject},
    store::{Store, parse},
};

const MOST_SCHEMAS: usize = 100_000;
/// Also of those that are gone.
const MOST_IDS: usize = 1_000_000;
const MOST_SUBJECTS: usize = 100_000;
const MOST_VERSIONS: usize = 500_000;
/// Of all schemas together.
const MOST_BYTES: usize = 256 << 20;
/// How many reasons are given, and how long each may be.
const MOST_REASONS: usize = 100;
const LONGEST_REASON: usize = 2000;

/// What a registration gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    pub id: u32,
    pub version: u32,
    pub guid: Guid,
}

/// What a schema is compared with.
pub enum After {
    All,
    /// no version where there is none yet
    One(Option<(u32, Arc<Schema>)>),
}

/// A draft whose references were found and whose text is bare, or normal.
struct Ready {
    /// with the metadata that were given
    content: Content,
    has_metadata: bool,
    is_normal: bool,
    /// of everything that it refers to
    needed: Vec<String>,
}

/// What a draft is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Find,
    Register,
}

impl Ready {
    /// Finds references and makes the text bare.
    fn of(state: &State, subject: &str, draft: &Draft, purpose: Purpose) -> Result<Self, Refusal> {
        let (kind, text, references) = match (&draft.text, latest(state, subject)) {
            (Some(text), _) => (draft.kind, text.as_str(), None),
            // Only the metadata are new.
            (None, Some(latest)) if purpose == Purpose::Register && draft.metadata.is_some() => {
                let Content { kind, text, references, .. } = &latest.content;
                (*kind, text.as_str(), Some(references.clone()))
            }
            _ => return Err(Refusal::new(42201, "Empty schema")),
        };
        let text = match kind {
            Kind::Avro | Kind::Json => normal::bare(text).map_err(Refusal::invalid_schema)?,
            Kind::Protobuf => text.trim().to_owned(),
        };
        let references = match references {
            Some(references) => references,
            None => draft
                .references
                .iter()
                .map(|wanted| wanted.found(state, purpose == Purpose::Register))
                .collect::<Result<_, _>>()?,
        };
        let needed = Store::needed(state, &references)?;
        let metadata = draft.metadata.clone().unwrap_or_default();
        let content = Content { kind, text, references, metadata };
        Ok(Self { content, has_metadata: draft.metadata.is_some(), is_normal: false, needed })
    }

    /// Gives the text its normal form, where it has one.
    fn normalize(&mut self) -> Result<(), Refusal> {
        if self.content.kind == Kind::Avro {
            self.content.text = normal::form(&self.content.text, &self.needed).map_err(Refusal::invalid_schema)?;
            self.is_normal = true;
        }
        Ok(())
    }

    /// The same with other metadata.
    fn with(&self, metadata: Metadata) -> Content {
        Content { metadata, ..self.content.clone() }
    }

    /// Contents that count as this one in the subject: with the metadata that were given, else with none, else with the latest.
    fn candidates(&self, latest: Option<&Arc<Schema>>) -> Vec<Content> {
        let mut all = vec![self.content.clone()];
        if let Some(latest) = latest.filter(|latest| !self.has_metadata && !latest.content.metadata.is_empty()) {
            all.push(self.with(latest.content.metadata.clone()));
        }
        all
    }
}

fn latest<'a>(state: &'a State, subject: &str) -> Option<&'a Arc<Schema>> {
    let (_, version) = state.subject(subject)?.versions(false).next_back()?;
    state.schema(version.id)
}

/// The version of a subject that has the id: the newest, and one that is deleted only where wanted.
fn version_of(state: &State, subject: &str, id: u32, with_deleted: bool) -> Option<u32> {
    let home = state.subject(subject)?;
    let shown = home.versions(false).rfind(|(_, version)| version.id == id);
    let any = || home.versions(with_deleted).rfind(|(_, version)| version.id == id);
    shown.or_else(any).map(|(number, _)| number)
}

impl Store {
    /// The version of the subject that a draft is.
    fn found(&self, subject: &str, ready: &Ready, with_deleted: bool) -> Result<Option<Registered>, Refusal> {
        let (candidates, versions) = {
            let state = self.read();
            let Some(home) = state.subject(subject) else { return Ok(None) };
            let candidates = ready.candidates(latest(&state, subject));
            for content in &candidates {
                let guid = content.guid();
                let Some(id) = state.id_of(guid) else { continue };
                if let Some(version) = version_of(&state, subject, id, with_deleted) {
                    return Ok(Some(Registered { id, version, guid }));
                }
            }
            if !ready.is_normal {
                return Ok(None);
            }
            let schema = |version: u32, id: u32| Some((version, Arc::clone(state.schema(id)?)));
            let versions = home.versions(with_deleted).rev();
            (candidates, versions.filter_map(|(number, one)| schema(number, one.id)).collect::<Vec<_>>())
        };
        for (version, schema) in versions {
            let same = |content: &Content| {
                content.references == schema.content.references && content.metadata == schema.content.metadata
            };
            if candidates.iter().any(same) && self.form(&schema)?.as_deref() == Some(&ready.content.text) {
                return Ok(Some(Registered { id: schema.id, version, guid: schema.guid }));
            }
        }
        Ok(None)
    }

    /// The version of a subject that a schema is.
    pub fn look_up(
        &self,
        subject: &str,
        draft: &Draft,
        normalize: bool,
        with_deleted: bool,
    ) -> Result<Registered, Refusal> {
        let (mut ready, normalize) = {
            let state = self.read();
            if !state.subject(subject).is_some_and(|home| home.is_shown(with_deleted)) {
                return Err(Refusal::no_subject(subject));
            }
            let normalize = normalize || state.config_in_scope(Some(subject)).1;
            (Ready::of(&state, subject, draft, Purpose::Find)?, normalize)
        };
        // What is found was parsed once.
        if let Some(found) = self.found(subject, &ready, with_deleted)? {
            return Ok(found);
        }
        check_text(&ready, false)?;
        if normalize {
            ready.normalize()?;
            if let Some(found) = self.found(subject, &ready, with_deleted)? {
                return Ok(found);
            }
        }
        Err(Refusal::not_under_subject())
    }

    /// Registers a schema, or finds it.
    pub fn register(&self, subject: &str, draft: &Draft, normalize: bool) -> Result<Registered, Refusal> {
        if let Some(found) = self.known(subject, draft, normalize)? {
            return Ok(found);
        }
        let mut writing = self.write();
        // Somebody else may have been first.
        if let Some(found) = self.known(subject, draft, normalize)? {
            return Ok(found);
        }
        let (mut ready, access, level, normalize) = {
            let state = self.read();
            let (level, is_normal) = state.config_in_scope(Some(subject));
            let access = state.mode_in_scope(Some(subject));
            (Ready::of(&state, subject, draft, Purpose::Register)?, access, level, normalize || is_normal)
        };
        // Of another registry, where it was good enough.
        let is_import = access == Access::Import;
        let avro = check_text(&ready, !is_import)?;
        check_mode(subject, access, draft)?;
        if normalize {
            ready.normalize()?;
        }
        if !ready.has_metadata
            && !is_import
            && let Some(latest) = latest(&self.read(), subject)
        {
            ready.content.metadata = latest.content.metadata.clone();
        }
        if !is_import {
            let reasons = self.reasons(level, avro.as_ref(), &self.versions(subject))?;
            if !reasons.is_empty() {
                let message = format!(
                    "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{}]",
                    reasons.join(", ")
                );
                return Err(Refusal::new(409, message));
            }
        }
        let (registered, entries) = self.admitted(subject, draft, ready.content)?;
        writing.commit(entries)?;
        Ok(registered)
    }

    /// What a registration finds.
    fn known(&self, subject: &str, draft: &Draft, normalize: bool) -> Result<Option<Registered>, Refusal> {
        let (mut ready, normalize) = {
            let state = self.read();
            let normalize = normalize || state.config_in_scope(Some(subject)).1;
            (Ready::of(&state, subject, draft, Purpose::Register)?, normalize)
        };
        let mut found = self.found(subject, &ready, false)?;
        if found.is_none() && normalize {
            check_text(&ready, false)?;
            ready.normalize()?;
            found = self.found(subject, &ready, false)?;
        }
        let Some(found) = found else { return Ok(None) };
        match (draft.id, draft.version) {
            (Some(id), _) if id != found.id => Err(Refusal::other_id(found.id, id)),
            (_, Some(version)) if version != found.version => Err(Refusal::invalid_schema(format!(
                "it is version {} of the subject already, and cannot be version {version} too",
                found.version
            ))),
            _ => Ok(Some(found)),
        }
    }

    /// Id and version of a schema that may come, and what has to happen.
    fn admitted(&self, subject: &str, draft: &Draft, content: Content) -> Result<(Registered, Vec<Entry>), Refusal> {
        let state = self.read();
        let guid = content.guid();
        let id = id_for(&state, guid, draft.id)?;
        let home = state.subject(subject);
        let version = version_for(subject, home, draft, id, &state)?;
        check_room(&state, subject, &content)?;
        let mut entries = Vec::new();
        if state.schema(id).is_none() {
            entries.push(Entry::Schema { id, content });
        }
        entries.push(Entry::Version { subject: subject.to_owned(), version, id });
        // A subject has one version of an id: the deleted one goes, unless something refers to it.
        let old = home.into_iter().flat_map(|home| home.versions(true));
        let old = old.filter(|(number, one)| *number < version && one.id == id && one.is_deleted);
        let old = old.map(|(number, _)| number).filter(|number| state.referrers(subject, *number, true).is_empty());
        let versions: Vec<u32> = old.collect();
        if !versions.is_empty() {
            entries.push(Entry::Purge { subject: subject.to_owned(), versions });
        }
        Ok((Registered { id, version, guid }, entries))
    }

    /// Versions that are not deleted, oldest first.
    fn versions(&self, subject: &str) -> Vec<(u32, Arc<Schema>)> {
        let state = self.read();
        let versions = state.subject(subject).into_iter().flat_map(|home| home.versions(false));
        versions.filter_map(|(number, one)| Some((number, Arc::clone(state.schema(one.id)?)))).collect()
    }

    /// Why a schema may not follow these versions: nothing if it may. None is a schema of another type than Avro.
    fn reasons(
        &self,
        level: Mode,
        new: Option<&AvroSchema>,
        old: &[(u32, Arc<Schema>)],
    ) -> Result<Vec<String>, Refusal> {
        let mut reasons = Vec::new();
        let reach = if level.is_transitive() { old.len() } else { 1 };
        if level == Mode::None {
            return Ok(reasons);
        }
        for (number, schema) in old.iter().rev().take(reach) {
            match (new, self.avro(schema)?) {
                (Some(new), Some(old)) => {
                    for violation in level.check(new, &[&old]).violations() {
                        let head = match violation.direction {
                            Direction::Backward => format!("the new schema cannot read version {number}"),
                            Direction::Forward => format!("version {number} cannot read the new schema"),
                        };
                        reasons.extend(violation.mismatches.iter().map(|mismatch| short(&format!("{head}: {mismatch}"))));
                    }
                }
                (None, None) => reasons.push(format!(
                    "this registry compares Avro alone, and cannot tell whether the new schema gets along with version {number}; set the level NONE for the subject"
                )),
                _ => reasons.push(format!("version {number} is {}, the new schema is of another type", schema.content.kind.name())),
            }
            if reasons.len() > MOST_REASONS {
                reasons.truncate(MOST_REASONS);
                reasons.push("and more".to_owned());
                break;
            }
        }
        if !reasons.is_empty() {
            reasons.push(format!("{{compatibility: '{}'}}", level.confluent_name().unwrap_or_default()));
        }
        Ok(reasons)
    }

    /// Why a schema would not be let in after all versions of a subject, or after one of them: nothing if it would.
    pub fn would_refuse(&self, subject: &str, draft: &Draft, after: After) -> Result<Vec<String>, Refusal> {
        let (ready, level) = {
            let state = self.read();
            (Ready::of(&state, subject, draft, Purpose::Register)?, state.config_in_scope(Some(subject)).0)
        };
        let avro = check_text(&ready, true)?;
        let old = match after {
            After::All => self.versions(subject),
            After::One(version) => version.into_iter().collect(),
        };
        self.reasons(level, avro.as_ref(), &old)
    }
}

/// The schema, if the text is Avro. Of other types the outside is looked at alone.
fn check_text(ready: &Ready, is_new: bool) -> Result<Option<AvroSchema>, Refusal> {
    let text = &ready.content.text;
    match ready.content.kind {
        Kind::Avro => parse(text, &ready.needed, is_new).map(Some),
        Kind::Json if text.starts_with('{') || text == "true" || text == "false" => Ok(None),
        Kind::Json => Err(Refusal::invalid_schema("a JSON schema is an object, or true or false")),
        Kind::Protobuf if text.is_empty() => Err(Refusal::new(42201, "Empty schema")),
        Kind::Protobuf => Ok(None),
    }
}

fn check_mode(subject: &str, access: Access, draft: &Draft) -> Result<(), Refusal> {
    let what = match (access, draft.id) {
        (Access::ReadOnly | Access::ReadOnlyOverride, _) => "is in read-only mode",
        (Access::Import, None) => "is in import mode: give the id, or set the mode READWRITE",
        (Access::ReadWrite, Some(_)) => "is not in import mode: set the mode IMPORT to give ids",
        (Access::Import, Some(_)) | (Access::ReadWrite, None) => return Ok(()),
    };
    Err(Refusal::not_permitted(format!("Subject {subject} {what}")))
}

fn id_for(state: &State, guid: Guid, wanted: Option<u32>) -> Result<u32, Refusal> {
    match (state.id_of(guid), wanted) {
        (Some(known), Some(wanted)) if known != wanted => Err(Refusal::other_id(known, wanted)),
        (Some(known), _) => Ok(known),
        (None, Some(wanted)) => match state.guid_of(wanted) {
            Some(_) => Err(Refusal::not_permitted(format!(
                "Overwrite new schema with id {wanted} is not permitted: it is, or was, another schema's"
            ))),
            None => Ok(wanted),
        },
        (None, None) if state.last_id() >= LAST_NUMBER => Err(Refusal::store("the ids of this registry are used up")),
        (None, None) => Ok(state.last_id() + 1),
    }
}

fn version_for(subject: &str, home: Option<&Subject>, draft: &Draft, id: u32, state: &State) -> Result<u32, Refusal> {
    let last = home.map_or(0, |home| home.last);
    let next = last + 1;
    let version = match draft.version {
        None => next,
        Some(version) if state.mode_in_scope(Some(subject)) == Access::Import => version,
        Some(version) if version == next => version,
        Some(version) => {
            let what = format!("Version {version} is not one more than previous version {last}");
            return Err(Refusal::new(42201, what));
        }
    };
    if version > LAST_NUMBER {
        return Err(Refusal::store(format!("the versions of subject '{subject}' are used up")));
    }
    match home.and_then(|home| home.versions.get(&version)) {
        Some(known) if known.id != id => Err(Refusal::not_permitted(format!(
            "Version {version} of subject '{subject}' is the schema {} already",
            known.id
        ))),
        _ => Ok(version),
    }
}

fn check_room(state: &State, subject: &str, content: &Content) -> Result<(), Refusal> {
    let full = |most: usize, of: &str| Err(Refusal::store(format!("this registry is full: {most} {of}")));
    if state.schemas() >= MOST_SCHEMAS {
        return full(MOST_SCHEMAS, "schemas");
    }
    if state.ids() >= MOST_IDS {
        return full(MOST_IDS, "ids");
    }
    if state.bytes() + content.size() > MOST_BYTES {
        return full(MOST_BYTES, "bytes of schemas");
    }
    if state.subjects().len() >= MOST_SUBJECTS && state.subject(subject).is_none() {
        return full(MOST_SUBJECTS, "subjects");
    }
    if state.version_count() >= MOST_VERSIONS {
        return full(MOST_VERSIONS, "versions");
    }
    Ok(())
}

/// A reason of bounded length.
fn short(reason: &str) -> String {
    match reason.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}...", &reason[..end]),
        None => reason.to_owned(),
    }
}
