//! Calls about registries: CreateRegistry, GetRegistry, ListRegistries, UpdateRegistry, DeleteRegistry.
//!
//! A registry is AVAILABLE when the call that makes it answers, and gone with its schemas when the call that deletes it answers, except
//! for `default-registry`, which is there again, empty. Tags are given back once and not kept.

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::Inner;
use super::error::{GlueError, exists, full};
use super::request::{
    Page, RegistryId, check_description, check_name, check_tags, maybe, needed, parse, registry_arn, time,
};
use super::state::{About, DEFAULT_REGISTRY, Entry};
use crate::store::Millis;

const MOST_REGISTRIES: usize = 100;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Create {
    registry_name: Option<String>,
    description: Option<String>,
    tags: Option<Json>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Named {
    registry_id: Option<RegistryId>,
    description: Option<String>,
}

impl Named {
    fn id(&self) -> Result<&RegistryId, GlueError> {
        needed(self.registry_id.as_ref(), "RegistryId")
    }
}

pub fn create(inner: &mut Inner, now: Millis, body: &Json) -> Result<Json, GlueError> {
    let Create { registry_name, description, tags } = parse(body)?;
    let name = needed(registry_name, "RegistryName")?;
    check_name(&name, "registryName")?;
    check_description(description.as_deref())?;
    check_tags(tags.as_ref())?;
    if inner.state.registries.contains_key(&name) {
        return Err(exists(format!("Registry already exists. RegistryName: {name}")));
    }
    if inner.state.registries.len() >= MOST_REGISTRIES {
        return Err(full("registries", MOST_REGISTRIES));
    }
    let mut answer = json!({ "RegistryName": name, "RegistryArn": registry_arn(&name) });
    maybe(&mut answer, "Description", description.clone());
    maybe(&mut answer, "Tags", tags);
    let about = About { description, created: now, updated: now };
    inner.commit(vec![Entry::Registry { name, about }])?;
    Ok(answer)
}

fn shown(name: &str, about: &About) -> Json {
    let mut shown = json!({
        "RegistryName": name,
        "RegistryArn": registry_arn(name),
        "Status": "AVAILABLE",
        "CreatedTime": time(about.created),
        "UpdatedTime": time(about.updated),
    });
    maybe(&mut shown, "Description", about.description.as_deref());
    shown
}

pub fn get(inner: &Inner, body: &Json) -> Result<Json, GlueError> {
    let (name, registry) = parse::<Named>(body)?.id()?.found(&inner.state)?;
    Ok(shown(name, &registry.about))
}

pub fn list(inner: &Inner, body: &Json) -> Result<Json, GlueError> {
    let all = inner.state.registries.iter().map(|(name, registry)| (name.clone(), shown(name, &registry.about)));
    parse::<Page>(body)?.of("Registries", 100, all)
}

pub fn update(inner: &mut Inner, now: Millis, body: &Json) -> Result<Json, GlueError> {
    let call: Named = parse(body)?;
    let (name, registry) = call.id()?.found(&inner.state)?;
    let description = needed(call.description.clone(), "Description")?;
    check_description(Some(&description))?;
    let about = About { description: Some(description), created: registry.about.created, updated: now };
    let answer = json!({ "RegistryName": name, "RegistryArn": registry_arn(name) });
    let entry = Entry::Registry { name: name.to_owned(), about };
    inner.commit(vec![entry])?;
    Ok(answer)
}

pub fn delete(inner: &mut Inner, now: Millis, body: &Json) -> Result<Json, GlueError> {
    let call: Named = parse(body)?;
    let (name, _) = call.id()?.found(&inner.state)?;
    let name = name.to_owned();
    let answer = json!({ "RegistryName": name, "RegistryArn": registry_arn(&name), "Status": "DELETING" });
    let again = About { description: None, created: now, updated: now };
    let again = Entry::Registry { name: name.clone(), about: again };
    let is_default = name == DEFAULT_REGISTRY;
    let gone = std::iter::once(Entry::DropRegistry { name });
    inner.commit(gone.chain(is_default.then_some(again)).collect())?;
    Ok(answer)
}
