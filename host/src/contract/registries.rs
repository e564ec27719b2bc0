//! What every registry promises to who reads records.

use pelton_schema::AvroSchema;

use super::Broken;
use crate::{
    decode::registry::{Answer, Found, Registered, SchemaId, SchemaSource, Which},
    source::Pending,
};

/// How a registry is filled: with the next version of a subject.
pub trait RegistryRig: Send {
    /// The registry, as a job asks it.
    fn source(&self) -> &dyn SchemaSource;

    /// Registers the next version of a subject.
    fn put<'a>(&'a mut self, subject: &'a str, text: &'a str) -> Pending<'a, Result<(), Broken>>;

    /// An id of a kind that it answers, and that it does not have.
    fn unknown(&self) -> SchemaId;
}

const FIRST: &str = r#"{"type":"record","name":"Click","namespace":"shop","fields":[{"name":"ad","type":"string"}]}"#;
const SECOND: &str = r#"{"type":"record","name":"Click","namespace":"shop","fields":[{"name":"ad","type":"string"},{"name":"n","type":["null","int"],"default":null}]}"#;
const OTHER: &str = r#"{"type":"enum","name":"State","symbols":["ON","OFF"]}"#;

/// Tries every promise with a registry that has nothing yet.
pub async fn registry(rig: &mut dyn RegistryRig) -> Result<(), Broken> {
    nothing_is_there(rig).await?;
    rig.put("clicks-value", FIRST).await?;
    rig.put("states", OTHER).await?;
    rig.put("clicks-value", SECOND).await?;
    let source = rig.source();
    let versions = said("versions", source.versions("clicks-value").await)?;
    if versions != [1, 2] {
        return Err(format!("versions are {versions:?}, not 1 and 2"));
    }
    let mut ids = Vec::new();
    for (which, version, text) in
        [(Which::Number(1), 1, FIRST), (Which::Number(2), 2, SECOND), (Which::Latest, 2, SECOND)]
    {
        let found = schema(&format!("{which:?}"), source.version("clicks-value", which).await)?;
        is(&found, text)?;
        if found.version_of("clicks-value") != Some(version) {
            return Err(format!("{which:?} says that it is {:?}", found.versions));
        }
        ids.push((found.id, text));
    }
    if ids[0].0 == ids[1].0 || ids[1].0 != ids[2].0 {
        return Err(format!("ids do not tell versions apart: {ids:?}"));
    }
    for (id, text) in ids {
        let found = schema(&format!("schema {id}"), source.by_id(id).await)?;
        is(&found, text)?;
        if found.id != id || found.version_of("states").is_some() {
            return Err(format!("schema {id} calls itself {} of {:?}", found.id, found.versions));
        }
    }
    nothing("a version that was never made", source.version("clicks-value", Which::Number(3)).await)
}

async fn nothing_is_there(rig: &dyn RegistryRig) -> Result<(), Broken> {
    let (source, unknown) = (rig.source(), rig.unknown());
    if !source.answers(unknown) || source.answers(SchemaId::Own(1)) {
        return Err("it does not know which ids are its business".to_owned());
    }
    nothing("an id that nobody has", source.by_id(unknown).await)?;
    nothing("a subject that nobody has", source.version("nobodys", Which::Latest).await)?;
    match source.versions("nobodys").await {
        Ok(none) if none.is_empty() => Ok(()),
        other => Err(format!("the versions of a subject that nobody has are {other:?}")),
    }
}

fn said<T>(what: &str, answer: Answer<T>) -> Result<T, Broken> {
    answer.map_err(|outage| format!("{what}: {}", outage.why))
}

fn schema(what: &str, answer: Answer) -> Result<std::sync::Arc<Registered>, Broken> {
    match said(what, answer)? {
        Found::Schema(found) => Ok(found),
        other => Err(format!("{what} is {other:?}")),
    }
}

fn nothing(what: &str, answer: Answer) -> Result<(), Broken> {
    match said(what, answer)? {
        Found::Unknown => Ok(()),
        other => Err(format!("{what} is {other:?}")),
    }
}

fn is(found: &Registered, text: &str) -> Result<(), Broken> {
    let expected = AvroSchema::parse(text, &[]).map_err(|bad| bad.to_string())?;
    if found.schema.canonical() == expected.canonical() {
        return Ok(());
    }
    Err(format!("what was registered as {text} is {}", found.text))
}
