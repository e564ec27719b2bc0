//! A schema registry with the Confluent REST calls that clients need, in memory.
//!
//! The rules: the same schema has the same id under every subject; ids are never given twice; what Avro cannot parse is
//! refused; errors carry Confluent's codes. Compatibility levels are kept and answered but not enforced, and there are no
//! schema references, contexts, soft deletion or other formats than Avro. What is stored is `subjects.rs`.

mod subjects;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::StartError;
use crate::net::{self, Body, Dropped, Listening, full, read_body};
use subjects::{Refusal, Registered, Subjects, Version};

const JSON: &str = "application/vnd.schemaregistry.v1+json";

pub struct RunningRegistry {
    listening: Listening,
}

impl RunningRegistry {
    pub fn addr(&self) -> SocketAddr {
        self.listening.addr
    }

    pub async fn stop(self) {
        self.listening.stop().await;
    }
}

/// Starts an empty registry.
pub async fn start(listen: SocketAddr) -> Result<RunningRegistry, StartError> {
    let subjects = Arc::new(Mutex::new(Subjects::default()));
    let handler = move |request| handle(Arc::clone(&subjects), request);
    let listening = net::listen(listen, None, handler).await?;
    Ok(RunningRegistry { listening })
}

async fn handle(subjects: Arc<Mutex<Subjects>>, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
    let (head, body) = request.into_parts();
    let answer = match read_body(body).await {
        Ok(body) => {
            let mut subjects = subjects.lock().unwrap_or_else(PoisonError::into_inner);
            route(&mut subjects, &head.method, head.uri.path(), head.uri.query(), &body)
        }
        Err(error) => Err(Refusal::new(42201, format!("cannot read the request: {error}"))),
    };
    let (status, value) = match answer {
        Ok(value) => (200, value),
        Err(refusal) => {
            let value = json!({ "error_code": refusal.code, "message": refusal.message });
            (refusal.status(), value)
        }
    };
    let built = Response::builder().status(status).header(CONTENT_TYPE, JSON).body(full(value.to_string()));
    Ok(built.expect("status and header are valid"))
}

fn route(
    subjects: &mut Subjects,
    method: &Method,
    path: &str,
    query: Option<&str>,
    body: &[u8],
) -> Result<Value, Refusal> {
    let parts: Vec<String> = path.split('/').filter(|p| !p.is_empty()).map(decode_percent).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (method.as_str(), parts.as_slice()) {
        ("GET", []) => Ok(json!({})),
        ("GET", ["schemas", "types"]) => Ok(json!(["AVRO"])),
        ("GET", ["schemas", "ids", id]) => Ok(json!({ "schema": subjects.by_id(id)? })),
        ("GET", ["subjects"]) => Ok(json!(subjects.names())),
        ("GET", ["subjects", subject, "versions"]) => Ok(json!(subjects.versions(subject)?)),
        ("POST", ["subjects", subject, "versions"]) => {
            let registered = subjects.register(subject, &schema_in(body)?)?;
            Ok(json!({ "id": registered.id }))
        }
        ("POST", ["subjects", subject]) => {
            let registered = subjects.look_up(subject, &schema_in(body)?)?;
            Ok(registered_json(subject, &registered))
        }
        ("GET", ["subjects", subject, "versions", version]) => {
            let registered = subjects.version(subject, Version::parse(version)?)?;
            Ok(registered_json(subject, &registered))
        }
        ("GET", ["subjects", subject, "versions", version, "schema"]) => {
            let registered = subjects.version(subject, Version::parse(version)?)?;
            serde_json::from_str(&registered.schema)
                .map_err(|e| Refusal::new(50001, format!("stored schema does not parse: {e}")))
        }
        ("GET", ["config"]) => Ok(json!({ "compatibilityLevel": subjects.level(None, true)? })),
        ("GET", ["config", subject]) => {
            let fall_back = query.is_some_and(|q| q.split('&').any(|p| p == "defaultToGlobal=true"));
            Ok(json!({ "compatibilityLevel": subjects.level(Some(subject), fall_back)? }))
        }
        ("PUT", ["config"]) => set_level(subjects, None, body),
        ("PUT", ["config", subject]) => set_level(subjects, Some(subject), body),
        _ => Err(Refusal::new(404, format!("HTTP 404 Not Found: {method} {path}"))),
    }
}

fn registered_json(subject: &str, registered: &Registered) -> Value {
    json!({
        "subject": subject,
        "version": registered.version,
        "id": registered.id,
        "schema": registered.schema,
    })
}

fn schema_in(body: &[u8]) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Request {
        schema: Option<String>,
        schema_type: Option<String>,
        references: Option<Vec<Value>>,
    }
    let request: Request =
        serde_json::from_slice(body).map_err(|e| Refusal::new(42201, format!("not a request: {e}")))?;
    if let Some(kind) = request.schema_type.filter(|k| k != "AVRO") {
        return Err(Refusal::new(42201, format!("schema type {kind} is not supported here: only AVRO is")));
    }
    if request.references.is_some_and(|r| !r.is_empty()) {
        return Err(Refusal::new(42201, "schema references are not supported here: write the types out".into()));
    }
    request.schema.ok_or_else(|| Refusal::new(42201, "Empty schema".into()))
}

fn set_level(subjects: &mut Subjects, subject: Option<&str>, body: &[u8]) -> Result<Value, Refusal> {
    #[derive(Deserialize)]
    struct Request {
        compatibility: String,
    }
    let request: Request =
        serde_json::from_slice(body).map_err(|e| Refusal::new(42203, format!("not a request: {e}")))?;
    let level = subjects.set_level(subject, &request.compatibility)?;
    Ok(json!({ "compatibility": level }))
}

/// Subjects may have any characters, which come as %XX.
fn decode_percent(part: &str) -> String {
    let bytes = part.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = part.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
