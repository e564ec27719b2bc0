//! The registry over HTTP: who may ask, what goes wrong on request, and how errors look.
//!
//! The rules: an error is `{"error_code", "message"}`; a body has at most 4 MiB; whoever has to name himself does so in every call. A call
//! that was begun is ended, also when its client is gone. Left to others: what calls do (`answers`), and drawing faults (`faults`).

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE},
};
use serde_json::json;

use super::{
    Auth,
    answers::Reply,
    refusal::Refusal,
    request::{Call, Query},
    store::Store,
};
use crate::{
    event_stream::FrameError,
    faults::{self, Fault, Faults, Service, Stage},
    http::{FAULTS, control_faults},
    net::{Body, Dropped, full, read_body},
};

const JSON: &str = "application/vnd.schemaregistry.v1+json";
const HTML: &str = "text/html";
const LARGEST_BODY: usize = 4 << 20;
const BETWEEN_HALVES: Duration = Duration::from_millis(20);
const LOGIN: &str = "<!DOCTYPE html><html><body>Please sign in: a fault was asked for</body></html>";
/// What a wrong schema is.
const WRONG: &str =
    r#"{"type":"record","name":"WrongSchemaAFaultWasAskedFor","fields":[{"name":"wrong","type":"boolean"}]}"#;

/// What a request is handled with.
pub struct Server {
    pub store: Arc<Store>,
    pub faults: Arc<Faults>,
    pub auth: Option<Auth>,
}

pub async fn handle(server: Arc<Server>, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
    if let Some(auth) = server.auth.as_ref().filter(|auth| !auth.allows(request.headers())) {
        let mut response = refused(&Refusal::new(401, "Unauthorized: name yourself as the registry was told"));
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(auth.scheme()));
        return Ok(response);
    }
    if request.uri().path() == FAULTS {
        return Ok(control_faults(&server.faults, request).await);
    }
    let (head, body) = request.into_parts();
    let asked =
        Call::parse(head.method.as_str(), head.uri.path()).and_then(|call| Ok((call, Query::parse(head.uri.query())?)));
    let (call, query) = match asked {
        Ok(asked) => asked,
        Err(refusal) => return Ok(refused(&refusal)),
    };
    let fired = draw(&server.faults, &call);
    for fault in &fired {
        match fault {
            Fault::Delay(delay) => tokio::time::sleep(*delay).await,
            Fault::Reset => return Err(Dropped),
            _ => {}
        }
    }
    if let Some(response) = fired.iter().find_map(|fault| instead(*fault, &call, head.uri.path())) {
        return Ok(response);
    }
    let body = match read_body(body, LARGEST_BODY).await {
        Ok(body) => body,
        Err(words) => {
            return Ok(refused(&Refusal::new(
                413,
                format!("cannot read the body, which may have {LARGEST_BODY} bytes: {words}"),
            )));
        }
    };
    let store = Arc::clone(&server.store);
    // Comparing takes time, and so does the disk.
    let done = tokio::task::spawn_blocking(move || store.call(&call, &query, &body)).await;
    let answer = done.unwrap_or_else(|_| Err(Refusal::store("the call failed, which is an error of the registry")));
    if fired.contains(&Fault::ApplyThenFail) {
        return Err(Dropped);
    }
    Ok(match answer {
        Ok(reply) => spoilt(reply, &fired),
        Err(refusal) => refused(&refusal),
    })
}

fn draw(faults: &Faults, call: &Call) -> Vec<Fault> {
    let call = faults::Call {
        service: Service::Registry,
        operation: call.name(),
        stream: call.subject(),
        shard: None,
        at_sequence: false,
        conditional: false,
    };
    faults.draw(Stage::Call, &call).into_iter().map(|fired| fired.fault).collect()
}

/// What a fault answers in the place of the registry.
fn instead(fault: Fault, call: &Call, path: &str) -> Option<Response<Body>> {
    let words = "a fault was asked for";
    let refusal = match (fault, call.subject()) {
        (Fault::Throttle, _) => Refusal::new(429, words),
        (Fault::Fail, _) => Refusal::store(words),
        (Fault::AccessDenied, _) => Refusal::new(403, words),
        (Fault::ExpiredCredentials, _) => Refusal::new(401, words),
        (Fault::NotFound, Some(subject)) => Refusal::no_subject(subject),
        (Fault::NotFound, None) => Refusal::new(40403, format!("Schema not found: {words}")),
        (Fault::Html, _) => return Some(response(200, HTML, full(LOGIN))),
        (Fault::Redirect, _) => {
            let mut response = response(307, HTML, full(LOGIN));
            // To the same place: whoever follows is served once the fault is over.
            response.headers_mut().insert(LOCATION, HeaderValue::from_str(path).ok()?);
            return Some(response);
        }
        _ => return None,
    };
    Some(refused(&refusal))
}

/// The answer with what faults do to it.
fn spoilt(reply: Reply, fired: &[Fault]) -> Response<Body> {
    let text = match reply {
        Reply::Json(mut json) => {
            if let Some(schema) = json.get_mut("schema").filter(|_| fired.contains(&Fault::WrongSchema)) {
                *schema = WRONG.into();
            }
            json.to_string()
        }
        Reply::Text(_) if fired.contains(&Fault::WrongSchema) => WRONG.to_owned(),
        Reply::Text(text) => text,
    };
    if !fired.contains(&Fault::Half) {
        return response(200, JSON, full(text));
    }
    // The head promises all of it.
    let whole = text.len();
    let half = Bytes::from(text).slice(..whole / 2);
    let first = stream::once(async { Ok(Frame::data(half)) });
    let second = stream::once(async {
        // The first half leaves before the connection drops.
        tokio::time::sleep(BETWEEN_HALVES).await;
        Err(FrameError::Dropped)
    });
    let mut response = response(200, JSON, BodyExt::boxed(StreamBody::new(first.chain(second))));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(whole));
    response
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let body = json!({ "error_code": refusal.code, "message": refusal.message });
    response(refusal.status(), JSON, full(body.to_string()))
}

fn response(status: u16, kind: &str, body: Body) -> Response<Body> {
    let built = Response::builder().status(status).header(CONTENT_TYPE, kind).body(body);
    built.expect("codes begin with a status, and types are fixed texts")
}

impl Auth {
    fn scheme(&self) -> &'static str {
        match self {
            Self::Basic { .. } => "Basic realm=\"pelton\"",
            Self::Bearer(_) => "Bearer",
        }
    }

    fn allows(&self, headers: &HeaderMap) -> bool {
        let said = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let (scheme, rest) = said.split_at(said.iter().position(|byte| *byte == b' ').unwrap_or(said.len()));
        let rest = rest.trim_ascii();
        let (wanted, secret) = match self {
            Self::Basic { user, password } => ("basic", STANDARD.encode(format!("{user}:{password}"))),
            Self::Bearer(token) => ("bearer", token.clone()),
        };
        // Takes as long whether the first byte differs or the last.
        let differs = rest.iter().zip(secret.as_bytes()).fold(0, |differs, (one, other)| differs | (one ^ other));
        scheme.eq_ignore_ascii_case(wanted.as_bytes()) && rest.len() == secret.len() && differs == 0
    }
}
