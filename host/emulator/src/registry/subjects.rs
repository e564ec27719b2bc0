//! Subjects, their versions, and schemas by id.
//!
//! The rules: a schema is the same when its JSON is the same but for white space; versions of a subject count from 1 and
//! registering what a subject has gives what it has. HTTP is `mod.rs`.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

/// Bounds memory: an id costs at most one request body.
const MAX_SCHEMAS: usize = 10_000;
const MAX_SUBJECTS: usize = 10_000;
const MAX_SCHEMA_BYTES: usize = 1 << 20;
const LEVELS: [&str; 7] =
    ["NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"];

/// An error with Confluent's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: u32,
    pub message: String,
}

impl Refusal {
    pub fn new(code: u32, message: String) -> Self {
        Self { code, message }
    }

    /// The first three digits of the code.
    pub fn status(&self) -> u16 {
        let first = if self.code >= 1000 { self.code / 100 } else { self.code };
        u16::try_from(first).unwrap_or(500)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub id: u32,
    pub version: u32,
    pub schema: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Latest,
    Number(u32),
}

impl Version {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            "latest" | "-1" => Ok(Self::Latest),
            _ => match text.parse() {
                Ok(number) if number > 0 => Ok(Self::Number(number)),
                _ => Err(Refusal::new(
                    42202,
                    format!(
                        "The specified version '{text}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""
                    ),
                )),
            },
        }
    }
}

#[derive(Debug)]
pub struct Subjects {
    /// The schema with id n is at n - 1.
    schemas: Vec<String>,
    ids: HashMap<String, u32>,
    /// Ids in the order of versions.
    subjects: BTreeMap<String, Vec<u32>>,
    levels: BTreeMap<String, &'static str>,
    level: &'static str,
}

impl Default for Subjects {
    fn default() -> Self {
        Self {
            schemas: Vec::new(),
            ids: HashMap::new(),
            subjects: BTreeMap::new(),
            levels: BTreeMap::new(),
            level: "BACKWARD",
        }
    }
}

impl Subjects {
    pub fn names(&self) -> Vec<&str> {
        self.subjects.keys().map(String::as_str).collect()
    }

    pub fn by_id(&self, id: &str) -> Result<&str, Refusal> {
        let index = id.parse::<usize>().ok().and_then(|id| id.checked_sub(1));
        let schema = index.and_then(|index| self.schemas.get(index));
        schema.map(String::as_str).ok_or_else(|| Refusal::new(40403, format!("Schema {id} not found")))
    }

    fn subject(&self, subject: &str) -> Result<&[u32], Refusal> {
        let found = self.subjects.get(subject);
        found.map(Vec::as_slice).ok_or_else(|| Refusal::new(40401, format!("Subject '{subject}' not found.")))
    }

    pub fn versions(&self, subject: &str) -> Result<Vec<usize>, Refusal> {
        Ok((1..=self.subject(subject)?.len()).collect())
    }

    pub fn version(&self, subject: &str, version: Version) -> Result<Registered, Refusal> {
        let ids = self.subject(subject)?;
        let number = match version {
            Version::Latest => ids.len(),
            Version::Number(number) => number as usize,
        };
        match number.checked_sub(1).and_then(|index| ids.get(index)) {
            Some(&id) => Ok(self.registered(id, number)),
            None => Err(Refusal::new(40402, format!("Version {number} not found."))),
        }
    }

    fn registered(&self, id: u32, version: usize) -> Registered {
        let schema = self.schemas[id as usize - 1].clone();
        Registered { id, version: version as u32, schema }
    }

    pub fn look_up(&self, subject: &str, schema: &str) -> Result<Registered, Refusal> {
        let ids = self.subject(subject)?;
        let id = self.ids.get(&checked(schema)?).copied();
        let place = id.and_then(|id| ids.iter().position(|&i| i == id));
        match (id, place) {
            (Some(id), Some(place)) => Ok(self.registered(id, place + 1)),
            _ => Err(Refusal::new(40403, "Schema not found".into())),
        }
    }

    pub fn register(&mut self, subject: &str, schema: &str) -> Result<Registered, Refusal> {
        let schema = checked(schema)?;
        let known = self.subjects.contains_key(subject);
        if (self.schemas.len() >= MAX_SCHEMAS && !self.ids.contains_key(&schema))
            || (self.subjects.len() >= MAX_SUBJECTS && !known)
        {
            return Err(Refusal::new(50001, format!("this registry is full: {MAX_SCHEMAS} schemas or subjects")));
        }
        let id = match self.ids.get(&schema) {
            Some(&id) => id,
            None => {
                self.schemas.push(schema.clone());
                let id = self.schemas.len() as u32;
                self.ids.insert(schema, id);
                id
            }
        };
        let ids = self.subjects.entry(subject.to_owned()).or_default();
        let place = ids.iter().position(|&i| i == id).unwrap_or_else(|| {
            ids.push(id);
            ids.len() - 1
        });
        Ok(self.registered(id, place + 1))
    }

    /// A subject without a level of its own is an error unless the global one may stand in, as at Confluent.
    pub fn level(&self, subject: Option<&str>, fall_back: bool) -> Result<&'static str, Refusal> {
        let Some(subject) = subject else {
            return Ok(self.level);
        };
        match self.levels.get(subject) {
            Some(level) => Ok(level),
            None if fall_back => Ok(self.level),
            None => Err(Refusal::new(
                40408,
                format!("Subject '{subject}' does not have subject-level compatibility configured"),
            )),
        }
    }

    pub fn set_level(&mut self, subject: Option<&str>, level: &str) -> Result<&'static str, Refusal> {
        let known = LEVELS.iter().find(|l| **l == level.to_ascii_uppercase());
        let Some(level) = known else {
            let message = format!("Invalid compatibility level '{level}'. Valid values are {}", LEVELS.join(", "));
            return Err(Refusal::new(42203, message));
        };
        match subject {
            None => self.level = level,
            Some(subject) => {
                if self.levels.len() >= MAX_SUBJECTS && !self.levels.contains_key(subject) {
                    return Err(Refusal::new(50001, format!("this registry is full: {MAX_SUBJECTS} levels")));
                }
                self.levels.insert(subject.to_owned(), level);
            }
        }
        Ok(level)
    }
}

/// The schema without white space, if Avro can parse it.
fn checked(schema: &str) -> Result<String, Refusal> {
    let invalid = |what: String| Refusal::new(42201, format!("Invalid schema: {what}"));
    if schema.len() > MAX_SCHEMA_BYTES {
        return Err(invalid(format!("{} bytes are too many: at most {MAX_SCHEMA_BYTES}", schema.len())));
    }
    // A bare name such as `string` is a schema too, though it is not JSON.
    let json: Value = serde_json::from_str(schema).unwrap_or_else(|_| Value::from(schema.trim()));
    let text = json.to_string();
    apache_avro::Schema::parse_str(&text).map_err(|e| invalid(e.to_string()))?;
    Ok(text)
}
