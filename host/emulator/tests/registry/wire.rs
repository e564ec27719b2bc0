//! What the wire promises: statuses and words, names with percent signs, bounds, who may ask, TLS, and many at once.

use std::{collections::HashSet, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use pelton_emulator::registry::{self, Auth, Options, start_with};
use serde_json::{Value as Json, json};
use tokio::{net::TcpStream, task::JoinSet};

use super::{ask, get, record, request, response};
use crate::client::{send, text};

#[tokio::test]
async fn answers_have_statuses_types_and_words() {
    let registry = registry::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let addr = registry.addr();
    assert_eq!(registry.url(), format!("http://{addr}"));
    let name = "%2Fa%20b%2Bc%25:%C3%A9%3F%23.value";
    let (status, answer) = ask(addr, "POST", &format!("/subjects/{name}/versions"), &record("a")).await;
    assert_eq!((status, &answer["id"], &answer["version"]), (200, &json!(1), &json!(1)));
    assert_eq!(get(addr, "/subjects").await, (200, json!(["/a b+c%:é?#.value"])));
    for (method, path, body, status, code) in [
        ("GET", "/subjects/none/versions".to_owned(), json!(null), 404, 40401),
        ("POST", format!("/subjects/{name}/versions"), json!({ "schema": "\"int\"" }), 409, 409),
        ("POST", format!("/subjects/{name}/versions"), json!({ "schema": "{" }), 422, 42201),
        ("PUT", "/config".to_owned(), json!({ "compatibility": "" }), 422, 42203),
        ("GET", "/nothing".to_owned(), json!(null), 404, 404),
        ("PATCH", "/config".to_owned(), json!(null), 405, 405),
        ("POST", format!("/subjects/{name}/versions"), json!({ "schema": "x".repeat(5 << 20) }), 413, 413),
    ] {
        let answer = response(addr, method, &path, &body).await;
        assert_eq!(answer.status(), status, "{method} {path}");
        assert_eq!(answer.headers()["content-type"], "application/vnd.schemaregistry.v1+json");
        let answer: Json = serde_json::from_str(&text(answer).await).unwrap();
        assert_eq!(answer["error_code"], code, "{method} {path}");
        assert!(!answer["message"].as_str().unwrap().is_empty());
    }
    // HTTP/2 with prior knowledge is understood too.
    let answer = send(addr, true, request(addr, "GET", "/schemas/types", &Json::Null)).await;
    assert_eq!(text(answer).await, r#"["AVRO","JSON","PROTOBUF"]"#);
    registry.stop().await;
}

#[tokio::test]
async fn whoever_has_to_name_himself_does_so() {
    let basic = Auth::Basic { user: "me".into(), password: "a:b".into() };
    let good = format!("Basic {}", STANDARD.encode("me:a:b"));
    let bearer = Auth::Bearer("token".into());
    assert!(!format!("{basic:?}{bearer:?}").contains("token") && !format!("{basic:?}").contains("a:b"));
    for (auth, good, scheme) in [(basic, good.as_str(), "Basic realm=\"pelton\""), (bearer, "bearer token", "Bearer")] {
        let registry = start_with(Options { auth: Some(auth), ..Options::default() }).await.unwrap();
        let addr = registry.addr();
        for path in ["/subjects", "/_pelton/faults"] {
            for (said, status) in [
                (None, 401),
                (Some(good), 200),
                (Some("Basic "), 401),
                (Some("Bearer tokem"), 401),
                (Some("Basic bWU6YQ=="), 401),
            ] {
                let mut request = request(addr, "GET", path, &Json::Null);
                if let Some(said) = said {
                    request.headers_mut().insert("authorization", HeaderValue::from_str(said).unwrap());
                }
                let answer = send(addr, false, request).await;
                assert_eq!(answer.status(), status, "{path} {said:?}");
                if status == 401 {
                    assert_eq!(answer.headers()["www-authenticate"], scheme);
                    assert!(text(answer).await.contains("\"error_code\":401"));
                }
            }
        }
        registry.stop().await;
    }
}

#[tokio::test]
async fn tls_with_a_certificate_that_rustls_takes() {
    let registry = start_with(Options { tls: true, ..Options::default() }).await.unwrap();
    assert!(registry.url().starts_with("https://"));
    let pem = registry.certificate_pem().unwrap().as_bytes();
    let certificate = <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(pem);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let socket = TcpStream::connect(registry.addr()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect("localhost".try_into().unwrap(), socket).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request(registry.addr(), "GET", "/subjects", &Json::Null)).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "[]");
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_at_once_are_all_there_and_the_same_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { dir: Some(dir.path().to_owned()), ..Options::default() };
    let registry = start_with(options.clone()).await.unwrap();
    let addr = registry.addr();
    let mut calls = JoinSet::new();
    for number in 0..100 {
        calls.spawn(async move {
            // Each schema comes four times: twice under a subject of all, twice under one of its own.
            let (own, schema) = (number % 25, record(&format!("f{}", number % 25)));
            let subject = if number % 50 < 25 { "all".to_owned() } else { format!("own-{own}") };
            let (status, answer) = ask(addr, "POST", &format!("/subjects/{subject}/versions"), &schema).await;
            assert_eq!(status, 200, "{answer}");
            (own, answer["id"].as_u64().unwrap())
        });
    }
    let answers: HashSet<(i32, u64)> = calls.join_all().await.into_iter().collect();
    let ids: HashSet<u64> = answers.iter().map(|(_, id)| *id).collect();
    assert_eq!((answers.len(), ids), (25, (1..=25).collect()));
    let versions = (1..=25).collect::<Vec<_>>();
    assert_eq!(get(addr, "/subjects/all/versions").await, (200, json!(versions)));
    let before = get(addr, "/schemas?limit=1000").await;
    registry.stop().await;
    let registry = start_with(options).await.unwrap();
    assert_eq!(get(registry.addr(), "/schemas?limit=1000").await, before);
    registry.stop().await;
}
