//! Calls about what is said of a version: PutSchemaVersionMetadata, RemoveSchemaVersionMetadata, QuerySchemaVersionMetadata.
//!
//! The rules: a version has at most ten pairs of key and value, each once; of a key with more values the newest comes first. Metadata
//! make no other version of it, and are gone with it.

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::Inner;
use super::error::{GlueError, GlueErrorKind, exists, full};
use super::request::{FoundVersion, Page, VersionId, check_text, maybe, needed, parse, schema_arn, time};
use super::state::{Entry, Pair};
use crate::store::Millis;

const MOST_PAIRS: usize = 10;
/// How many keys a page may have.
const MOST_LISTED: usize = 50;

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct KeyValue {
    metadata_key: Option<String>,
    metadata_value: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Call {
    metadata_key_value: Option<KeyValue>,
    metadata_list: Vec<KeyValue>,
    #[serde(flatten)]
    version: VersionId,
    #[serde(flatten)]
    page: Page,
}

impl Call {
    fn pair(&self) -> Result<(&str, &str), GlueError> {
        let KeyValue { metadata_key, metadata_value } = needed(self.metadata_key_value.as_ref(), "MetadataKeyValue")?;
        let (key, value) =
            (needed(metadata_key.as_deref(), "MetadataKey")?, needed(metadata_value.as_deref(), "MetadataValue")?);
        // As Glue's pattern reads: from + to =, and these.
        let also = b"+,-./0123456789:;<=_@";
        check_text(key, "key", 128, also)?;
        check_text(value, "value", 256, also)?;
        Ok((key, value))
    }

    /// The answer to a change.
    fn answer(&self, found: FoundVersion<'_>, key: &str, value: &str) -> Json {
        let mut answer = json!({ "MetadataKey": key, "MetadataValue": value });
        answer["SchemaVersionId"] = found.version.id.as_str().into();
        answer["LatestVersion"] = self.version.schema_version_number.is_some_and(|number| number.is_latest()).into();
        answer["VersionNumber"] = found.number.into();
        if self.version.schema_id.is_some() {
            answer["SchemaArn"] = schema_arn(found.of.registry, found.of.name).into();
            maybe(&mut answer, "SchemaName", Some(found.of.name));
            maybe(&mut answer, "RegistryName", Some(found.of.registry));
        }
        answer
    }
}

pub fn put(inner: &mut Inner, now: Millis, body: &Json) -> Result<Json, GlueError> {
    let call: Call = parse(body)?;
    let (key, value) = call.pair()?;
    let found = call.version.found(&inner.state)?;
    let (id, mut metadata) = (found.version.id.clone(), found.version.metadata.clone());
    if metadata.iter().any(|pair| pair.key == key && pair.value == value) {
        return Err(exists(format!(
            "Resource already exist for schema version id: {id}, metadata key: {key}, metadata value: {value}"
        )));
    }
    if metadata.len() >= MOST_PAIRS {
        return Err(full("Schema Version Metadata", MOST_PAIRS));
    }
    let answer = call.answer(found, key, value);
    metadata.push(Pair { key: key.to_owned(), value: value.to_owned(), created: now });
    inner.commit(vec![Entry::Metadata { id, metadata }])?;
    Ok(answer)
}

pub fn remove(inner: &mut Inner, body: &Json) -> Result<Json, GlueError> {
    let call: Call = parse(body)?;
    let (key, value) = call.pair()?;
    let found = call.version.found(&inner.state)?;
    let (id, mut metadata) = (found.version.id.clone(), found.version.metadata.clone());
    let before = metadata.len();
    metadata.retain(|pair| pair.key != key || pair.value != value);
    if metadata.len() == before {
        let what =
            format!("Resource is not found. SchemaVersionId: {id}, metadata key: {key}, metadata value: {value}");
        return Err(GlueError::new(GlueErrorKind::EntityNotFound, what));
    }
    let answer = call.answer(found, key, value);
    inner.commit(vec![Entry::Metadata { id, metadata }])?;
    Ok(answer)
}

pub fn query(inner: &Inner, body: &Json) -> Result<Json, GlueError> {
    let call: Call = parse(body)?;
    let found = call.version.found(&inner.state)?;
    let is_wanted = |pair: &Pair| {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let mut wishes = call.metadata_list.iter();
        call.metadata_list.is_empty()
            || wishes.any(|wish| fits(&wish.metadata_key, &pair.key) && fits(&wish.metadata_value, &pair.value))
    };
    let mut by_key: std::collections::BTreeMap<&str, Vec<Json>> = std::collections::BTreeMap::new();
    for pair in found.version.metadata.iter().rev().filter(|pair| is_wanted(pair)) {
        let shown = json!({ "MetadataValue": pair.value, "CreatedTime": time(pair.created) });
        by_key.entry(&pair.key).or_default().push(shown);
    }
    let all = by_key.into_iter().map(|(key, mut values)| {
        let mut info = values.remove(0);
        if !values.is_empty() {
            info["OtherMetadataValueList"] = values.into();
        }
        (key.to_owned(), json!([key, info]))
    });
    let mut answer = call.page.of("MetadataInfoMap", MOST_LISTED, all)?;
    let listed = answer["MetadataInfoMap"].take();
    let entries = listed.as_array().into_iter().flatten();
    let map: Map<String, Json> =
        entries.filter_map(|entry| Some((entry[0].as_str()?.to_owned(), entry[1].clone()))).collect();
    answer["MetadataInfoMap"] = map.into();
    answer["SchemaVersionId"] = found.version.id.as_str().into();
    Ok(answer)
}
