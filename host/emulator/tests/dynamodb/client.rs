//! A client that speaks to the emulator and to DynamoDB Local alike.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

pub struct Client {
    addr: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, sender: None }
    }

    /// The answer, or the error as it came.
    pub async fn call(&mut self, operation: &str, body: &Value) -> Result<Value, Value> {
        let request = Request::post("/")
            .header("host", self.addr.to_string())
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
            )
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        if self.sender.as_ref().is_none_or(SendRequest::is_closed) {
            let io = TokioIo::new(TcpStream::connect(self.addr).await.unwrap());
            let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        let sender = self.sender.as_mut().unwrap();
        sender.ready().await.unwrap();
        let response = sender.send_request(request).await.unwrap();
        let (good, checksum) = (response.status() == 200, response.headers().get("x-amz-crc32").cloned());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        if let Some(checksum) = checksum {
            assert_eq!(checksum.to_str().unwrap(), crc32fast::hash(&bytes).to_string());
        }
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        if good { Ok(answer) } else { Err(answer) }
    }

    /// The items of all pages.
    pub async fn all(&mut self, operation: &str, body: &Value) -> Result<Vec<Value>, Value> {
        let mut items = Vec::new();
        let mut body = body.clone();
        loop {
            let page = self.call(operation, &body).await?;
            items.extend(page["Items"].as_array().cloned().unwrap_or_default());
            match page.get("LastEvaluatedKey") {
                Some(last) => body["ExclusiveStartKey"] = json!(last),
                None => return Ok(items),
            }
        }
    }
}
