//! Kinesis, Firehose, DynamoDB and Glue over HTTP: which call a request is, and how its answer looks.
//!
//! The rules: every answer has a request id; an error is `{"__type", "message"}` with the service's name also in
//! `x-amzn-ErrorType`; credentials are not looked at. Kinesis is answered in the form in which it was asked, DynamoDB in
//! JSON 1.0 with the body's CRC-32, Firehose and Glue in JSON 1.1. Glue writes `Message`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use crate::api::{self, EVENTS_CONTENT_TYPE, EventBody, Reply};
use crate::clock;
use crate::dynamodb::{TableError, TableErrorKind, Tables, item_json};
use crate::faults::{Fault, Faults, Fired, Stage};
use crate::form::Form;
use crate::glue::{Glue, GlueError, GlueErrorKind};
use crate::net::{Body, Dropped, MAX_BODY, full, read_body};
use crate::services::{Services, refuse_glue_call, refuse_table_call};
use crate::store::{ApiError, ErrorKind, Store};

const PLAIN_JSON: &str = "application/json";
const DYNAMODB_JSON: &str = "application/x-amz-json-1.0";
const KINESIS: &str = "Kinesis_20131202.";
const DYNAMODB: &str = "DynamoDB_20120810.";
const GLUE: &str = "AWSGlue.";
const READ_BACK: &str = "/_pelton/firehose/";

/// Where faults are asked for, at every server of this package.
pub const FAULTS: &str = "/_pelton/faults";

pub async fn handle(services: Services, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
    if request.uri().path() == FAULTS {
        return Ok(control_faults(&services.faults, request).await);
    }
    if request.method() == Method::GET {
        return Ok(read_back(&services.store, request.uri().path()));
    }
    let form = Form::of(text_of(request.headers(), CONTENT_TYPE.as_str()));
    match read(request, form).await {
        Ok((target, body)) => answer(services, form, &target, &body).await,
        Err(error) => Ok(error_response(form, &error)),
    }
}

/// The call's name, and its body as JSON.
async fn read(request: Request<Incoming>, form: Form) -> Result<(String, Bytes), ApiError> {
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        let message = format!("{} {} is no call: POST to /", head.method, head.uri.path());
        return Err(ApiError::new(ErrorKind::UnknownOperation, message));
    }
    let unreadable =
        |e: &dyn std::fmt::Display| ApiError::new(ErrorKind::Serialization, format!("cannot read the request: {e}"));
    let target = text_of(&head.headers, "x-amz-target");
    if form == Form::Cbor && !target.starts_with(KINESIS) {
        return Err(unreadable(&"CBOR is for Kinesis alone"));
    }
    let body = read_body(body, MAX_BODY).await.map_err(|e| unreadable(&e))?;
    let body = form.read(body).map_err(|e| unreadable(&e))?;
    Ok((target.to_owned(), body))
}

/// Does the call, unless a fault has it otherwise.
async fn answer(services: Services, form: Form, target: &str, body: &[u8]) -> Result<Response<Body>, Dropped> {
    let fired = services.draw(Stage::Call, target, body);
    let drawn = |fault: Fault| fired.iter().any(|f| f.fault == fault);
    for fired in &fired {
        if let Fault::Delay(delay) = fired.fault {
            tokio::time::sleep(delay).await;
        }
    }
    if drawn(Fault::Reset) {
        return Err(Dropped);
    }
    let response = if let Some(operation) = target.strip_prefix(DYNAMODB) {
        let outcome = refuse_table_call(&fired, operation).and_then(|()| table_call(&services.tables, operation, body));
        if outcome.is_ok() && !services.draw(Stage::Done, target, body).is_empty() {
            return Err(Dropped);
        }
        table_response(outcome)
    } else if let Some(operation) = target.strip_prefix(GLUE) {
        glue_response(glue_call(services.glue, &fired, operation, body).await)
    } else {
        let answered = stream_call(services.store, form, target, body, &fired);
        answered.unwrap_or_else(|error| error_response(form, &error))
    };
    if drawn(Fault::ApplyThenFail) { Err(Dropped) } else { Ok(response) }
}

fn stream_call(
    store: Arc<Store>,
    form: Form,
    target: &str,
    body: &[u8],
    fired: &[Fired],
) -> Result<Response<Body>, ApiError> {
    match api::call(&store, clock::now(), target, body, fired)? {
        Reply::Json(bytes) => Ok(response(200, form.content_type(), full(form.written(bytes)))),
        Reply::Events(subscription) => {
            let events = EventBody::new(store, subscription, form);
            Ok(response(200, EVENTS_CONTENT_TYPE, events.boxed()))
        }
    }
}

/// GET shows the rules with their counters, POST replaces them, DELETE clears them.
pub async fn control_faults(faults: &Faults, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let changed = match head.method {
        Method::GET => Ok(()),
        Method::DELETE => {
            faults.replace(Vec::new());
            Ok(())
        }
        Method::POST | Method::PUT => match read_body(body, MAX_BODY).await {
            Ok(body) => faults.replace_json(&body).map_err(|e| e.to_string()),
            Err(error) => Err(format!("cannot read the request: {error}")),
        },
        other => Err(format!("{other} does nothing here: GET, POST or DELETE")),
    };
    match changed {
        Ok(()) => response(200, PLAIN_JSON, full(faults.to_json().to_string())),
        Err(words) => response(400, PLAIN_JSON, full(json!({ "message": words }).to_string())),
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

fn error_response(form: Form, error: &ApiError) -> Response<Body> {
    let body = json!({ "__type": error.kind.name(), "message": error.message }).to_string();
    let body = form.written(body.into_bytes());
    let mut response = response(error.kind.status(), form.content_type(), full(body));
    let name = hyper::header::HeaderValue::from_static(error.kind.name());
    response.headers_mut().insert("x-amzn-errortype", name);
    response
}

/// Comparing takes time, so it is done where it keeps nobody else from being answered.
async fn glue_call(glue: Arc<Glue>, fired: &[Fired], operation: &str, body: &[u8]) -> Result<Value, GlueError> {
    refuse_glue_call(fired)?;
    let body = if body.is_empty() { b"{}" } else { body };
    let body = serde_json::from_slice(body);
    let body: Value = body.map_err(|e| GlueError::new(GlueErrorKind::Serialization, e.to_string()))?;
    let operation = operation.to_owned();
    let done = tokio::task::spawn_blocking(move || glue.call(clock::now(), &operation, &body)).await;
    let defect =
        |_| Err(GlueError::new(GlueErrorKind::InternalService, "the call failed, which is an error of the emulator"));
    let mut answer = done.unwrap_or_else(defect)?;
    if fired.iter().any(|fired| fired.fault == Fault::Pending) {
        answer["Status"] = "PENDING".into();
    }
    Ok(answer)
}

fn glue_response(outcome: Result<Value, GlueError>) -> Response<Body> {
    let error = match outcome {
        Ok(answer) => return response(200, Form::Json.content_type(), full(answer.to_string())),
        Err(error) => error,
    };
    let body = json!({ "__type": error.kind.name(), "Message": error.message });
    let mut response = response(error.kind.status(), Form::Json.content_type(), full(body.to_string()));
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
            response(404, PLAIN_JSON, full(body))
        }
    }
}
