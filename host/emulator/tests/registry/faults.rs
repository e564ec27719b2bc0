//! What goes wrong on request, as a client sees it.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use pelton_emulator::{
    faults::Rule,
    registry::{Options, RunningRegistry, start_with},
};
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;

use super::{ask, get, record, request, response};
use crate::client::text;

async fn registry(rules: &[&str]) -> RunningRegistry {
    let faults: Vec<Rule> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    start_with(Options { faults, ..Options::default() }).await.unwrap()
}

/// Whether the connection dropped before there was an answer.
async fn drops(registry: &RunningRegistry, method: &str, path: &str, body: &Json) -> bool {
    let io = TokioIo::new(TcpStream::connect(registry.addr()).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request(registry.addr(), method, path, body)).await.is_err()
}

#[tokio::test]
async fn every_fault_is_seen() {
    let registry = registry(&[]).await;
    let addr = registry.addr();
    ask(addr, "POST", "/subjects/s/versions", &record("a")).await;
    let good = get(addr, "/schemas/ids/1").await.1;
    for (fault, status, code) in [
        ("fail", 500, 50001),
        ("throttle", 429, 429),
        ("access-denied", 403, 403),
        ("expired-credentials", 401, 401),
        ("not-found", 404, 40403),
    ] {
        registry.faults().replace(vec![format!("Registry.GetSchema:{fault}:next=1").parse().unwrap()]);
        let (found, answer) = get(addr, "/schemas/ids/1").await;
        assert_eq!((found, &answer["error_code"]), (status, &json!(code)), "{fault}");
        assert_eq!(get(addr, "/schemas/ids/1").await.1, good, "{fault} happens once");
        assert_eq!(registry.faults().fired(), [1]);
    }
    let ask_for = |rule: &str| registry.faults().replace(vec![rule.parse().unwrap()]);
    ask_for("GetVersion@s:not-found");
    assert_eq!(get(addr, "/subjects/s/versions/1").await.1["error_code"], 40401);
    assert_eq!(get(addr, "/subjects/s/versions").await.0, 200);
    ask_for("GetSchema:html");
    let page = response(addr, "GET", "/schemas/ids/1", &Json::Null).await;
    assert_eq!((page.status().as_u16(), page.headers()["content-type"].to_str().unwrap()), (200, "text/html"));
    assert!(text(page).await.starts_with("<!DOCTYPE html>"));
    ask_for("GetSchema:wrong-schema");
    let wrong = get(addr, "/schemas/ids/1").await.1;
    assert!(wrong["schema"] != good["schema"] && wrong["guid"] == good["guid"]);
    assert!(wrong["schema"].as_str().unwrap().contains("\"record\""), "it is a schema");
    ask_for("GetSchema:half");
    let half = response(addr, "GET", "/schemas/ids/1", &Json::Null).await;
    let promised: usize = half.headers()["content-length"].to_str().unwrap().parse().unwrap();
    assert!(promised == good.to_string().len() && half.into_body().collect().await.is_err());
    ask_for("GetSchema:redirect");
    let other = response(addr, "GET", "/schemas/ids/1", &Json::Null).await;
    assert_eq!((other.status().as_u16(), other.headers()["location"].to_str().unwrap()), (307, "/schemas/ids/1"));
    ask_for("Registry.*:delay=150");
    let before = Instant::now();
    get(addr, "/subjects").await;
    assert!(before.elapsed() >= Duration::from_millis(150));
    registry.stop().await;
}

#[tokio::test]
async fn what_was_done_may_not_be_heard_of() {
    let registry = registry(&["RegisterSchema@lost:apply-then-fail:next=1", "RegisterSchema@down:reset"]).await;
    assert!(drops(&registry, "POST", "/subjects/lost/versions", &record("a")).await);
    assert!(drops(&registry, "POST", "/subjects/down/versions", &record("b")).await);
    assert_eq!(get(registry.addr(), "/subjects").await.1, json!(["lost"]));
    let (_, again) = ask(registry.addr(), "POST", "/subjects/lost/versions", &record("a")).await;
    assert_eq!((&again["id"], &again["version"]), (&json!(1), &json!(1)), "whoever asks again gets the same");
    registry.stop().await;
}

#[tokio::test]
async fn faults_are_asked_for_over_http() {
    let registry = registry(&[]).await;
    let addr = registry.addr();
    let rules = json!([{ "operation": "Registry.ListSubjects", "fault": "fail", "next": 2 }]);
    assert_eq!(ask(addr, "POST", "/_pelton/faults", &rules).await.0, 200);
    for status in [500, 500, 200] {
        assert_eq!(get(addr, "/subjects").await.0, status);
    }
    let (_, shown) = get(addr, "/_pelton/faults").await;
    assert_eq!((&shown[0]["seen"], &shown[0]["fired"]), (&json!(3), &json!(2)));
    for (rule, words) in [
        (json!([{ "operation": "PutRecords", "fault": "html" }]), "not to PutRecords"),
        (
            json!([{ "operation": "RegisterSchema", "fault": "wrong-schema" }]),
            "GetSchema, GetVersion, LookUpSchema only",
        ),
        (json!([{ "operation": "Kinesis.GetSchema", "fault": "fail" }]), "is no operation"),
    ] {
        let (status, refused) = ask(addr, "POST", "/_pelton/faults", &rule).await;
        assert!(status == 400 && refused["message"].as_str().unwrap().contains(words), "{refused}");
    }
    assert_eq!(ask(addr, "DELETE", "/_pelton/faults", &Json::Null).await, (200, json!([])));
    registry.stop().await;
}
