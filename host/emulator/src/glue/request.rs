//! What calls say: which registry, schema and version, with which names, and from where a list goes on.
//!
//! The rules: members of another type than Glue's are SerializationException, members that are missing or cannot be InvalidInputException;
//! members that Glue does not know are passed over. A token is the name after which a list goes on, in base64.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pelton_schema::Mode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::error::{GlueError, GlueErrorKind, invalid, no_registry, no_schema, no_version};
use super::state::{DEFAULT_REGISTRY, Format, Registry, Schema, State, Version};
use crate::store::Millis;

const LONGEST_NAME: usize = 255;
const LONGEST_DESCRIPTION: usize = 2048;
/// In characters.
const LONGEST_DEFINITION: usize = 170_000;
const MOST_TAGS: usize = 50;
const PAGE: usize = 25;
const ARN: &str = "arn:aws:glue:us-east-1:000000000000:";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RegistryId {
    registry_name: Option<String>,
    registry_arn: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SchemaId {
    pub schema_arn: Option<String>,
    pub schema_name: Option<String>,
    pub registry_name: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Number {
    latest_version: Option<bool>,
    version_number: Option<u32>,
}

/// A version by its id, or by its schema and its number.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VersionId {
    pub schema_id: Option<SchemaId>,
    pub schema_version_id: Option<String>,
    pub schema_version_number: Option<Number>,
}

/// A schema that is there.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    pub registry: &'a str,
    pub name: &'a str,
    pub schema: &'a Schema,
}

/// A version that is there.
#[derive(Clone, Copy)]
pub struct FoundVersion<'a> {
    pub of: Found<'a>,
    pub number: u32,
    pub version: &'a Version,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Page {
    max_results: Option<usize>,
    next_token: Option<String>,
}

pub fn parse<T: DeserializeOwned>(body: &Json) -> Result<T, GlueError> {
    T::deserialize(body).map_err(|bad| GlueError::new(GlueErrorKind::Serialization, bad.to_string()))
}

pub fn needed<T>(given: Option<T>, name: &str) -> Result<T, GlueError> {
    given.ok_or_else(|| invalid(format!("{name} is required.")))
}

fn too_long(name: &str) -> GlueError {
    let what = "The resource name contains too many or too few characters. Parameter Name:";
    invalid(format!("{what} {name}"))
}

fn bad_characters(name: &str) -> GlueError {
    let what = "The parameter value contains one or more characters that are not valid. Parameter Name:";
    invalid(format!("{what} {name}"))
}

/// A text of these characters, from one to so many.
pub fn check_text(text: &str, name: &str, longest: usize, also: &[u8]) -> Result<(), GlueError> {
    if text.is_empty() || text.len() > longest {
        return Err(too_long(name));
    }
    match text.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte)) {
        true => Ok(()),
        false => Err(bad_characters(name)),
    }
}

pub fn check_name(text: &str, name: &str) -> Result<(), GlueError> {
    check_text(text, name, LONGEST_NAME, b"-_$#.")
}

pub fn check_description(text: Option<&str>) -> Result<(), GlueError> {
    match text {
        Some(text) if text.chars().count() > LONGEST_DESCRIPTION => Err(too_long("description")),
        Some(text) if text.chars().any(|one| one.is_control() && !"\r\n\t".contains(one)) => {
            Err(bad_characters("description"))
        }
        _ => Ok(()),
    }
}

pub fn check_definition(text: &str) -> Result<(), GlueError> {
    match text.chars().count() > LONGEST_DEFINITION || text.trim().is_empty() {
        true => Err(too_long("schemaDefinition")),
        false => Ok(()),
    }
}

pub fn check_tags(tags: Option<&Json>) -> Result<(), GlueError> {
    match tags.and_then(Json::as_object) {
        Some(tags) if tags.len() > MOST_TAGS => {
            Err(invalid(format!("New Tags cannot be empty or more than {MOST_TAGS}")))
        }
        _ => Ok(()),
    }
}

pub fn format(name: &str) -> Result<Format, GlueError> {
    let all = [Format::Avro, Format::Json, Format::Protobuf];
    all.into_iter().find(|one| one.name() == name).ok_or_else(|| invalid("Data format is not valid."))
}

pub fn mode(name: &str) -> Result<Mode, GlueError> {
    // `Mode::parse` understands names that are not Glue's.
    Mode::ALL.into_iter().find(|mode| mode.glue_name() == name).ok_or_else(|| invalid("Compatibility is not valid."))
}

pub fn registry_arn(name: &str) -> String {
    format!("{ARN}registry/{name}")
}

pub fn schema_arn(registry: &str, name: &str) -> String {
    format!("{ARN}schema/{registry}/{name}")
}

/// What comes after `kind/` in an ARN of Glue, of any region and account.
fn behind<'a>(arn: &'a str, kind: &str, name: &str) -> Result<&'a str, GlueError> {
    let is_of_glue = arn.starts_with("arn:aws") && arn.split(':').nth(2) == Some("glue");
    let rest = arn.splitn(6, ':').nth(5).and_then(|rest| rest.strip_prefix(kind)?.strip_prefix('/'));
    rest.filter(|_| is_of_glue).ok_or_else(|| bad_characters(name))
}

impl RegistryId {
    fn name(&self) -> Result<&str, GlueError> {
        match (&self.registry_name, &self.registry_arn) {
            (Some(_), Some(_)) => {
                Err(invalid("One of registryName or registryArn has to be provided, both cannot be provided."))
            }
            (Some(name), None) => check_name(name, "registryName").map(|()| name.as_str()),
            (None, Some(arn)) => behind(arn, "registry", "registryArn"),
            (None, None) => Ok(DEFAULT_REGISTRY),
        }
    }

    pub fn found<'a>(&self, state: &'a State) -> Result<(&'a str, &'a Registry), GlueError> {
        let name = self.name()?;
        let found = state.registries.get_key_value(name);
        found.map(|(name, registry)| (name.as_str(), registry)).ok_or_else(|| no_registry(name))
    }
}

impl SchemaId {
    pub fn found<'a>(&self, state: &'a State) -> Result<Found<'a>, GlueError> {
        let (registry, name) = match (&self.schema_arn, &self.registry_name, &self.schema_name) {
            (Some(arn), None, None) => {
                let names = behind(arn, "schema", "schemaArn")?.split_once('/');
                names.ok_or_else(|| bad_characters("schemaArn"))?
            }
            (None, Some(registry), Some(name)) => {
                check_name(registry, "registryName")?;
                check_name(name, "schemaName")?;
                (registry.as_str(), name.as_str())
            }
            (Some(_), _, _) => {
                let what =
                    "One of (registryName and schemaName) or schemaArn has to be provided, both cannot be provided.";
                return Err(invalid(what));
            }
            (None, _, _) => {
                return Err(invalid("At least one of (registryName and schemaName) or schemaArn has to be provided."));
            }
        };
        let found = || {
            let (registry, home) = state.registries.get_key_value(registry)?;
            let (name, schema) = home.schemas.get_key_value(name)?;
            Some(Found { registry, name, schema })
        };
        found().ok_or_else(|| no_schema(registry, name))
    }
}

impl Number {
    pub fn found(self, of: Found<'_>) -> Result<FoundVersion<'_>, GlueError> {
        let found = match (self.version_number, self.latest_version.unwrap_or(false)) {
            (Some(_), true) => return Err(invalid("Only one of VersionNumber or LatestVersion is required.")),
            (Some(number), false) => of.schema.versions.get_key_value(&number).map(|(number, one)| (*number, one)),
            (None, true) => of.schema.latest(),
            (None, false) => return Err(invalid("One of version number (or) latest version is required.")),
        };
        let (number, version) = found.ok_or_else(|| {
            let wanted = self.version_number.map_or("null".to_owned(), |number| number.to_string());
            let latest = self.latest_version.unwrap_or(false);
            no_version(format!(
                "RegistryName: {}, SchemaName: {}, VersionNumber: {wanted}, isLatestVersion: {latest}",
                of.registry, of.name
            ))
        })?;
        Ok(FoundVersion { of, number, version })
    }

    pub fn is_latest(self) -> bool {
        self.latest_version.unwrap_or(false)
    }
}

impl VersionId {
    pub fn found<'a>(&self, state: &'a State) -> Result<FoundVersion<'a>, GlueError> {
        match (&self.schema_version_id, &self.schema_id, self.schema_version_number) {
            (Some(id), None, None) => by_id(state, id),
            (Some(_), _, _) => {
                Err(invalid("No other input parameters can be specified when fetching by SchemaVersionId."))
            }
            (None, Some(schema), Some(number)) => number.found(schema.found(state)?),
            (None, Some(_), None) => Err(invalid("One of version number (or) latest version is required.")),
            (None, None, _) => {
                Err(invalid("At least one of (registryName and schemaName) or schemaArn has to be provided."))
            }
        }
    }
}

fn by_id<'a>(state: &'a State, id: &str) -> Result<FoundVersion<'a>, GlueError> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_dash = |place: usize| [8, 13, 18, 23].contains(&place);
    let fits = |(place, byte): (usize, u8)| if is_dash(place) { byte == b'-' } else { is_hex(byte) };
    if id.len() != 36 || !id.bytes().enumerate().all(fits) {
        return Err(bad_characters("schemaVersionId"));
    }
    let found = || {
        let place = state.place(id)?;
        let (registry, home) = state.registries.get_key_value(&place.registry)?;
        let (name, schema) = home.schemas.get_key_value(&place.schema)?;
        let version = schema.versions.get(&place.number)?;
        Some(FoundVersion { of: Found { registry, name, schema }, number: place.number, version })
    };
    found().ok_or_else(|| no_version(format!("SchemaVersionId: {id}")))
}

impl Page {
    /// So many at most, and after which key.
    fn window(&self, most: usize) -> Result<(usize, Option<String>), GlueError> {
        let count = self.max_results.unwrap_or(PAGE);
        if !(1..=most).contains(&count) {
            return Err(invalid(format!("MaxResults is from 1 to {most}, not {count}")));
        }
        let read = |token: &String| URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let after = match &self.next_token {
            Some(token) => Some(read(token).ok_or_else(|| invalid("NextToken is not one of this service"))?),
            None => None,
        };
        Ok((count, after))
    }

    /// The part of a list that is asked for, under `name`, and the token of the next one. Keys come in their order.
    pub fn of(&self, name: &str, most: usize, all: impl Iterator<Item = (String, Json)>) -> Result<Json, GlueError> {
        let (count, after) = self.window(most)?;
        let mut rest = all.filter(|(key, _)| after.as_ref().is_none_or(|after| key > after)).peekable();
        let (mut part, mut last) = (Vec::new(), String::new());
        while part.len() < count
            && let Some((key, item)) = rest.next()
        {
            part.push(item);
            last = key;
        }
        let mut answer = json!({ name: part });
        if rest.peek().is_some() {
            answer["NextToken"] = URL_SAFE_NO_PAD.encode(last).into();
        }
        Ok(answer)
    }
}

/// Adds what is there.
pub fn maybe(answer: &mut Json, name: &str, value: Option<impl Into<Json>>) {
    if let Some(value) = value {
        answer[name] = value.into();
    }
}

/// A time as Glue writes it: `2026-01-31T12:00:00.000Z`.
pub fn time(at: Millis) -> String {
    let (days, within) = (at / 86_400_000, at % 86_400_000);
    // Howard Hinnant's days from a civil calendar, for years after 1970.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (within / 3_600_000, within / 60_000 % 60);
    let (second, milli) = (within / 1000 % 60, within % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}
