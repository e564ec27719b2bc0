//! Kinesis, Firehose and DynamoDB over HTTP: which call a request is, and how its answer looks.
//!
//! The rules: every answer has a request id; an error is `{"__type", "message"}` with the service's name also in
//! `x-amzn-ErrorType`; credentials are not looked at. Only JSON is spoken (1.1, for DynamoDB 1.0 with the body's CRC-32),
//! and CBOR is refused with words.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use crate::api::{self, EVENTS_CONTENT_TYPE, EventBody, Reply};
use crate::clock;
use crate::dynamodb::{TableError, TableErrorKind, Tables, item_json};
use crate::net::{Body, full, read_body};
use crate::store::{ApiError, ErrorKind, Store};

const JSON: &str = "application/x-amz-json-1.1";
const DYNAMODB_JSON: &str = "application/x-amz-json-1.0";
const DYNAMODB: &str = "DynamoDB_20120810.";
const READ_BACK: &str = "/_pelton/firehose/";

/// What stands behind the port.
#[derive(Clone)]
pub struct Services {
    pub store: Arc<Store>,
    pub tables: Arc<Tables>,
}

pub async fn handle(services: Services, request: Request<Incoming>) -> Response<Body> {
    if request.method() == Method::GET {
        return read_back(&services.store, request.uri().path());
    }
    match answer(services, request).await {
        Ok(response) => response,
        Err(error) => error_response(&error),
    }
}

async fn answer(services: Services, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        let message = format!("{} {} is no call: POST to /", head.method, head.uri.path());
        return Err(ApiError::new(ErrorKind::UnknownOperation, message));
    }
    check_json(&head.headers)?;
    let target = text_of(&head.headers, "x-amz-target");
    let body = read_body(body).await;
    let body = body.map_err(|e| ApiError::new(ErrorKind::Serialization, format!("cannot read the request: {e}")))?;
    if let Some(operation) = target.strip_prefix(DYNAMODB) {
        return Ok(table_response(table_call(&services.tables, operation, &body)));
    }
    let store = services.store;
    match api::call(&store, clock::now(), target, &body)? {
        Reply::Json(bytes) => Ok(response(200, JSON, full(bytes))),
        Reply::Events(subscription) => {
            let events = EventBody::new(store, subscription);
            Ok(response(200, EVENTS_CONTENT_TYPE, events.boxed()))
        }
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

fn check_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let kind = text_of(headers, CONTENT_TYPE.as_str());
    if !kind.to_ascii_lowercase().contains("cbor") {
        return Ok(());
    }
    let message = format!(
        "the emulator does not speak {kind}, only {JSON}: switch CBOR off in the client (Java: -Daws.cborEnabled=false)"
    );
    Err(ApiError::new(ErrorKind::Serialization, message))
}

fn error_response(error: &ApiError) -> Response<Body> {
    let body = json!({ "__type": error.kind.name(), "message": error.message }).to_string();
    let mut response = response(error.kind.status(), JSON, full(body));
    let name = hyper::header::HeaderValue::from_static(error.kind.name());
    response.headers_mut().insert("x-amzn-errortype", name);
    response
}

fn table_call(tables: &Tables, operation: &str, body: &[u8]) -> Result<Value, TableError> {
    let body = if body.is_empty() { b"{}" } else { body };
    let body = serde_json::from_slice(body);
    let body: Value = body.map_err(|e| TableError::new(TableErrorKind::Serialization, e.to_string()))?;
    tables.call(clock::now(), operation, &body)
}

fn table_response(outcome: Result<Value, TableError>) -> Response<Body> {
    let (status, body) = match &outcome {
        Ok(answer) => (200, answer.to_string()),
        Err(error) => {
            let mut body = json!({ "__type": error.kind.full_name(), "message": error.message });
            if let Some(item) = &error.item {
                body["Item"] = item_json(item);
            }
            (error.kind.status(), body.to_string())
        }
    };
    let checksum = crc32fast::hash(body.as_bytes());
    let mut response = response(status, DYNAMODB_JSON, full(body));
    response.headers_mut().insert("x-amz-crc32", checksum.into());
    if let Err(error) = outcome {
        let name = hyper::header::HeaderValue::from_static(error.kind.name());
        response.headers_mut().insert("x-amzn-errortype", name);
    }
    response
}

fn response(status: u16, kind: &str, body: Body) -> Response<Body> {
    let built = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, kind)
        .header("x-amzn-requestid", request_id())
        .body(body);
    built.expect("status and headers are fixed texts")
}

/// In the form of a UUID; it need only differ from the others of this process.
fn request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{:08x}-0000-4000-8000-{:012x}", clock::now() as u32, count & 0xffff_ffff_ffff)
}

/// What a delivery stream was given: one JSON object with base64 a line.
fn read_back(store: &Store, path: &str) -> Response<Body> {
    let name = path.strip_prefix(READ_BACK).unwrap_or_default();
    let lines = store.with_delivery(name, |delivery| {
        let mut out = String::new();
        for record in &delivery.records {
            out.push_str("{\"Data\":\"");
            STANDARD.encode_string(record, &mut out);
            out.push_str("\"}\n");
        }
        out
    });
    match lines {
        Ok(lines) => response(200, "application/x-ndjson", full(lines)),
        Err(error) => {
            let body = json!({ "__type": error.kind.name(), "message": error.message }).to_string();
            response(404, "application/json", full(body))
        }
    }
}
