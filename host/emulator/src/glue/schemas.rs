//! Calls about schemas: CreateSchema, GetSchema, ListSchemas, UpdateSchema, DeleteSchema.
//!
//! The rules: a schema is made with its first version, which is the checkpoint; a new compatibility needs a checkpoint with it, and is not
//! held against what there is already. Tags are given back once and not kept.

use pelton_schema::Mode;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::Inner;
use super::error::{GlueError, exists, full, invalid};
use super::request::{
    Found, Number, Page, RegistryId, SchemaId, check_description, check_name, check_tags, format, maybe, mode, needed,
    parse, registry_arn, schema_arn, time,
};
use super::state::{About, Entry, Schema, Settings, Version, id_of};
use super::versions::{check_room, valid};
use crate::store::Millis;

const MOST_SCHEMAS: usize = 10_000;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Create {
    registry_id: Option<RegistryId>,
    schema_name: Option<String>,
    data_format: Option<String>,
    compatibility: Option<String>,
    description: Option<String>,
    tags: Option<Json>,
    schema_definition: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Named {
    schema_id: Option<SchemaId>,
    schema_version_number: Option<Number>,
    compatibility: Option<String>,
    description: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct List {
    registry_id: Option<RegistryId>,
    #[serde(flatten)]
    page: Page,
}

impl Named {
    fn id(&self) -> Result<&SchemaId, GlueError> {
        needed(self.schema_id.as_ref(), "SchemaId")
    }
}

fn shown(registry: &str, name: &str, schema: &Schema) -> Json {
    let Settings { about, format, mode, checkpoint, last } = &schema.settings;
    let mut shown = json!({
        "RegistryName": registry,
        "RegistryArn": registry_arn(registry),
        "SchemaName": name,
        "SchemaArn": schema_arn(registry, name),
        "DataFormat": format.name(),
        "Compatibility": mode.glue_name(),
        "SchemaCheckpoint": checkpoint,
        "NextSchemaVersion": last + 1,
        "SchemaStatus": "AVAILABLE",
    });
    maybe(&mut shown, "LatestSchemaVersion", schema.latest().map(|(number, _)| number));
    maybe(&mut shown, "Description", about.description.as_deref());
    shown
}

pub fn create(inner: &mut Inner, now: Millis, body: &Json) -> Result<Json, GlueError> {
    let call: Create = parse(body)?;
    let (registry, home) = call.registry_id.unwrap_or_default().found(&inner.state)?;
    let registry = registry.to_owned();
    let name = needed(call.schema_name, "SchemaName")?;
    check_name(&name, "schemaName")?;
    let format = format(&needed(call.data_format, "DataFormat")?)?;
    let mode = call.compatibility.as_deref().map_or(Ok(Mode::Backward), mode)?;
    check_description(call.description.as_deref())?;
    check_tags(call.tags.as_ref())?;
    let definition = needed(call.schema_definition, "SchemaDefinition")?;
    valid(format, &definition)?;
    if home.schemas.contains_key(&name) {
        return Err(exists(format!("Schema already exists. SchemaName: {name}")));
    }
    if inner.state.schema_count() >= MOST_SCHEMAS {
        return Err(full("schemas", MOST_SCHEMAS));
    }
    check_room(&inner.state, &definition)?;
    let about = About { description: call.description, created: now, updated: now };
    let settings = Settings { about, format, mode, checkpoint: 1, last: 1 };
    let id = id_of(&registry, &name, format, &definition);
    let version = Version { id: id.clone(), definition, is_available: true, created: now, metadata: Vec::new() };
    inner.commit(vec![
        Entry::Schema { registry: registry.clone(), name: name.clone(), settings },
        Entry::Version { registry: registry.clone(), schema: name.clone(), number: 1, version },
    ])?;
    let schema = inner.state.schema(&registry, &name);
    let mut answer = schema.map_or_else(|| json!({}), |schema| shown(&registry, &name, schema));
    answer["SchemaVersionId"] = id.into();
    answer["SchemaVersionStatus"] = "AVAILABLE".into();
    maybe(&mut answer, "Tags", call.tags);
    Ok(answer)
}

pub fn get(inner: &Inner, body: &Json) -> Result<Json, GlueError> {
    let Found { registry, name, schema } = parse::<Named>(body)?.id()?.found(&inner.state)?;
    let mut answer = shown(registry, name, schema);
    answer["CreatedTime"] = time(schema.settings.about.created).into();
    answer["UpdatedTime"] = time(schema.settings.about.updated).into();
    Ok(answer)
}

pub fn list(inner: &Inner, body: &Json) -> Result<Json, GlueError> {
    let List { registry_id, page } = parse(body)?;
    let only = match registry_id {
        Some(id) => Some(id.found(&inner.state)?.0),
        None => None,
    };
    let homes = inner.state.registries.iter().filter(|(name, _)| only.is_none_or(|only| only == name.as_str()));
    let item = |registry: &str, name: &str, Settings { about, .. }: &Settings| {
        let mut item = json!({
            "RegistryName": registry,
            "SchemaName": name,
            "SchemaArn": schema_arn(registry, name),
            "SchemaStatus": "AVAILABLE",
            "CreatedTime": time(about.created),
            "UpdatedTime": time(about.updated),
        });
        maybe(&mut item, "Description", about.description.as_deref());
        item
    };
    let all = homes.flat_map(|(registry, home)| {
        // A space sorts before all that names have, so keys are in the order of the list.
        let key = move |name: &str| format!("{registry} {name}");
        home.schemas.iter().map(move |(name, schema)| (key(name), item(registry, name, &schema.settings)))
    });
    page.of("Schemas", 100, all)
}

pub fn update(inner: &mut Inner, now: Millis, body: &Json) -> Result<Json, GlueError> {
    let call: Named = parse(body)?;
    let found = call.id()?.found(&inner.state)?;
    let mut settings = found.schema.settings.clone();
    match (call.schema_version_number, &call.compatibility) {
        (None, None) => return Err(invalid("One of VersionNumber or Compatibility has to be provided.")),
        (None, Some(_)) => {
            return Err(invalid("If Compatibility is provided, SchemaVersionNumber (a checkpoint) is also required."));
        }
        (Some(number), _) => {
            let checkpoint = number.found(found)?;
            if !checkpoint.version.is_available {
                let what = format!("Version {} is not AVAILABLE and cannot be the checkpoint.", checkpoint.number);
                return Err(invalid(what));
            }
            settings.checkpoint = checkpoint.number;
        }
    }
    if let Some(name) = &call.compatibility {
        settings.mode = mode(name)?;
    }
    check_description(call.description.as_deref())?;
    settings.about.description = call.description.clone().or(settings.about.description);
    settings.about.updated = now;
    let Found { registry, name, .. } = found;
    let answer = json!({ "RegistryName": registry, "SchemaName": name, "SchemaArn": schema_arn(registry, name) });
    let entry = Entry::Schema { registry: registry.to_owned(), name: name.to_owned(), settings };
    inner.commit(vec![entry])?;
    Ok(answer)
}

pub fn delete(inner: &mut Inner, body: &Json) -> Result<Json, GlueError> {
    let call: Named = parse(body)?;
    let Found { registry, name, .. } = call.id()?.found(&inner.state)?;
    let answer = json!({ "SchemaName": name, "SchemaArn": schema_arn(registry, name), "Status": "DELETING" });
    let entry = Entry::DropSchema { registry: registry.to_owned(), name: name.to_owned() };
    inner.commit(vec![entry])?;
    Ok(answer)
}
