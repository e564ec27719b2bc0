//! A registry in a directory: what was answered is there again, also when the process was killed.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use pelton_emulator::registry::{Options, start_with};
use serde_json::{Value as Json, json};
use tokio::task::JoinSet;

use super::{ask, get, record, request};

const CHILD: &str = "PELTON_REGISTRY_CHILD";

fn options(dir: &Path) -> Options {
    Options { dir: Some(dir.to_owned()), ..Options::default() }
}

#[tokio::test]
async fn what_was_done_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start_with(options(dir.path())).await.unwrap();
    let addr = registry.addr();
    let (_, first) = ask(addr, "POST", "/subjects/a/versions", &record("x")).await;
    let mut second = record("y");
    second["metadata"] = json!({ "properties": { "owner": "me" } });
    second["references"] = json!([{ "name": "R", "subject": "a", "version": 1 }]);
    second["schema"] = r#"{"type":"array","items":"R"}"#.into();
    assert_eq!(ask(addr, "POST", "/subjects/b/versions", &second).await.0, 200);
    ask(addr, "POST", "/subjects/c/versions", &record("z")).await;
    ask(addr, "DELETE", "/subjects/c", &Json::Null).await;
    ask(addr, "PUT", "/config/a", &json!({ "compatibility": "FULL" })).await;
    ask(addr, "PUT", "/mode/b", &json!({ "mode": "READONLY" })).await;
    let other = start_with(options(dir.path())).await;
    assert!(other.err().unwrap().to_string().contains("is used by another"), "one directory has one registry");
    let paths = ["/schemas?deleted=true", "/config/a", "/mode/b", "/subjects/a/versions/1/referencedby"];
    let mut before = Vec::new();
    for path in paths {
        before.push(get(addr, path).await);
    }
    registry.stop().await;
    let registry = start_with(options(dir.path())).await.unwrap();
    for (path, before) in paths.into_iter().zip(before) {
        assert_eq!(get(registry.addr(), path).await, before, "{path}");
    }
    assert_eq!(ask(registry.addr(), "POST", "/subjects/a/versions", &record("x")).await.1, first);
    registry.stop().await;
}

#[tokio::test]
async fn a_damaged_log_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start_with(options(dir.path())).await.unwrap();
    ask(registry.addr(), "POST", "/subjects/a/versions", &record("x")).await;
    registry.stop().await;
    let path = dir.path().join("registry.log");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"version\":1", "\"version\":2")).unwrap();
    let said = start_with(options(dir.path())).await.err().unwrap().to_string();
    assert!(said.contains("registry.log is damaged: line 2: its checksum is wrong"), "{said}");
}

/// Serves a directory until it is killed: the child of the test below, which does nothing by itself.
#[tokio::test]
async fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let registry = start_with(options(Path::new(&dir))).await.unwrap();
    println!("listening {}", registry.addr());
    std::future::pending::<()>().await;
}

fn serve(dir: &Path) -> (Child, SocketAddr) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "registry::disk::child", "--nocapture"]).env(CHILD, dir);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = lines
        .map(|line| line.unwrap())
        .filter_map(|line| line.split_once("listening ").map(|(_, addr)| addr.to_owned()));
    let addr = said.next().unwrap().parse().unwrap();
    (child, addr)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_survives_a_killed_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut answered: Vec<(String, Json)> = Vec::new();
    for round in 0..4_u64 {
        let (mut child, addr) = serve(dir.path());
        for (field, answer) in &answered {
            let (_, found) = ask(addr, "POST", "/subjects/s", &record(field)).await;
            assert_eq!((&found["id"], &found["version"]), (&answer["id"], &answer["version"]), "{field}");
        }
        let mut clients = JoinSet::new();
        for client in 0..4 {
            clients.spawn(async move {
                let mut done = Vec::new();
                for number in 0.. {
                    let field = format!("f_{round}_{client}_{number}");
                    let Some(answer) = registered(addr, &field).await else { return done };
                    done.push((field, answer));
                }
                done
            });
        }
        // paces: the clients write meanwhile
        tokio::time::sleep(Duration::from_millis(120 + 70 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        answered.extend(clients.join_all().await.into_iter().flatten());
    }
    let registry = start_with(options(dir.path())).await.unwrap();
    let (_, versions) = get(registry.addr(), "/subjects/s/versions").await;
    assert!(answered.len() > 20, "{}", answered.len());
    // What was written and not answered may be there too: one call of each client and round.
    let more = versions.as_array().unwrap().len() - answered.len();
    assert!(more <= 16, "{more}");
    registry.stop().await;
}

/// The answer, unless the process is gone.
async fn registered(addr: SocketAddr, field: &str) -> Option<Json> {
    let io = hyper_util::rt::TokioIo::new(tokio::net::TcpStream::connect(addr).await.ok()?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.ok()?;
    tokio::spawn(connection);
    let answer = sender.send_request(request(addr, "POST", "/subjects/s/versions", &record(field))).await.ok()?;
    assert_eq!(answer.status(), 200);
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.ok()?.to_bytes();
    Some(serde_json::from_slice(&body).unwrap())
}
