//! A registry that speaks Confluent's REST calls: Confluent's own, Apicurio, Karapace, the built-in one.
//!
//! The rule: an answer is believed when it has the form of one: JSON, of bounded size, with the status that belongs to it. A schema
//! that was asked for by its id is compared with what the registry says of the version that has this id: if the two differ,
//! there is no answer. Redirects are not followed.
//! `schema_registry_converter` makes the calls that it has; the others are made here with the same client, addresses and authorisation.

use std::{collections::HashSet, error::Error as _, sync::Arc, time::Duration};

use pelton_schema::Mode;
use reqwest::{Client, StatusCode};
use schema_registry_converter::{
    async_impl::schema_registry::{
        SrSettings, get_referenced_schema, get_schema_by_guid, get_schema_by_id, get_schema_by_subject_and_version,
    },
    error::SRCError,
    schema_registry_common::{RawError, RegisteredSchema, SchemaType},
};
use serde_json::{Value as Json, json};

use super::{
    Answer, Facts, Found, Outage, SchemaId, SchemaSource, Which, guard::Guard, guard::bounded, parsed, uuid_text,
};
use crate::{
    error::{Error, Kind, Result},
    source::Pending,
};

/// Schemas that one schema may refer to, directly and through others.
const MOST_REFERENCES: usize = 256;
/// How long one HTTP call may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// How a registry is reached.
#[derive(Clone, Default)]
pub struct Options {
    /// addresses, tried in order: `http://127.0.0.1:8081`
    pub urls: Vec<String>,
    /// basic authentication
    pub user: Option<String>,
    /// basic authentication
    pub password: Option<String>,
    /// bearer token, in place of user and password
    pub token: Option<String>,
    /// certificates in PEM that are trusted beside the system's
    pub ca_pem: Option<Vec<u8>>,
}

/// A client of a Confluent-compatible registry.
pub struct ConfluentSource {
    options: Options,
    settings: SrSettings,
    client: Client,
}

impl ConfluentSource {
    /// A client of the registry at this address, such as `http://127.0.0.1:8081`.
    pub fn new(url: &str) -> Result<Self> {
        Self::with(Options { urls: vec![url.to_owned()], ..Options::default() })
    }

    /// A client with settings of one's own.
    pub fn with(mut options: Options) -> Result<Self> {
        options.urls.iter_mut().for_each(|url| *url = url.trim_end_matches('/').to_owned());
        let first = options.urls.first().cloned().unwrap_or_default();
        let bad = |why: &dyn std::fmt::Display| {
            Error::new(Kind::Config, format!("the schema registry `{first}` cannot be used: {why}"))
        };
        let mut builder = SrSettings::new_builder(first.clone());
        for url in options.urls.iter().skip(1) {
            builder.add_url(url.clone());
        }
        match (&options.token, &options.user) {
            (Some(token), _) => {
                builder.set_token_authorization(token);
            }
            (None, Some(user)) => {
                builder.set_basic_authorization(user, options.password.as_deref());
            }
            (None, None) => {}
        }
        builder.set_timeout(CALL_LIMIT).with_middleware(Guard);
        let client = || -> std::result::Result<reqwest::ClientBuilder, reqwest::Error> {
            let mut client = Client::builder().timeout(CALL_LIMIT).redirect(reqwest::redirect::Policy::none());
            if let Some(pem) = &options.ca_pem {
                client = client.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem)?);
            }
            Ok(client)
        };
        let settings = builder.build_with(client().map_err(|e| bad(&e))?).map_err(|e| bad(&words(&e)))?;
        let client = client().and_then(reqwest::ClientBuilder::build).map_err(|e| bad(&e))?;
        Ok(Self { options, settings, client })
    }

    /// One call at every address until one of them answers. Gives back status and body.
    async fn call(&self, method: reqwest::Method, path: &str, body: Option<&Json>) -> Answer<(StatusCode, Json)> {
        let mut failed = Outage::new("it has no address");
        for url in &self.options.urls {
            let mut request = self.client.request(method.clone(), format!("{url}{path}"));
            request = request.header("Accept", "application/vnd.schemaregistry.v1+json, application/json");
            request = match (&self.options.token, &self.options.user) {
                (Some(token), _) => request.bearer_auth(token),
                (None, Some(user)) => request.basic_auth(user, self.options.password.as_ref()),
                (None, None) => request,
            };
            if let Some(body) = body {
                request =
                    request.header("Content-Type", "application/vnd.schemaregistry.v1+json").body(body.to_string());
            }
            let answered = match request.send().await {
                Ok(response) => bounded(response).await,
                Err(bad) => Err(with_causes(&bad)),
            };
            match answered {
                Ok((status, bytes)) if status.is_success() || status.is_client_error() => {
                    match serde_json::from_slice(&bytes) {
                        Ok(_) if is_refusal(status) => failed = refused(status),
                        Ok(json) => return Ok((status, json)),
                        Err(_) => failed = Outage::new(format!("{url} answers {status} and no JSON")),
                    }
                }
                Ok((status, _)) => failed = Outage::new(format!("{url} answers {status}")),
                Err(why) => failed = Outage::new(format!("{url}: {why}")),
            }
        }
        Err(failed)
    }

    async fn get(&self, path: &str) -> Answer<Option<Json>> {
        let (status, json) = self.call(reqwest::Method::GET, path, None).await?;
        match json.get("error_code").and_then(Json::as_u64) {
            _ if status.is_success() => Ok(Some(json)),
            Some(404 | 40_401..=40_499) => Ok(None),
            _ => Err(Outage::new(format!("it answers {status}: {}", said(&json)))),
        }
    }

    /// A registered schema with everything that it refers to.
    async fn complete(
        &self,
        id: SchemaId,
        found: std::result::Result<RegisteredSchema, SRCError>,
        versions: Vec<(Arc<str>, u32)>,
    ) -> Answer {
        let main = match found {
            Ok(main) => main,
            Err(failed) => return unanswered(&failed),
        };
        if main.schema_type != SchemaType::Avro {
            return Ok(Found::Unusable(format!("it is of type {:?}, not Avro", main.schema_type)));
        }
        let (mut texts, mut open, mut seen) = (Vec::new(), main.references.clone(), HashSet::new());
        while let Some(reference) = open.pop() {
            if !seen.insert((reference.subject.clone(), reference.version)) {
                continue;
            }
            if seen.len() > MOST_REFERENCES {
                return Ok(Found::Unusable(format!("it refers to more than {MOST_REFERENCES} other schemas")));
            }
            match get_referenced_schema(&self.settings, &reference).await {
                Ok(other) => {
                    open.extend(other.references);
                    texts.push(other.schema);
                }
                Err(failed) => {
                    return match unanswered(&failed)? {
                        Found::Unknown => Err(Outage::new(format!(
                            "it does not know version {} of `{}`, to which the schema refers",
                            reference.version, reference.subject
                        ))),
                        other => Ok(other),
                    };
                }
            }
        }
        texts.sort();
        texts.dedup();
        Ok(parsed(id, &main.schema, texts, versions))
    }

    /// Of which subjects a schema is which version. Older registries do not say.
    async fn places(&self, id: u32) -> Answer<Vec<(Arc<str>, u32)>> {
        let list = self.get(&format!("/schemas/ids/{id}/versions")).await?.unwrap_or_default();
        let place = |one: &Json| {
            let version = one.get("version")?.as_u64()?;
            Some((Arc::from(one.get("subject")?.as_str()?), u32::try_from(version).ok()?))
        };
        Ok(list.as_array().into_iter().flatten().filter_map(place).collect())
    }

    /// A version that has an id must have the schema of this id: a registry that says otherwise has mixed something up.
    async fn confirm(&self, id: u32, main: &RegisteredSchema, (subject, version): &(Arc<str>, u32)) -> Answer<()> {
        match get_schema_by_subject_and_version(&self.settings, subject, Some(*version)).await {
            Ok(other) if other.id == id && is_same(&other.schema, &main.schema) => Ok(()),
            Ok(_) => Err(Outage::new(format!(
                "it says two different things of schema {id}: by its id, and as version {version} of `{subject}`"
            ))),
            // Deleted in between.
            Err(failed) => unanswered(&failed).map(drop),
        }
    }

    async fn number(&self, id: u32) -> Answer {
        let main = match get_schema_by_id(id, &self.settings).await {
            Ok(main) => main,
            Err(failed) => return unanswered(&failed),
        };
        let places = self.places(id).await?;
        if let Some(place) = places.first() {
            self.confirm(id, &main, place).await?;
        }
        self.complete(SchemaId::Number(id), Ok(main), places).await
    }

    async fn subject_version(&self, subject: &str, which: Which) -> Answer {
        let number = match which {
            Which::Latest => None,
            Which::Number(number) => Some(number),
        };
        let found = get_schema_by_subject_and_version(&self.settings, &escaped(subject), number).await;
        let (id, version) = found.as_ref().map_or((0, None), |found| (found.id, found.version.or(number)));
        let places = version.map(|version| (Arc::from(subject), version)).into_iter().collect();
        self.complete(SchemaId::Number(id), found, places).await
    }

    async fn written(&self, subject: &str, text: &str, may_register: bool) -> Answer {
        let body = json!({ "schema": text, "schemaType": "AVRO" });
        let path = format!("/subjects/{}", escaped(subject));
        let (status, json) = self.call(reqwest::Method::POST, &path, Some(&body)).await?;
        let is_known = status.is_success();
        if !is_known && !may_register {
            return match json.get("error_code").and_then(Json::as_u64) {
                Some(40_401..=40_403) => Ok(Found::Unknown),
                _ => Err(Outage::new(format!("it answers {status}: {}", said(&json)))),
            };
        }
        if !is_known {
            let (status, json) = self.call(reqwest::Method::POST, &format!("{path}/versions"), Some(&body)).await?;
            if !status.is_success() {
                return Ok(Found::Unusable(said(&json)));
            }
        }
        let (status, json) = self.call(reqwest::Method::POST, &path, Some(&body)).await?;
        let number = |key: &str| json.get(key).and_then(Json::as_u64).and_then(|number| u32::try_from(number).ok());
        match (number("id"), number("version")) {
            (Some(id), Some(version)) => {
                Ok(parsed(SchemaId::Number(id), text, Vec::new(), vec![(Arc::from(subject), version)]))
            }
            _ => Err(Outage::new(format!("it answers {status} without id and version: {}", said(&json)))),
        }
    }

    async fn level(&self, subject: &str) -> Answer<Option<Mode>> {
        let own = self.get(&format!("/config/{}?defaultToGlobal=true", escaped(subject))).await?;
        let json = match own {
            Some(json) => Some(json),
            None => self.get("/config").await?,
        };
        let level = json.as_ref().and_then(|json| json.get("compatibilityLevel").or(json.get("compatibility")));
        Ok(level.and_then(Json::as_str).and_then(Mode::parse))
    }
}

/// What a client error says.
fn said(json: &Json) -> String {
    json.get("message").and_then(Json::as_str).map_or_else(|| json.to_string(), str::to_owned)
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

fn refused(status: StatusCode) -> Outage {
    Outage {
        why: format!("it refuses who asks ({status}): look at `user`, `password` and `token` of the job's `registry`"),
        is_refusal: true,
    }
}

/// A subject as a part of a path.
fn escaped(subject: &str) -> String {
    let mut out = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// Whether two texts are the same JSON.
fn is_same(one: &str, other: &str) -> bool {
    one == other
        || matches!((serde_json::from_str::<Json>(one), serde_json::from_str::<Json>(other)), (Ok(one), Ok(other)) if one == other)
}

impl SchemaSource for ConfluentSource {
    fn name(&self) -> String {
        format!("the registry {}", self.options.urls.join(", "))
    }

    fn answers(&self, id: SchemaId) -> bool {
        matches!(id, SchemaId::Number(_) | SchemaId::Guid(_))
    }

    // The free functions of the converter are used, not its decoder: that one keeps failures until told otherwise.
    fn by_id(&self, id: SchemaId) -> Pending<'_, Answer> {
        Box::pin(async move {
            match id {
                SchemaId::Number(number) => self.number(number).await,
                SchemaId::Guid(guid) => {
                    self.complete(id, get_schema_by_guid(&uuid_text(guid), &self.settings).await, Vec::new()).await
                }
                _ => Ok(Found::Unknown),
            }
        })
    }

    fn versions<'a>(&'a self, subject: &'a str) -> Pending<'a, Answer<Vec<u32>>> {
        Box::pin(async move {
            let list = self.get(&format!("/subjects/{}/versions", escaped(subject))).await?.unwrap_or_default();
            let numbers = list.as_array().into_iter().flatten();
            let mut versions: Vec<u32> = numbers.filter_map(|n| u32::try_from(n.as_u64()?).ok()).collect();
            versions.sort_unstable();
            Ok(versions)
        })
    }

    fn version<'a>(&'a self, subject: &'a str, which: Which) -> Pending<'a, Answer> {
        Box::pin(self.subject_version(subject, which))
    }

    fn mode<'a>(&'a self, subject: &'a str) -> Pending<'a, Answer<Option<Mode>>> {
        Box::pin(self.level(subject))
    }

    fn register<'a>(&'a self, subject: &'a str, text: &'a str, may_register: bool) -> Pending<'a, Answer> {
        Box::pin(self.written(subject, text, may_register))
    }

    fn facts<'a>(&'a self, subject: &'a str, version: u32) -> Pending<'a, Answer<Facts>> {
        Box::pin(async move {
            let json =
                self.get(&format!("/subjects/{}/versions/{version}", escaped(subject))).await?.unwrap_or_default();
            let mut facts = Facts::new();
            for key in ["properties", "tags", "sensitive"] {
                match &json["metadata"][key] {
                    Json::Object(entries) => facts.extend(entries.iter().map(|(name, value)| {
                        (format!("{key}.{name}"), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                    })),
                    Json::Null => {}
                    other => facts.push((key.to_owned(), other.to_string())),
                }
            }
            Ok(facts)
        })
    }
}

/// Whether a failure is the registry's word that there is nothing (404xx), or no answer.
fn unanswered(failed: &SRCError) -> Answer {
    let raw = failed.source().and_then(|cause| cause.downcast_ref::<RawError>());
    match raw.map(|raw| raw.error_code) {
        Some(40_401..=40_403) => Ok(Found::Unknown),
        Some(401 | 403 | 40_101..=40_199 | 40_301..=40_399) => Err(refused(StatusCode::UNAUTHORIZED)),
        _ => Err(Outage::new(words(failed))),
    }
}

fn words(failed: &SRCError) -> String {
    match &failed.cause {
        Some(cause) => format!("{} ({})", failed.error, cause),
        None => failed.error.clone(),
    }
}

/// A failure with what it comes from: the last one often says most.
fn with_causes(failed: &dyn std::error::Error) -> String {
    let mut text = failed.to_string();
    let mut cause = failed.source();
    while let Some(deeper) = cause {
        let more = deeper.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = deeper.source();
    }
    text
}
