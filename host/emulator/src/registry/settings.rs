//! Levels, modes, and labels of versions.
//!
//! The rules: what is not said stays as it is, what is said as null is taken away; a level is read only where its subject is; a mode of
//! imports needs a subject without versions, or force.
//! Labels are what Glue calls metadata: said of a version at any time, they make no other version of it.
//! Left to others: what levels and modes allow (`register`, `delete`).

use std::collections::BTreeMap;

use pelton_schema::Mode;
use serde_json::Value as Json;

use super::{
    refusal::Refusal,
    request::Wanted,
    state::{Access, Config, Entry, State},
    store::Store,
};

/// Of subjects that may have no version.
const MOST_SETTINGS: usize = 200_000;
/// As at Glue.
const MOST_LABELS: usize = 10;
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;
/// What Confluent's registry has, and this one has not.
const UNSUPPORTED: [&str; 9] = [
    "alias",
    "compatibilityGroup",
    "compatibilityPolicy",
    "defaultMetadata",
    "overrideMetadata",
    "defaultRuleSet",
    "overrideRuleSet",
    "validateFields",
    "validateNames",
];

/// Refuses what is to be read only: a subject, or all of them.
pub fn check_may_change(state: &State, subject: Option<&str>) -> Result<(), Refusal> {
    match (state.mode_in_scope(subject).is_read_only(), subject) {
        (true, Some(subject)) => Err(Refusal::not_permitted(format!("Subject {subject} is in read-only mode"))),
        (true, None) => Err(Refusal::not_permitted("The registry is in read-only mode")),
        (false, _) => Ok(()),
    }
}

fn check_room(state: &State) -> Result<(), Refusal> {
    match state.settings() >= MOST_SETTINGS {
        true => Err(Refusal::store(format!("this registry is full: {MOST_SETTINGS} levels and modes"))),
        false => Ok(()),
    }
}

fn start(json: &Json) -> String {
    json.to_string().chars().take(60).collect()
}

/// What a body changes of a config.
fn changed(mut config: Config, body: &[u8]) -> Result<Config, Refusal> {
    let no_object = || Refusal::invalid_level("in the body: give {\"compatibility\": \"BACKWARD\"}");
    let body: Json = serde_json::from_slice(body).map_err(|_| no_object())?;
    let body = body.as_object().ok_or_else(no_object)?;
    if let Some(name) = UNSUPPORTED.into_iter().find(|name| body.get(*name).is_some_and(|value| !value.is_null())) {
        return Err(Refusal::unsupported(format!("this registry has no `{name}`: take it out")));
    }
    let known = ["compatibility", "compatibilityLevel", "normalize"];
    if !known.iter().any(|name| body.contains_key(*name)) {
        return Err(no_object());
    }
    match body.get("compatibility").or_else(|| body.get("compatibilityLevel")) {
        None => {}
        Some(Json::Null) => config.level = None,
        Some(level) => {
            let known = level.as_str().and_then(Mode::parse).filter(|mode| mode.confluent_name().is_some());
            config.level = Some(known.ok_or_else(|| Refusal::invalid_level(start(level)))?);
        }
    }
    match body.get("normalize") {
        None => {}
        Some(Json::Null) => config.normalize = None,
        Some(Json::Bool(normalize)) => config.normalize = Some(*normalize),
        Some(other) => return Err(Refusal::new(422, format!("normalize is true or false, not {}", start(other)))),
    }
    Ok(config)
}

impl Store {
    /// Changes what a subject, or all, ask of new versions; what they ask now.
    pub fn set_config(&self, subject: Option<&str>, body: &[u8]) -> Result<Config, Refusal> {
        let mut writing = self.write();
        let config = {
            let state = self.read();
            check_room(&state)?;
            check_may_change(&state, subject)?;
            changed(state.config(subject).unwrap_or_default(), body)?
        };
        let kept = (config != Config::default()).then_some(config);
        writing.commit(vec![Entry::Config { subject: subject.map(str::to_owned), config: kept }])?;
        Ok(config)
    }

    /// Takes it away; what it was.
    pub fn delete_config(&self, subject: Option<&str>) -> Result<Config, Refusal> {
        let mut writing = self.write();
        let known = {
            let state = self.read();
            check_may_change(&state, subject)?;
            state.config(subject)
        };
        let old = match (subject, known) {
            (Some(subject), None) => return Err(Refusal::no_subject(subject)),
            (_, known) => known.unwrap_or_default(),
        };
        if known.is_some() {
            writing.commit(vec![Entry::Config { subject: subject.map(str::to_owned), config: None }])?;
        }
        Ok(old)
    }

    pub fn set_mode(&self, subject: Option<&str>, body: &[u8], is_forced: bool) -> Result<Access, Refusal> {
        let body: Json = serde_json::from_slice(body).unwrap_or_default();
        let wanted = body.get("mode").and_then(Json::as_str).and_then(Access::parse);
        let mode = wanted.ok_or_else(|| Refusal::invalid_mode(start(body.get("mode").unwrap_or(&body))))?;
        let mut writing = self.write();
        {
            let state = self.read();
            check_room(&state)?;
            let becomes_import = mode == Access::Import && state.mode_in_scope(subject) != Access::Import;
            let has_versions = match subject {
                Some(subject) => state.subject(subject).is_some_and(|home| home.is_shown(false)),
                None => state.subjects().values().any(|home| home.is_shown(false)),
            };
            if becomes_import && has_versions && !is_forced {
                let what = "Cannot import since found existing subjects: delete them, or say force=true";
                return Err(Refusal::not_permitted(what));
            }
        }
        writing.commit(vec![Entry::Mode { subject: subject.map(str::to_owned), mode: Some(mode) }])?;
        Ok(mode)
    }

    /// Takes the mode away; what it was.
    pub fn delete_mode(&self, subject: Option<&str>) -> Result<Access, Refusal> {
        let mut writing = self.write();
        let known = self.read().mode(subject);
        let old = match (subject, known) {
            (Some(subject), None) => return Err(Refusal::no_subject(subject)),
            (_, known) => known.unwrap_or_default(),
        };
        if known.is_some() {
            writing.commit(vec![Entry::Mode { subject: subject.map(str::to_owned), mode: None }])?;
        }
        Ok(old)
    }

    /// Gives a version these labels and no others.
    pub fn set_labels(
        &self,
        subject: &str,
        wanted: Wanted,
        labels: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        let is_long = |(key, value): (&String, &String)| {
            key.is_empty() || key.chars().count() > LONGEST_KEY || value.chars().count() > LONGEST_VALUE
        };
        if labels.len() > MOST_LABELS || labels.iter().any(is_long) {
            let what = format!(
                "a version has at most {MOST_LABELS} labels, with keys of 1 to {LONGEST_KEY} characters and values of at most {LONGEST_VALUE}"
            );
            return Err(Refusal::new(422, what));
        }
        let mut writing = self.write();
        let version = self.read().version(subject, wanted, true)?.0;
        let entry = Entry::Labels { subject: subject.to_owned(), version, labels: labels.clone() };
        writing.commit(vec![entry])?;
        Ok(labels)
    }
}
