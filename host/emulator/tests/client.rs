//! A client small enough to send what a proper one never would.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pelton_emulator::event_stream::{Frame, decode};
use serde_json::Value;
use tokio::net::TcpStream;

/// Sends one request over HTTP/2 with prior knowledge, or over HTTP/1.1.
pub async fn send(addr: SocketAddr, http2: bool, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let io = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    if http2 {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        return sender.send_request(request).await.unwrap();
    }
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

pub fn post(addr: SocketAddr, kind: &str, target: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(format!("http://{addr}/"))
        .header("content-type", kind)
        .header("x-amz-target", target)
        .body(Full::new(body.into()))
        .unwrap()
}

pub async fn kinesis(addr: SocketAddr, http2: bool, operation: &str, body: Value) -> Response<Incoming> {
    let target = format!("Kinesis_20131202.{operation}");
    send(addr, http2, post(addr, "application/x-amz-json-1.1", &target, body.to_string())).await
}

pub async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Takes frames off the body of a subscription.
pub struct Events {
    body: Incoming,
    buffer: BytesMut,
}

impl Events {
    pub fn of(response: Response<Incoming>) -> Self {
        assert_eq!(response.headers()["content-type"], "application/vnd.amazon.eventstream");
        Self { body: response.into_body(), buffer: BytesMut::new() }
    }

    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Ok((frame, taken)) = decode(&self.buffer) {
                let _ = self.buffer.split_to(taken);
                return Some(frame);
            }
            match self.body.frame().await {
                Some(frame) => self.buffer.extend_from_slice(&frame.unwrap().into_data().unwrap()),
                None => {
                    assert!(self.buffer.is_empty(), "the stream ends between frames");
                    return None;
                }
            }
        }
    }
}
