//! What the wire promises: both protocols, prompt events, refusals with words, TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::{Response, body::Incoming};
use minicbor::{Decoder, Encoder};
use pelton_emulator::{Options, start};
use serde_json::{Value, json};

use crate::client::{Events, kinesis, post, send, text};

fn options() -> Options {
    let streams = vec![("s".to_owned(), 1)];
    Options { streams, subscription: Duration::from_millis(300), ..Options::default() }
}

#[tokio::test]
async fn a_subscription_over_both_protocols() {
    let running = start(options()).await.unwrap();
    let addr = running.addr();
    for (http2, consumer) in [(false, "one"), (true, "two")] {
        let stream = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
        let registered =
            kinesis(addr, http2, "RegisterStreamConsumer", json!({ "StreamARN": stream, "ConsumerName": consumer }))
                .await;
        let registered: Value = serde_json::from_str(&text(registered).await).unwrap();
        let call = json!({
            "ConsumerARN": registered["Consumer"]["ConsumerARN"],
            "ShardId": "shardId-000000000000",
            "StartingPosition": { "Type": "LATEST" },
        });
        let mut events = Events::of(kinesis(addr, http2, "SubscribeToShard", call).await);
        let first = events.next().await.unwrap();
        assert!(first.headers.contains(&(":event-type".into(), "initial-response".into())));
        let idle: Value = serde_json::from_slice(&events.next().await.unwrap().payload).unwrap();
        assert_eq!((&idle["Records"], &idle["MillisBehindLatest"]), (&json!([]), &json!(0)));
        kinesis(addr, http2, "PutRecord", json!({ "StreamName": "s", "PartitionKey": "k", "Data": "aGk=" })).await;
        // The next idle event would come after five seconds, the end after a third of one: this is the push.
        let live: Value = serde_json::from_slice(&events.next().await.unwrap().payload).unwrap();
        assert_eq!(live["Records"][0]["Data"], "aGk=");
        assert_eq!(events.next().await, None, "expiry is a normal end");
    }
    running.stop().await;
}

#[tokio::test]
async fn bad_requests_are_refused_with_the_services_names() {
    let running = start(options()).await.unwrap();
    let addr = running.addr();
    let json = "application/x-amz-json-1.1";
    let deep = "[".repeat(1_000_000);
    for (kind, target, body, name) in [
        (json, "Kinesis_20131202.PutRecord", "{", "SerializationException"),
        (json, "Kinesis_20131202.PutRecord", r#"{"StreamName":7}"#, "SerializationException"),
        (
            json,
            "Kinesis_20131202.PutRecord",
            r#"{"StreamName":"s","Data":"?","PartitionKey":"k"}"#,
            "SerializationException",
        ),
        (json, "Kinesis_20131202.PutRecord", deep.as_str(), "SerializationException"),
        (json, "Kinesis_20131202.PutRecord", "{}", "ValidationException"),
        (json, "Kinesis_20131202.Fly", "{}", "UnknownOperationException"),
        (json, "Firehose_20150804.Fly", "{}", "UnknownOperationException"),
        (json, "", "{}", "UnknownOperationException"),
    ] {
        let response = send(addr, false, post(addr, kind, target, body.to_owned())).await;
        assert_eq!(response.status(), 400, "{target}");
        assert_eq!(response.headers()["x-amzn-errortype"], name, "{target}");
        assert!(response.headers().contains_key("x-amzn-requestid"));
        let body: Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(body["__type"], name);
        assert!(!body["message"].as_str().unwrap().is_empty());
    }
    running.stop().await;
}

async fn cbor(addr: SocketAddr, target: &str, body: Vec<u8>) -> Response<Incoming> {
    send(addr, false, post(addr, "application/x-amz-cbor-1.1", target, body)).await
}

#[tokio::test]
async fn java_clients_speak_cbor() {
    let running = start(options()).await.unwrap();
    let addr = running.addr();
    let mut put = Encoder::new(Vec::new());
    put.map(3).unwrap().str("StreamName").unwrap().str("s").unwrap();
    put.str("PartitionKey").unwrap().str("k").unwrap().str("Data").unwrap().bytes(b"\xff\0").unwrap();
    let answer = cbor(addr, "Kinesis_20131202.PutRecord", put.into_writer()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/x-amz-cbor-1.1");
    let answer = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(Decoder::new(&answer).map().unwrap(), Some(3));
    let call = json!({ "StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON" });
    let iterator: Value =
        serde_json::from_str(&text(kinesis(addr, false, "GetShardIterator", call).await).await).unwrap();
    let call = json!({ "ShardIterator": iterator["ShardIterator"] });
    let found: Value = serde_json::from_str(&text(kinesis(addr, false, "GetRecords", call).await).await).unwrap();
    assert_eq!(found["Records"][0]["Data"], "/wA=");
    for (target, body) in [("Kinesis_20131202.ListStreams", b"\xa1"), ("DynamoDB_20120810.ListTables", b"\xa0")] {
        let refused = cbor(addr, target, body.to_vec()).await;
        assert_eq!(refused.status(), 400, "{target}");
        assert_eq!(refused.headers()["x-amzn-errortype"], "SerializationException", "{target}");
        let words = refused.into_body().collect().await.unwrap().to_bytes();
        assert_eq!((Decoder::new(&words).map().unwrap(), words[1..].starts_with(b"\x66__type")), (Some(2), true));
    }
    running.stop().await;
}

#[tokio::test]
async fn tls_with_a_certificate_that_rustls_takes() {
    let any = "127.0.0.1:0".parse().unwrap();
    let running = start(Options { tls_listen: Some(any), ..options() }).await.unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let pem = running.certificate_pem().unwrap().as_bytes();
    let certificate = <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(pem);
    roots.add(certificate.unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let socket = tokio::net::TcpStream::connect(running.tls_addr().unwrap()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect("localhost".try_into().unwrap(), socket).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    running.stop().await;
}
