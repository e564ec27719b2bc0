//! Deleting versions and subjects: softly first, then for good.
//!
//! The rules: what is deleted softly is shown no more, and its id can still be read; for good goes only what was deleted softly. **What
//! something refers to stays**: softly while a version that is shown refers to it, for good while any does. With the last version that is
//! shown, level and mode of the subject go. Left to others: the words of HTTP (`answers`).

use super::{
    refusal::Refusal,
    request::Wanted,
    settings::check_may_change,
    state::{Entry, State},
    store::Store,
};

fn check_references(state: &State, subject: &str, version: u32, is_permanent: bool) -> Result<(), Refusal> {
    match state.referrers(subject, version, is_permanent) {
        ids if ids.is_empty() => Ok(()),
        ids => Err(Refusal::is_referenced(subject, version, &ids)),
    }
}

/// What hiding versions means.
fn hide(state: &State, subject: &str, versions: Vec<u32>) -> Vec<Entry> {
    let shown = state.subject(subject).into_iter().flat_map(|home| home.versions(false));
    let is_last = shown.map(|(number, _)| number).all(|number| versions.contains(&number));
    let own = || Some(subject.to_owned());
    let mut entries = vec![Entry::Hide { subject: subject.to_owned(), versions }];
    if is_last && state.mode(Some(subject)).is_some() {
        entries.push(Entry::Mode { subject: own(), mode: None });
    }
    if is_last && state.config(Some(subject)).is_some() {
        entries.push(Entry::Config { subject: own(), config: None });
    }
    entries
}

impl Store {
    /// Deletes a version; which one.
    pub fn delete_version(&self, subject: &str, wanted: Wanted, is_permanent: bool) -> Result<u32, Refusal> {
        let mut writing = self.write();
        let (number, entries) = {
            let state = self.read();
            let home = state.subject(subject).ok_or_else(|| Refusal::no_subject(subject))?;
            let found = match wanted {
                Wanted::Latest => home.versions(false).next_back(),
                Wanted::Number(number) => home.versions.get(&number).map(|version| (number, version)),
            };
            let (number, version) = found.ok_or_else(|| Refusal::no_version(wanted))?;
            if version.is_deleted && !is_permanent {
                return Err(Refusal::version_is_deleted(subject, number));
            }
            check_may_change(&state, Some(subject))?;
            check_references(&state, subject, number, is_permanent)?;
            let entries = match (is_permanent, version.is_deleted) {
                (true, false) => return Err(Refusal::version_is_not_deleted(subject, number)),
                (true, true) => vec![Entry::Purge { subject: subject.to_owned(), versions: vec![number] }],
                (false, _) => hide(&state, subject, vec![number]),
            };
            (number, entries)
        };
        writing.commit(entries)?;
        Ok(number)
    }

    /// Deletes the versions of a subject that are shown, or for good all of them; which ones.
    pub fn delete_subject(&self, subject: &str, is_permanent: bool) -> Result<Vec<u32>, Refusal> {
        let mut writing = self.write();
        let (versions, entries) = {
            let state = self.read();
            let home = state.subject(subject).ok_or_else(|| Refusal::no_subject(subject))?;
            if !is_permanent && !home.is_shown(false) {
                return Err(Refusal::subject_is_deleted(subject));
            }
            check_may_change(&state, Some(subject))?;
            let versions: Vec<u32> = home.versions(is_permanent).map(|(number, _)| number).collect();
            for version in &versions {
                check_references(&state, subject, *version, is_permanent)?;
            }
            if is_permanent && home.is_shown(false) {
                return Err(Refusal::subject_is_not_deleted(subject));
            }
            let entries = match is_permanent {
                true => vec![Entry::Purge { subject: subject.to_owned(), versions: versions.clone() }],
                false => hide(&state, subject, versions.clone()),
            };
            (versions, entries)
        };
        writing.commit(entries)?;
        Ok(versions)
    }
}
