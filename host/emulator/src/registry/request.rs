//! What a request asks: the call of a path, what stands behind the question mark, and what the body says of a schema.
//!
//! The rule: whatever a request holds, it is understood or refused with words; what this registry does not have is refused, not ignored.
//! Left to others: doing it (`answers`).

use serde_json::Value as Json;

use super::{
    content::{Kind, Metadata, Reference},
    refusal::Refusal,
    state::{LAST_NUMBER, State},
};

const LONGEST_NAME: usize = 1024;
const MOST_REFERENCES: usize = 1000;
const LARGEST_TEXT: usize = 1 << 20;
const LARGEST_METADATA: usize = 64 << 10;

/// A call, with the subject and the version or id that its path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Root,
    GetSchemas,
    GetSchemaTypes,
    GetSchema(String),
    GetSchemaText(String),
    GetSchemaSubjects(String),
    GetSchemaVersions(String),
    GetSchemaByGuid(String),
    GetGuidIds(String),
    ListSubjects,
    ListVersions(String),
    RegisterSchema(String),
    LookUpSchema(String),
    DeleteSubject(String),
    GetVersion(String, String),
    GetVersionText(String, String),
    GetReferencedBy(String, String),
    FindVersion(String),
    DeleteVersion(String, String),
    CheckCompatibility(String, Option<String>),
    GetConfig(Option<String>),
    SetConfig(Option<String>),
    DeleteConfig(Option<String>),
    GetMode(Option<String>),
    SetMode(Option<String>),
    DeleteMode(Option<String>),
    ListContexts,
    GetServerId,
    GetServerVersion,
    GetLabels(String, String),
    SetLabels(String, String),
    DeleteLabels(String, String),
}

impl Call {
    /// The call of a method and a path.
    pub fn parse(method: &str, path: &str) -> Result<Self, Refusal> {
        let parts = path.split('/').filter(|part| !part.is_empty()).map(|part| percent(part, false));
        let parts: Vec<String> = parts.collect::<Result<_, _>>()?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let find = |method: &str| match parts.as_slice() {
            ["subjects" | "compatibility", ..] => Self::of_subjects(method, &parts),
            ["config" | "mode", ..] => Self::of_settings(method, &parts),
            _ => Self::of_others(method, &parts),
        };
        if let Some(call) = find(method)? {
            return Ok(call);
        }
        let mut known = ["GET", "POST", "PUT", "DELETE"].into_iter().filter(|other| matches!(find(other), Ok(Some(_))));
        Err(match known.next() {
            None => Refusal::new(404, format!("HTTP 404 Not Found: there is no {path}")),
            Some(first) => {
                let list = known.fold(first.to_owned(), |list, other| format!("{list} and {other}"));
                Refusal::new(405, format!("HTTP 405 Method Not Allowed: {path} knows {list}"))
            }
        })
    }

    fn of_subjects(method: &str, parts: &[&str]) -> Result<Option<Self>, Refusal> {
        let version = |text: &str| text.to_owned();
        Ok(Some(match (method, parts) {
            ("GET", ["subjects"]) => Self::ListSubjects,
            ("POST", ["subjects", s]) => Self::LookUpSchema(subject(s)?),
            ("DELETE", ["subjects", s]) => Self::DeleteSubject(subject(s)?),
            ("GET", ["subjects", s, "metadata"]) => Self::FindVersion(subject(s)?),
            ("GET", ["subjects", s, "versions"]) => Self::ListVersions(subject(s)?),
            ("POST", ["subjects", s, "versions"]) => Self::RegisterSchema(subject(s)?),
            ("GET", ["subjects", s, "versions", v]) => Self::GetVersion(subject(s)?, version(v)),
            ("DELETE", ["subjects", s, "versions", v]) => Self::DeleteVersion(subject(s)?, version(v)),
            ("GET", ["subjects", s, "versions", v, "schema"]) => Self::GetVersionText(subject(s)?, version(v)),
            ("GET", ["subjects", s, "versions", v, "referencedby"]) => Self::GetReferencedBy(subject(s)?, version(v)),
            ("POST", ["compatibility", "subjects", s, "versions"]) => Self::CheckCompatibility(subject(s)?, None),
            ("POST", ["compatibility", "subjects", s, "versions", v]) => {
                Self::CheckCompatibility(subject(s)?, Some(version(v)))
            }
            _ => return Ok(None),
        }))
    }

    fn of_settings(method: &str, parts: &[&str]) -> Result<Option<Self>, Refusal> {
        let of = match parts {
            [_] => None,
            [_, s] => Some(subject(s)?),
            _ => return Ok(None),
        };
        Ok(Some(match (parts[0], method) {
            ("config", "GET") => Self::GetConfig(of),
            ("config", "PUT") => Self::SetConfig(of),
            ("config", "DELETE") => Self::DeleteConfig(of),
            ("mode", "GET") => Self::GetMode(of),
            ("mode", "PUT") => Self::SetMode(of),
            ("mode", "DELETE") => Self::DeleteMode(of),
            _ => return Ok(None),
        }))
    }

    fn of_others(method: &str, parts: &[&str]) -> Result<Option<Self>, Refusal> {
        let text = |text: &str| text.to_owned();
        Ok(Some(match (method, parts) {
            ("GET", []) => Self::Root,
            ("GET", ["schemas"]) => Self::GetSchemas,
            ("GET", ["schemas", "types"]) => Self::GetSchemaTypes,
            ("GET", ["schemas", "ids", id]) => Self::GetSchema(text(id)),
            ("GET", ["schemas", "ids", id, "schema"]) => Self::GetSchemaText(text(id)),
            ("GET", ["schemas", "ids", id, "subjects"]) => Self::GetSchemaSubjects(text(id)),
            ("GET", ["schemas", "ids", id, "versions"]) => Self::GetSchemaVersions(text(id)),
            ("GET", ["schemas", "guids", guid]) => Self::GetSchemaByGuid(text(guid)),
            ("GET", ["schemas", "guids", guid, "ids"]) => Self::GetGuidIds(text(guid)),
            ("GET", ["contexts"]) => Self::ListContexts,
            ("GET", ["v1", "metadata", "id"]) => Self::GetServerId,
            ("GET", ["v1", "metadata", "version"]) => Self::GetServerVersion,
            ("GET", ["_pelton", "subjects", s, "versions", v, "labels"]) => Self::GetLabels(subject(s)?, text(v)),
            ("PUT", ["_pelton", "subjects", s, "versions", v, "labels"]) => Self::SetLabels(subject(s)?, text(v)),
            ("DELETE", ["_pelton", "subjects", s, "versions", v, "labels"]) => Self::DeleteLabels(subject(s)?, text(v)),
            _ => return Ok(None),
        }))
    }

    /// What rules for faults call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::GetSchemas => "GetSchemas",
            Self::GetSchema(_) | Self::GetSchemaText(_) | Self::GetSchemaByGuid(_) => "GetSchema",
            Self::GetSchemaSubjects(_) | Self::GetSchemaVersions(_) | Self::GetGuidIds(_) => "GetSchemaUses",
            Self::ListSubjects => "ListSubjects",
            Self::ListVersions(_) => "ListVersions",
            Self::RegisterSchema(_) => "RegisterSchema",
            Self::LookUpSchema(_) => "LookUpSchema",
            Self::GetVersion(..) | Self::GetVersionText(..) | Self::FindVersion(_) => "GetVersion",
            Self::GetReferencedBy(..) => "GetReferencedBy",
            Self::DeleteSubject(_) => "DeleteSubject",
            Self::DeleteVersion(..) => "DeleteVersion",
            Self::CheckCompatibility(..) => "CheckCompatibility",
            Self::GetConfig(_) => "GetConfig",
            Self::SetConfig(_) => "SetConfig",
            Self::DeleteConfig(_) => "DeleteConfig",
            Self::GetMode(_) => "GetMode",
            Self::SetMode(_) => "SetMode",
            Self::DeleteMode(_) => "DeleteMode",
            Self::GetLabels(..) | Self::SetLabels(..) | Self::DeleteLabels(..) => "Labels",
            Self::Root | Self::GetSchemaTypes | Self::ListContexts | Self::GetServerId | Self::GetServerVersion => {
                "GetServer"
            }
        }
    }

    /// The subject that it names.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::ListVersions(subject)
            | Self::RegisterSchema(subject)
            | Self::LookUpSchema(subject)
            | Self::DeleteSubject(subject)
            | Self::FindVersion(subject)
            | Self::GetVersion(subject, _)
            | Self::GetVersionText(subject, _)
            | Self::GetReferencedBy(subject, _)
            | Self::DeleteVersion(subject, _)
            | Self::CheckCompatibility(subject, _)
            | Self::GetLabels(subject, _)
            | Self::SetLabels(subject, _)
            | Self::DeleteLabels(subject, _) => Some(subject),
            Self::GetConfig(subject)
            | Self::SetConfig(subject)
            | Self::DeleteConfig(subject)
            | Self::GetMode(subject)
            | Self::SetMode(subject)
            | Self::DeleteMode(subject) => subject.as_deref(),
            _ => None,
        }
    }
}

/// A name that a subject may have. Of contexts there is the default one alone, whose name may be said.
pub fn subject(text: &str) -> Result<String, Refusal> {
    let name = text.strip_prefix(":.:").unwrap_or(text);
    let why = match name {
        "" => "it is empty",
        _ if name.starts_with(":.") || name.starts_with(":*:") => "this registry has the default context alone",
        _ if name.len() > LONGEST_NAME => "it has more than 1024 bytes",
        _ if name.chars().any(char::is_control) => "it has a control character",
        _ => return Ok(name.to_owned()),
    };
    Err(Refusal::invalid_subject(text, why))
}

/// What %XX stands for. In a query, + is a space.
fn percent(part: &str, is_query: bool) -> Result<String, Refusal> {
    let mut out = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        rest = match (first, more.first_chunk::<2>()) {
            (b'%', Some(digits)) if digits.iter().all(u8::is_ascii_hexdigit) => {
                out.extend(hex(digits));
                &more[2..]
            }
            (b'+', _) if is_query => {
                out.push(b' ');
                more
            }
            _ => {
                out.push(*first);
                more
            }
        };
    }
    String::from_utf8(out).map_err(|_| Refusal::new(400, "the address is not UTF-8 behind its percent signs"))
}

/// What stands behind the question mark.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: Option<&str>) -> Result<Self, Refusal> {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((percent(name, true)?, percent(value, true)?))
        };
        pairs.map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// The first of this name that says something.
    pub fn text(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        values.find(|value| !value.is_empty())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// From offset so many of a list; below 0, or unsaid: all.
    pub fn page<T>(&self, list: impl Iterator<Item = T>, most: usize) -> Result<Vec<T>, Refusal> {
        let number = |name: &str| match self.text(name).map(str::parse::<i64>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(usize::try_from(number).ok()),
            Some(Err(_)) => Err(Refusal::new(400, format!("{name} is a number"))),
        };
        let limit = number("limit")?.filter(|limit| *limit > 0).unwrap_or(most).min(most);
        Ok(list.skip(number("offset")?.unwrap_or(0)).take(limit).collect())
    }

    /// Of formats there is one.
    pub fn check_format(&self) -> Result<(), Refusal> {
        match self.text("format").filter(|format| *format != "default") {
            Some(format) => Err(Refusal::unsupported(format!("this registry has no format '{format}' of schemas"))),
            None => Ok(()),
        }
    }
}

/// Which version of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Latest,
    Number(u32),
}

impl Wanted {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            "latest" | "-1" => Ok(Self::Latest),
            _ => match text.parse() {
                Ok(number) if (1..=LAST_NUMBER).contains(&number) => Ok(Self::Number(number)),
                _ => Err(Refusal::invalid_version(&text.chars().take(60).collect::<String>())),
            },
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Latest => f.write_str("-1"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// A reference as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedReference {
    pub name: String,
    pub subject: String,
    pub version: Wanted,
}

impl WantedReference {
    /// The version that it leads to. What is new cannot refer to what is deleted.
    pub fn found(&self, state: &State, is_new: bool) -> Result<Reference, Refusal> {
        let Self { name, subject, version } = self;
        let mut versions = state.subject(subject).into_iter().flat_map(|home| home.versions(!is_new));
        let found = match version {
            Wanted::Latest => versions.next_back(),
            Wanted::Number(number) => versions.find(|(known, _)| known == number),
        };
        let (version, _) = found.ok_or_else(|| {
            let what = format!("No schema reference found for subject \"{subject}\" and version {version}");
            Refusal::invalid_schema(format!("{what}, which `{name}` should be"))
        })?;
        Ok(Reference { name: name.clone(), subject: subject.clone(), version })
    }
}

/// A schema as somebody sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    pub kind: Kind,
    pub text: Option<String>,
    pub references: Vec<WantedReference>,
    /// None where nothing was said of them
    pub metadata: Option<Metadata>,
    /// for imports
    pub id: Option<u32>,
    pub version: Option<u32>,
}

fn invalid(what: impl Into<String>) -> Refusal {
    Refusal::new(42201, what)
}

/// A member that says something.
fn member<'a>(body: &'a Json, name: &str) -> Option<&'a Json> {
    body.get(name).filter(|value| !value.is_null())
}

fn short_text(value: Option<&Json>, name: &str) -> Result<String, Refusal> {
    let text = value.and_then(Json::as_str).filter(|text| (1..=LONGEST_NAME).contains(&text.len()));
    let no_text = || invalid(format!("a reference needs its {name}: a text of 1 to {LONGEST_NAME} bytes"));
    text.map(str::to_owned).ok_or_else(no_text)
}

impl Draft {
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let body: Json = serde_json::from_slice(body).map_err(|bad| invalid(format!("the body is no JSON: {bad}")))?;
        if !body.is_object() {
            return Err(invalid("the body is no object: give {\"schema\": \"...\"}"));
        }
        let text = match member(&body, "schema") {
            None => None,
            Some(Json::String(text)) if text.trim().is_empty() => None,
            Some(Json::String(text)) if text.len() > LARGEST_TEXT => {
                let what = format!("the schema has {} bytes: at most {LARGEST_TEXT}", text.len());
                return Err(Refusal::new(42209, what));
            }
            Some(Json::String(text)) => Some(text.clone()),
            Some(_) => return Err(invalid("`schema` is the schema's text, as a JSON string")),
        };
        let kind = match member(&body, "schemaType").map(|kind| (kind, kind.as_str().and_then(Kind::parse))) {
            None => Kind::Avro,
            Some((_, Some(kind))) => kind,
            Some((other, None)) => return Err(invalid(format!("Invalid schema type {}", start(other)))),
        };
        let rules = member(&body, "ruleSet").or_else(|| member(&body, "schemaTagsToAdd"));
        if rules.or_else(|| member(&body, "schemaTagsToRemove")).is_some_and(|rules| !is_empty(rules)) {
            return Err(Refusal::new(42210, "this registry has no rule sets, and changes no tags in texts"));
        }
        Ok(Self {
            kind,
            text,
            references: references(member(&body, "references"))?,
            metadata: member(&body, "metadata").map(metadata).transpose()?,
            id: number(&body, "id")?,
            version: number(&body, "version")?,
        })
    }
}

fn start(json: &Json) -> String {
    json.to_string().chars().take(60).collect()
}

fn is_empty(json: &Json) -> bool {
    match json {
        Json::Null => true,
        Json::Array(items) => items.iter().all(is_empty),
        Json::Object(object) => object.values().all(is_empty),
        _ => false,
    }
}

/// A number that counts from 1; 0 and below say nothing, as at Confluent.
fn number(body: &Json, name: &str) -> Result<Option<u32>, Refusal> {
    let Some(value) = member(body, name) else { return Ok(None) };
    match value.as_i64() {
        Some(number) if number < 1 => Ok(None),
        Some(number) if number <= i64::from(LAST_NUMBER) => Ok(u32::try_from(number).ok()),
        _ => Err(invalid(format!("`{name}` is a number of 1 to {LAST_NUMBER}, not {}", start(value)))),
    }
}

fn references(list: Option<&Json>) -> Result<Vec<WantedReference>, Refusal> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let list = list.as_array().ok_or_else(|| invalid("`references` is a list of name, subject and version"))?;
    if list.len() > MOST_REFERENCES {
        return Err(invalid(format!("{} references are too many: at most {MOST_REFERENCES}", list.len())));
    }
    let one = |reference: &Json| {
        let version = member(reference, "version").map(Json::to_string).unwrap_or_default();
        let no_version = |_| invalid("a reference needs its version: a number from 1, or -1 for the latest");
        Ok(WantedReference {
            name: short_text(member(reference, "name"), "name")?,
            subject: subject(&short_text(member(reference, "subject"), "subject")?)?,
            version: Wanted::parse(&version).map_err(no_version)?,
        })
    };
    list.iter().map(one).collect()
}

/// Tags, properties and names of properties; what else stands there is not looked at, as at Confluent.
fn metadata(json: &Json) -> Result<Metadata, Refusal> {
    let wrong = |what: &str| {
        invalid(format!(
            "{what}, as in {{\"properties\": {{\"owner\": \"me\"}}, \"tags\": {{\"**.ssn\": [\"PII\"]}}, \"sensitive\": [\"owner\"]}}"
        ))
    };
    let object = json.as_object().ok_or_else(|| wrong("`metadata` is an object"))?;
    let part = |name: &str| {
        let part = object.get(name).filter(|part| !part.is_null()).cloned();
        part.unwrap_or_else(|| {
            if name == "sensitive" { Json::Array(Vec::new()) } else { Json::Object(Default::default()) }
        })
    };
    let metadata = Metadata {
        properties: serde_json::from_value(part("properties"))
            .map_err(|_| wrong("`metadata.properties` are texts by their names"))?,
        tags: serde_json::from_value(part("tags")).map_err(|_| wrong("`metadata.tags` are lists of texts by paths"))?,
        sensitive: serde_json::from_value(part("sensitive"))
            .map_err(|_| wrong("`metadata.sensitive` is a list of names of properties"))?,
    };
    if metadata.size() > LARGEST_METADATA {
        let what = format!("the metadata have {} bytes: at most {LARGEST_METADATA}", metadata.size());
        return Err(invalid(what));
    }
    Ok(metadata)
}
