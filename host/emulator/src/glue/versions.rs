//! Calls about versions: RegisterSchemaVersion, GetSchemaVersion, GetSchemaByDefinition, ListSchemaVersions, DeleteSchemaVersions,
//! CheckSchemaVersionValidity, GetSchemaVersionsDiff.
//!
//! The rules: a definition that a schema has is given back as the version that it is, whatever the mode and also if it is a FAILURE; a new
//! one is held against the checkpoint, or against all that are available. The first version and the checkpoint stay.
//! Left to others: what reads what (`pelton_schema`). Why a version failed is in the log alone, Glue has no place for it.

use pelton_schema::{AvroSchema, Direction, Mode, diff::changes};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::Inner;
use super::error::{GlueError, GlueErrorKind, full, invalid, no_version};
use super::request::{
    Found, FoundVersion, Number, Page, SchemaId, VersionId, check_definition, format, needed, parse, schema_arn, time,
};
use super::state::{Entry, Format, State, Version, id_of};
use crate::registry::parse as parse_avro;
use crate::store::Millis;

const MOST_VERSIONS: usize = 10_000;
/// Of all definitions together.
const MOST_BYTES: usize = 256 << 20;
/// As Glue bounds them.
const LONGEST_DIFF: usize = 340_000;
const LONGEST_ERROR: usize = 5000;
const LAST_NUMBER: u32 = 100_000;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Call {
    schema_id: Option<SchemaId>,
    schema_definition: Option<String>,
    data_format: Option<String>,
    versions: Option<String>,
    first_schema_version_number: Option<Number>,
    second_schema_version_number: Option<Number>,
    schema_diff_type: Option<String>,
    #[serde(flatten)]
    page: Page,
}

impl Call {
    fn found<'a>(&self, state: &'a State) -> Result<Found<'a>, GlueError> {
        needed(self.schema_id.as_ref(), "SchemaId")?.found(state)
    }

    fn definition(&self) -> Result<&str, GlueError> {
        let definition = needed(self.schema_definition.as_deref(), "SchemaDefinition")?;
        check_definition(definition).map(|()| definition)
    }
}

/// What is wrong with a definition, in words. Of other formats than Avro the outside is looked at alone.
fn defect(format: Format, definition: &str) -> Option<String> {
    match format {
        Format::Avro => parse_avro(definition, &[], true).err().map(|bad| bad.message),
        Format::Json => match serde_json::from_str::<Json>(definition) {
            Ok(Json::Object(_) | Json::Bool(_)) => None,
            Ok(_) => Some("a JSON schema is an object, or true or false".to_owned()),
            Err(bad) => Some(bad.to_string()),
        },
        Format::Protobuf => None,
    }
}

/// Refuses what cannot be a definition.
pub fn valid(format: Format, definition: &str) -> Result<(), GlueError> {
    check_definition(definition)?;
    match defect(format, definition) {
        Some(bad) => Err(invalid(format!("Schema definition of {} data format is invalid: {bad}", format.name()))),
        None => Ok(()),
    }
}

/// Whether one more version finds room.
pub fn check_room(state: &State, definition: &str) -> Result<(), GlueError> {
    if state.version_count() >= MOST_VERSIONS {
        return Err(full("schema versions", MOST_VERSIONS));
    }
    match state.bytes() + definition.len() > MOST_BYTES {
        true => Err(full("bytes of definitions", MOST_BYTES)),
        false => Ok(()),
    }
}

fn avro(definition: &str) -> Result<AvroSchema, GlueError> {
    let broken =
        |bad| GlueError::new(GlueErrorKind::InternalService, format!("a kept definition does not parse: {bad}"));
    AvroSchema::parse(definition, &[]).map_err(broken)
}

/// Why a new version would not get along with those that its mode looks at; nothing if it would.
fn reasons(of: Found<'_>, definition: &str) -> Result<Vec<String>, GlueError> {
    let settings = &of.schema.settings;
    let is_looked_at = |number: u32| settings.mode.is_transitive() || number == settings.checkpoint;
    let new = avro(definition)?;
    let mut reasons = Vec::new();
    for (number, old) in of.schema.versions.iter().filter(|(number, one)| one.is_available && is_looked_at(**number)) {
        for violation in settings.mode.check(&new, &[&avro(&old.definition)?]).violations() {
            let head = match violation.direction {
                Direction::Backward => format!("it cannot read version {number}"),
                Direction::Forward => format!("version {number} cannot read it"),
            };
            reasons.extend(violation.mismatches.iter().map(|mismatch| format!("{head}: {mismatch}")));
        }
    }
    Ok(reasons)
}

fn by_text<'a>(of: Found<'a>, definition: &str) -> Option<FoundVersion<'a>> {
    let id = id_of(of.registry, of.name, of.schema.settings.format, definition);
    let (number, version) = of.schema.versions.iter().find(|(_, version)| version.id == id)?;
    Some(FoundVersion { of, number: *number, version })
}

pub fn register(inner: &mut Inner, now: Millis, body: &Json) -> Result<Json, GlueError> {
    let call: Call = parse(body)?;
    let of = call.found(&inner.state)?;
    let definition = call.definition()?;
    if let Some(FoundVersion { number, version, .. }) = by_text(of, definition) {
        let status = version.status();
        return Ok(json!({ "SchemaVersionId": version.id, "VersionNumber": number, "Status": status }));
    }
    let settings = &of.schema.settings;
    valid(settings.format, definition)?;
    let number = settings.last + 1;
    let is_available = match (settings.mode, settings.format) {
        (Mode::None, _) => true,
        (Mode::Disabled, _) => {
            return Err(invalid(format!(
                "Compatibility DISABLED does not allow versioning. SchemaId: SchemaId(schemaName={}, registryName={})",
                of.name, of.registry
            )));
        }
        (mode, Format::Json | Format::Protobuf) => {
            return Err(invalid(format!(
                "the emulator compares definitions of AVRO alone, and cannot tell what {} makes of this one; update the \
                 schema to the compatibility NONE",
                mode.glue_name()
            )));
        }
        (mode, Format::Avro) => {
            let reasons = reasons(of, definition)?;
            if !reasons.is_empty() {
                let why: String = reasons.join("; ").chars().take(LONGEST_ERROR).collect();
                tracing::warn!(registry = of.registry, schema = of.name, version = number, %mode, why, "a version fails");
            }
            reasons.is_empty()
        }
    };
    check_room(&inner.state, definition)?;
    if number > LAST_NUMBER {
        return Err(full("version numbers of a schema", LAST_NUMBER as usize));
    }
    let id = id_of(of.registry, of.name, settings.format, definition);
    let definition = definition.to_owned();
    let version = Version { id: id.clone(), definition, is_available, created: now, metadata: Vec::new() };
    let answer = json!({ "SchemaVersionId": id, "VersionNumber": number, "Status": version.status() });
    let (registry, schema) = (of.registry.to_owned(), of.name.to_owned());
    inner.commit(vec![Entry::Version { registry, schema, number, version }])?;
    Ok(answer)
}

/// What every answer about a version has.
fn shown(FoundVersion { of, version, .. }: FoundVersion<'_>) -> Json {
    json!({
        "SchemaVersionId": version.id,
        "SchemaArn": schema_arn(of.registry, of.name),
        "DataFormat": of.schema.settings.format.name(),
        "Status": version.status(),
        "CreatedTime": time(version.created),
    })
}

pub fn get(inner: &Inner, body: &Json) -> Result<Json, GlueError> {
    let found = parse::<VersionId>(body)?.found(&inner.state)?;
    let mut answer = shown(found);
    answer["SchemaDefinition"] = found.version.definition.as_str().into();
    answer["VersionNumber"] = found.number.into();
    Ok(answer)
}

pub fn by_definition(inner: &Inner, body: &Json) -> Result<Json, GlueError> {
    let call: Call = parse(body)?;
    let of = call.found(&inner.state)?;
    let found = by_text(of, call.definition()?);
    let missing = || no_version(format!("RegistryName: {}, SchemaName: {}, by definition", of.registry, of.name));
    found.map(shown).ok_or_else(missing)
}

pub fn list(inner: &Inner, body: &Json) -> Result<Json, GlueError> {
    let call: Call = parse(body)?;
    let of = call.found(&inner.state)?;
    let all = of.schema.versions.iter().map(|(number, version)| {
        let mut item = shown(FoundVersion { of, number: *number, version });
        if let Some(item) = item.as_object_mut() {
            item.remove("DataFormat");
        }
        item["VersionNumber"] = (*number).into();
        // Keys sort as numbers do.
        (format!("{number:010}"), item)
    });
    call.page.of("Schemas", 100, all)
}

/// `5` or `5-8`.
fn range(text: &str) -> Result<(u32, u32), GlueError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse().ok().filter(|number| (1..=LAST_NUMBER).contains(number));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err(invalid(format!("Versions is one number or a range as in 5-8, not '{text}'"))),
    }
}

pub fn delete(inner: &mut Inner, body: &Json) -> Result<Json, GlueError> {
    let call: Call = parse(body)?;
    let of = call.found(&inner.state)?;
    let (first, last) = range(needed(call.versions.as_deref(), "Versions")?)?;
    let known = &of.schema.versions;
    if known.keys().next().is_some_and(|number| (first..=last).contains(number)) {
        return Err(invalid("The first schema version can only be deleted by the DeleteSchema API."));
    }
    let checkpoint = of.schema.settings.checkpoint;
    if (first..=last).contains(&checkpoint) {
        let what = format!("Version {checkpoint} is the checkpoint: update the schema to another one first.");
        return Err(GlueError::new(GlueErrorKind::ConcurrentModification, what));
    }
    let last = last.min(of.schema.settings.last.max(first));
    let missing = (first..=last).filter(|number| !known.contains_key(number)).map(|number| {
        let details = json!({ "ErrorCode": "EntityNotFoundException", "ErrorMessage": "Schema version is not found." });
        json!({ "VersionNumber": number, "ErrorDetails": details })
    });
    let missing: Vec<Json> = missing.collect();
    let gone = known.range(first..=last).map(|(_, version)| Entry::DropVersion { id: version.id.clone() });
    let gone: Vec<Entry> = gone.collect();
    if !gone.is_empty() {
        inner.commit(gone)?;
    }
    Ok(json!({ "SchemaVersionErrors": missing }))
}

pub fn check(body: &Json) -> Result<Json, GlueError> {
    let call: Call = parse(body)?;
    let format = format(needed(call.data_format.as_deref(), "DataFormat")?)?;
    let bad = defect(format, call.definition()?);
    Ok(match bad {
        None => json!({ "Valid": true }),
        Some(bad) => json!({ "Valid": false, "Error": bad.chars().take(LONGEST_ERROR).collect::<String>() }),
    })
}

pub fn diff(inner: &Inner, body: &Json) -> Result<Json, GlueError> {
    let call: Call = parse(body)?;
    let of = call.found(&inner.state)?;
    let version = |number: Option<Number>, name: &str| needed(number, name)?.found(of);
    let first = version(call.first_schema_version_number, "FirstSchemaVersionNumber")?;
    let second = version(call.second_schema_version_number, "SecondSchemaVersionNumber")?;
    if needed(call.schema_diff_type.as_deref(), "SchemaDiffType")? != "SYNTAX_DIFF" {
        return Err(invalid("SchemaDiffType is SYNTAX_DIFF, there is no other."));
    }
    let said = if of.schema.settings.format == Format::Avro {
        let lines = changes(&avro(&first.version.definition)?, &avro(&second.version.definition)?);
        let line = |path: &str, what: &str| if path.is_empty() { what.to_owned() } else { format!("{path}: {what}") };
        lines.iter().map(|change| line(&change.path, &change.what)).collect::<Vec<_>>().join("\n")
    } else if first.version.id == second.version.id {
        String::new()
    } else {
        format!("-{}\n+{}", first.version.definition, second.version.definition)
    };
    let said = if said.is_empty() { "no change".to_owned() } else { said };
    Ok(json!({ "Diff": said.chars().take(LONGEST_DIFF).collect::<String>() }))
}
