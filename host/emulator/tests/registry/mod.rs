//! The registry over real sockets: the wire, the disk, faults, and clients of others.

mod disk;
mod faults;
mod judges;
mod wire;

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming};
use serde_json::{Value as Json, json};

use crate::client::{send, text};

/// A request as clients make them.
pub fn request(addr: SocketAddr, method: &str, path: &str, body: &Json) -> Request<Full<Bytes>> {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let request =
        Request::builder().method(method).uri(format!("http://{addr}{path}")).header("host", addr.to_string());
    request.header("content-type", "application/vnd.schemaregistry.v1+json").body(Full::new(body)).unwrap()
}

async fn response(addr: SocketAddr, method: &str, path: &str, body: &Json) -> Response<Incoming> {
    send(addr, false, request(addr, method, path, body)).await
}

/// Status and body of an answer.
pub async fn ask(addr: SocketAddr, method: &str, path: &str, body: &Json) -> (u16, Json) {
    let response = response(addr, method, path, body).await;
    (response.status().as_u16(), serde_json::from_str(&text(response).await).unwrap())
}

pub async fn get(addr: SocketAddr, path: &str) -> (u16, Json) {
    ask(addr, "GET", path, &Json::Null).await
}

/// A record with a field that may be missing: all such can be read with each other.
pub fn record(field: &str) -> Json {
    let fields = json!([{ "name": field, "type": "long", "default": 0 }]);
    json!({ "schema": json!({ "type": "record", "name": "R", "fields": fields }).to_string() })
}
