//! Doing a call, and how its answer looks.
//!
//! The rule: an answer has the members that Confluent's has under these names; what is empty there is left out here too.
//! Left to others: understanding a request (`request`), and HTTP itself (`http`).

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value as Json, json};

use super::{
    content::{Content, Guid, Kind},
    refusal::Refusal,
    register::{After, Registered},
    request::{Call, Draft, Query, Wanted},
    state::{Access, Config, LAST_NUMBER, Schema, State, Version},
    store::Store,
};

/// Schemas in a list at most, as at Confluent.
const MOST_SCHEMAS: usize = 1000;
/// Bytes of schemas in a list: the first one is always there.
const MOST_BYTES: usize = 32 << 20;
/// Names or numbers in a list.
const MOST_NAMES: usize = 500_000;

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Json(Json),
    /// a schema as it is
    Text(String),
}

impl State {
    /// A version of a subject.
    pub fn version(&self, subject: &str, wanted: Wanted, with_deleted: bool) -> Result<(u32, &Version), Refusal> {
        let home = self.subject(subject).filter(|home| home.is_shown(with_deleted));
        let home = home.ok_or_else(|| Refusal::no_subject(subject))?;
        let found = match wanted {
            Wanted::Latest => home.versions(false).next_back(),
            Wanted::Number(number) => {
                let version = home.versions.get(&number).filter(|version| with_deleted || !version.is_deleted);
                version.map(|version| (number, version))
            }
        };
        found.ok_or_else(|| Refusal::no_version(wanted))
    }

    fn by_id(&self, id: &str) -> Result<&Arc<Schema>, Refusal> {
        let number = id.parse().ok().filter(|number| *number <= LAST_NUMBER);
        number.and_then(|number| self.schema(number)).ok_or_else(|| Refusal::no_schema(shown(id)))
    }

    fn by_guid(&self, guid: &str) -> Result<&Arc<Schema>, Refusal> {
        let id = Guid::parse(guid).and_then(|guid| self.id_of(guid));
        id.and_then(|id| self.schema(id)).ok_or_else(|| Refusal::no_schema(shown(guid)))
    }

    /// A version with its schema.
    fn whole(&self, subject: &str, (number, version): (u32, &Version)) -> Result<Json, Refusal> {
        let schema = self.schema(version.id);
        let schema = schema.ok_or_else(|| Refusal::store(format!("the schema {} is not there", version.id)))?;
        let mut out = json!({ "subject": subject, "version": number, "id": version.id, "guid": schema.guid });
        put_content(&mut out, &schema.content);
        if version.is_deleted {
            out["deleted"] = true.into();
        }
        Ok(out)
    }

    fn whole_of(&self, subject: &str, number: u32) -> Result<Json, Refusal> {
        self.whole(subject, self.version(subject, Wanted::Number(number), true)?)
    }

    fn schemas_of(&self, query: &Query) -> Result<Json, Refusal> {
        let (with_deleted, is_latest) = (query.flag("deleted"), query.flag("latestOnly"));
        let chosen = self.named(query).flat_map(|(name, subject)| {
            let skipped = if is_latest { subject.versions(with_deleted).count().saturating_sub(1) } else { 0 };
            subject.versions(with_deleted).skip(skipped).map(move |version| (name, version))
        });
        let (mut list, mut bytes) = (Vec::new(), 0);
        for (name, version) in query.page(chosen, MOST_SCHEMAS)? {
            bytes += self.schema(version.1.id).map_or(0, |schema| schema.content.size());
            if bytes > MOST_BYTES && !list.is_empty() {
                break;
            }
            list.push(self.whole(name, version)?);
        }
        Ok(list.into())
    }

    /// Subjects of a prefix.
    fn named<'a>(&'a self, query: &'a Query) -> impl Iterator<Item = (&'a String, &'a super::state::Subject)> {
        // Of contexts there is the default one: all of them are that one.
        let prefix = query.text("subjectPrefix").unwrap_or_default();
        let prefix = prefix.strip_prefix(":*:").or_else(|| prefix.strip_prefix(":.:")).unwrap_or(prefix);
        let from = (std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded);
        self.subjects().range::<str, _>(from).take_while(move |(name, _)| name.starts_with(prefix))
    }

    fn subjects_of(&self, query: &Query) -> Result<Json, Refusal> {
        let (with_deleted, is_only) = (query.flag("deleted"), query.flag("deletedOnly"));
        let is_chosen = |subject: &super::state::Subject| match is_only {
            true => !subject.is_shown(false),
            false => subject.is_shown(with_deleted),
        };
        let names = self.named(query).filter(|(_, subject)| is_chosen(subject)).map(|(name, _)| name);
        Ok(json!(query.page(names, MOST_NAMES)?))
    }

    fn versions_of(&self, subject: &str, query: &Query) -> Result<Json, Refusal> {
        let is_only = query.flag("deletedOnly");
        let with_deleted = is_only || query.flag("deleted");
        let home = self.subject(subject).filter(|home| home.is_shown(with_deleted));
        let home = home.ok_or_else(|| Refusal::no_subject(subject))?;
        let versions = home.versions(with_deleted).filter(|(_, version)| !is_only || version.is_deleted);
        Ok(json!(query.page(versions.map(|(number, _)| number), MOST_NAMES)?))
    }

    /// Where an id is used: subjects with their versions.
    fn used(&self, id: &str, query: &Query) -> Result<Vec<(String, u32)>, Refusal> {
        let id = self.by_id(id)?.id;
        let (with_deleted, subject) = (query.flag("deleted"), query.text("subject"));
        let uses = self.uses(id).filter(|(_, _, version)| with_deleted || !version.is_deleted);
        let uses = uses.filter(|(name, ..)| subject.is_none_or(|subject| subject == *name));
        query.page(uses.map(|(name, number, _)| (name.to_owned(), number)), MOST_NAMES)
    }

    /// The newest version whose metadata have these properties.
    fn with_properties(&self, subject: &str, query: &Query) -> Result<Json, Refusal> {
        let (with_deleted, keys) = (query.flag("deleted"), query.all("key"));
        let wanted: Vec<(&str, &str)> = keys.zip(query.all("value")).collect();
        let home = self.subject(subject).filter(|home| home.is_shown(with_deleted));
        let home = home.ok_or_else(|| Refusal::no_subject(subject))?;
        let has = |(_, version): &(u32, &Version)| {
            let schema = self.schema(version.id);
            let properties = schema.map(|schema| &schema.content.metadata.properties);
            properties.is_some_and(|known| {
                wanted.iter().all(|(key, value)| known.get(*key).is_some_and(|known| known == value))
            })
        };
        let found = home.versions(with_deleted).rev().find(has);
        self.whole(subject, found.ok_or_else(Refusal::not_under_subject)?)
    }
}

/// The start of a text that somebody sent.
fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

fn put_content(out: &mut Json, content: &Content) {
    if content.kind != Kind::Avro {
        out["schemaType"] = content.kind.name().into();
    }
    if !content.references.is_empty() {
        out["references"] = json!(content.references);
    }
    if !content.metadata.is_empty() {
        out["metadata"] = json!(content.metadata);
    }
    out["schema"] = content.text.as_str().into();
}

fn config_json(config: Config, name: &str) -> Json {
    let mut out = json!({});
    if let Some(level) = config.level.and_then(pelton_schema::Mode::confluent_name) {
        out[name] = level.into();
    }
    if let Some(normalize) = config.normalize {
        out["normalize"] = normalize.into();
    }
    out
}

/// What holds where nothing was set.
fn with_level(config: Config) -> Config {
    Config { level: Some(config.level.unwrap_or_default()), ..config }
}

fn mode_json(mode: Access) -> Json {
    json!({ "mode": mode.name() })
}

impl Store {
    /// Does a call.
    pub fn call(&self, call: &Call, query: &Query, body: &[u8]) -> Result<Reply, Refusal> {
        match call {
            Call::RegisterSchema(subject) => {
                let draft = Draft::parse(body)?;
                let Registered { id, version, guid } = self.register(subject, &draft, query.flag("normalize"))?;
                Ok(Reply::Json(json!({ "id": id, "version": version, "guid": guid })))
            }
            Call::LookUpSchema(subject) => {
                let (normalize, with_deleted) = (query.flag("normalize"), query.flag("deleted"));
                let found = self.look_up(subject, &Draft::parse(body)?, normalize, with_deleted)?;
                Ok(Reply::Json(self.read().whole_of(subject, found.version)?))
            }
            Call::CheckCompatibility(subject, version) => {
                self.check(subject, version.as_deref(), query, body).map(Reply::Json)
            }
            Call::DeleteSubject(subject) => {
                Ok(Reply::Json(json!(self.delete_subject(subject, query.flag("permanent"))?)))
            }
            Call::DeleteVersion(subject, version) => {
                let wanted = Wanted::parse(version)?;
                Ok(Reply::Json(json!(self.delete_version(subject, wanted, query.flag("permanent"))?)))
            }
            Call::GetSchemaText(id) => {
                query.check_format()?;
                Ok(Reply::Text(self.read().by_id(id)?.content.text.clone()))
            }
            Call::GetVersionText(subject, version) => {
                query.check_format()?;
                let state = self.read();
                let (_, version) = state.version(subject, Wanted::parse(version)?, query.flag("deleted"))?;
                Ok(Reply::Text(state.schema(version.id).map(|schema| schema.content.text.clone()).unwrap_or_default()))
            }
            Call::GetConfig(_)
            | Call::SetConfig(_)
            | Call::DeleteConfig(_)
            | Call::GetMode(_)
            | Call::SetMode(_)
            | Call::DeleteMode(_) => self.setting(call, query, body).map(Reply::Json),
            Call::GetLabels(subject, version)
            | Call::SetLabels(subject, version)
            | Call::DeleteLabels(subject, version) => self.labels(call, subject, version, body).map(Reply::Json),
            _ => answer(&self.read(), call, query).map(Reply::Json),
        }
    }

    fn check(&self, subject: &str, version: Option<&str>, query: &Query, body: &[u8]) -> Result<Json, Refusal> {
        let is_verbose = query.flag("verbose");
        let after = match version.map(Wanted::parse).transpose()? {
            None => After::All,
            Some(wanted) => {
                let state = self.read();
                let found = state.version(subject, wanted, false);
                let found = found.map(|(number, version)| Some((number, Arc::clone(state.schema(version.id)?))));
                match (found, wanted) {
                    (Ok(found), _) => After::One(found),
                    (Err(_), Wanted::Latest) => After::One(None),
                    (Err(_), Wanted::Number(number)) => return Err(Refusal::no_version(number)),
                }
            }
        };
        let reasons = Draft::parse(body).and_then(|draft| self.would_refuse(subject, &draft, after));
        let reasons = match reasons {
            Err(refusal) if is_verbose && refusal.code == 42201 => vec![refusal.message],
            reasons => reasons?,
        };
        let mut out = json!({ "is_compatible": reasons.is_empty() });
        if is_verbose {
            out["messages"] = json!(reasons);
        }
        Ok(out)
    }

    fn setting(&self, call: &Call, query: &Query, body: &[u8]) -> Result<Json, Refusal> {
        let in_scope = query.flag("defaultToGlobal");
        Ok(match call {
            Call::GetConfig(None) => {
                config_json(with_level(self.read().config(None).unwrap_or_default()), "compatibilityLevel")
            }
            Call::GetConfig(Some(subject)) => {
                let state = self.read();
                let (level, normalize) = state.config_in_scope(Some(subject));
                let own = state.config(Some(subject));
                let is_said = own.or(state.config(None)).is_some_and(|config| config.normalize.is_some());
                let all = Config { level: Some(level), normalize: is_said.then_some(normalize) };
                let config = if in_scope { Some(all) } else { own };
                config_json(config.ok_or_else(|| Refusal::no_level(subject))?, "compatibilityLevel")
            }
            Call::SetConfig(subject) => config_json(self.set_config(subject.as_deref(), body)?, "compatibility"),
            Call::DeleteConfig(subject) => {
                let old = self.delete_config(subject.as_deref())?;
                config_json(if subject.is_none() { with_level(old) } else { old }, "compatibilityLevel")
            }
            Call::GetMode(None) => mode_json(self.read().mode_in_scope(None)),
            Call::GetMode(Some(subject)) => {
                let state = self.read();
                let own = state.mode(Some(subject));
                let mode = if in_scope { Some(state.mode_in_scope(Some(subject))) } else { own };
                mode_json(mode.ok_or_else(|| Refusal::no_mode(subject))?)
            }
            Call::SetMode(subject) => mode_json(self.set_mode(subject.as_deref(), body, query.flag("force"))?),
            Call::DeleteMode(subject) => mode_json(self.delete_mode(subject.as_deref())?),
            _ => return Err(Refusal::new(404, "HTTP 404 Not Found")),
        })
    }

    fn labels(&self, call: &Call, subject: &str, version: &str, body: &[u8]) -> Result<Json, Refusal> {
        let wanted = Wanted::parse(version)?;
        let labels = match call {
            Call::GetLabels(..) => self.read().version(subject, wanted, true)?.1.labels.clone(),
            Call::SetLabels(..) => {
                let labels = serde_json::from_slice(body);
                let labels =
                    labels.map_err(|bad| Refusal::new(422, format!("labels are texts by their keys: {bad}")))?;
                self.set_labels(subject, wanted, labels)?
            }
            _ => self.set_labels(subject, wanted, BTreeMap::new())?,
        };
        Ok(json!(labels))
    }
}

/// Calls that change nothing and look at the state alone.
fn answer(state: &State, call: &Call, query: &Query) -> Result<Json, Refusal> {
    Ok(match call {
        Call::GetSchemas => state.schemas_of(query)?,
        Call::GetSchemaTypes => json!(Kind::ALL.map(Kind::name)),
        Call::GetSchema(id) => {
            query.check_format()?;
            let schema = state.by_id(id)?;
            let mut out = json!({ "guid": schema.guid });
            put_content(&mut out, &schema.content);
            if query.flag("fetchMaxId") {
                out["maxId"] = state.last_id().into();
            }
            out
        }
        Call::GetSchemaByGuid(guid) => {
            query.check_format()?;
            let schema = state.by_guid(guid)?;
            let mut out = json!({ "guid": schema.guid });
            put_content(&mut out, &schema.content);
            out
        }
        Call::GetGuidIds(guid) => json!([{ "context": ".", "id": state.by_guid(guid)?.id }]),
        Call::GetSchemaSubjects(id) => {
            let mut names: Vec<String> = state.used(id, query)?.into_iter().map(|(name, _)| name).collect();
            names.dedup();
            json!(names)
        }
        Call::GetSchemaVersions(id) => {
            let one = |(subject, version)| json!({ "subject": subject, "version": version });
            state.used(id, query)?.into_iter().map(one).collect()
        }
        Call::ListSubjects => state.subjects_of(query)?,
        Call::ListVersions(subject) => state.versions_of(subject, query)?,
        Call::GetVersion(subject, version) => {
            query.check_format()?;
            let wanted = Wanted::parse(version)?;
            state.whole(subject, state.version(subject, wanted, query.flag("deleted"))?)?
        }
        Call::FindVersion(subject) => state.with_properties(subject, query)?,
        Call::GetReferencedBy(subject, version) => {
            let (number, _) = state.version(subject, Wanted::parse(version)?, true)?;
            json!(query.page(state.referrers(subject, number, false).into_iter(), MOST_NAMES)?)
        }
        Call::ListContexts => json!(["."]),
        Call::GetServerId => {
            json!({ "scope": { "path": [], "clusters": { "schema-registry-cluster": "pelton" } }, "id": "" })
        }
        Call::GetServerVersion => json!({ "version": env!("CARGO_PKG_VERSION"), "commitId": "pelton" }),
        _ => json!({}),
    })
}
