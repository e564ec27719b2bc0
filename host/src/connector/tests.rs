//! Connectors against a service on this machine that answers as a test says.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::task::Task;

/// A service on this machine: `reply` is given the number of the request and its text, and says what is sent back, and after how long.
struct Served {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    most_at_a_time: Arc<AtomicUsize>,
    _task: Task<()>,
}

type Reply = fn(usize, &str) -> (Duration, String);

async fn serve(reply: Reply) -> Served {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (open, most_at_a_time) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (all, most) = (seen.clone(), most_at_a_time.clone());
    let task = task::spawn(&Handle::current(), async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            let (all, open, most) = (all.clone(), open.clone(), most.clone());
            let one = async move {
                most.fetch_max(open.fetch_add(1, SeqCst) + 1, SeqCst);
                answer(connection, &all, reply).await;
                open.fetch_sub(1, SeqCst);
            };
            connections.push(task::spawn(&Handle::current(), one));
        }
    });
    Served { port, seen, most_at_a_time, _task: task }
}

/// One request a connection.
async fn answer(mut connection: TcpStream, seen: &Mutex<Vec<String>>, reply: Reply) {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    while !text.windows(4).any(|end| end == b"\r\n\r\n") {
        match connection.read(&mut buffer).await {
            Ok(read) if read > 0 => text.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(text.clone());
        seen.len() - 1
    };
    let (pause, reply) = reply(number, &text);
    // paces: the service that is tested against is as slow as a test says
    clock::sleep(pause).await;
    let _ = connection.write_all(reply.as_bytes()).await;
}

fn said(status: &str, more: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{more}\r\n{body}", body.len())
}

fn at_once(status: &str, more: &str, body: &str) -> (Duration, String) {
    (Duration::ZERO, said(status, more, body))
}

fn settings(url: &str) -> Settings {
    Settings {
        url: Url::parse(url).unwrap(),
        headers: HeaderMap::new(),
        timeout: Duration::from_secs(5),
        deadline: Duration::from_secs(20),
        retries: 2,
        capacity: 4,
        idempotent: false,
        private: true,
    }
}

fn asking(method: &str, path: &str) -> Request {
    Request {
        row: 0,
        cookie: Vec::new(),
        connector: "scores".into(),
        method: method.into(),
        path: path.into(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

fn connectors(settings: Settings) -> Connectors {
    Connectors::new([("scores".to_owned(), settings)], Handle::current()).unwrap()
}

fn why(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

impl Served {
    fn settings(&self) -> Settings {
        settings(&format!("http://127.0.0.1:{}/v1", self.port))
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

#[tokio::test]
async fn what_goes_out_is_what_was_asked_with_what_the_job_sends() {
    let served = serve(|_, _| at_once("200 OK", "x-model: 7\r\n", "0.5")).await;
    let mut settings = served.settings();
    settings.headers.extend([header("authorization", "Bearer hidden").unwrap()]);
    assert!(!format!("{settings:?}").contains("hidden"));
    let connectors = connectors(settings);
    let mut request = asking("GET", "/scores/a%20b?k=1");
    request.headers.push(("accept".into(), "text/plain".into()));
    let Outcome::Answered { status, headers, body } = connectors.ask(&request).await else { panic!() };
    assert_eq!((status, &body[..]), (200, &b"0.5"[..]));
    assert!(headers.contains(&("x-model".into(), "7".into())));
    let seen = served.seen.lock().unwrap()[0].to_lowercase();
    assert!(seen.starts_with("get /v1/scores/a%20b?k=1 http/1.1"), "{seen}");
    assert!(seen.contains("authorization: bearer hidden") && seen.contains("accept: text/plain"), "{seen}");
    for not_its_own in ["authorization", "Host", "content-length"] {
        request.headers = vec![(not_its_own.into(), "1".into())];
        assert!(why(connectors.ask(&request).await).contains("not the plugin's to set"), "{not_its_own}");
    }
    assert!(header("host", "a").is_err() && header("a b", "c").is_err());
    assert!(!header("x-key", "hid\nden").unwrap_err().contains("den"));
    assert_eq!(served.requests(), 1);
}

#[tokio::test]
async fn no_path_leads_out_of_the_connector() {
    let served = serve(|_, _| at_once("200 OK", "", "")).await;
    let connectors = connectors(served.settings());
    let up = ["/../secret", "/%2e%2e/secret", "/../v1x", "/a/../../x", "/a#b", "/\\..\\..\\x"];
    let encoded =
        ["/..%2fadmin", "/a/%2E%2e%5Cadmin", "/a%2f..%2f..%2fadmin", "/.%2e%2fadmin", "/a/./b", "/a%5c..?k=1"];
    for path in up.iter().chain(&encoded) {
        assert!(why(connectors.ask(&asking("GET", path)).await).contains("leads out"), "{path}");
    }
    assert_eq!(served.requests(), 0);
    for path in ["/a%2Fb", "/..a/b..", "/a?up=../..", "/%zz", "/%2", "/%"] {
        assert!(matches!(connectors.ask(&asking("GET", path)).await, Outcome::Answered { .. }), "{path}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let served = serve(|_, _| at_once("302 Found", "location: http://169.254.169.254/latest\r\n", "")).await;
    let answer = connectors(served.settings()).ask(&asking("GET", "/a")).await;
    assert!(matches!(answer, Outcome::Answered { status: 302, .. }), "{answer:?}");
    assert_eq!(served.requests(), 1);
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_refused_when_it_is_dialled() {
    let served = serve(|_, _| at_once("200 OK", "", "")).await;
    let mut settings = settings(&format!("http://localhost:{}", served.port));
    settings.private = false;
    let said = why(connectors(settings.clone()).ask(&asking("GET", "/a")).await);
    assert_eq!(said, "connector `scores`: its address is refused");
    assert_eq!(served.requests(), 0);
    settings.private = true;
    assert!(matches!(connectors(settings).ask(&asking("GET", "/a")).await, Outcome::Answered { status: 200, .. }));
    let mut literal = served.settings();
    literal.private = false;
    let refused = Connectors::new([("scores".to_owned(), literal)], Handle::current()).unwrap_err();
    assert!(refused.to_string().contains("connector `scores`: 127.0.0.1 is"), "{refused}");
}

#[tokio::test]
async fn what_changes_nothing_is_tried_again_and_nothing_else() {
    let flaky: Reply = |number, _| match number {
        0 | 1 => at_once("503 Service Unavailable", "", "busy"),
        _ => at_once("200 OK", "", "0.5"),
    };
    let served = serve(flaky).await;
    let answer = connectors(served.settings()).ask(&asking("GET", "/a")).await;
    assert!(matches!(answer, Outcome::Answered { status: 200, .. }), "{answer:?}");
    assert_eq!(served.requests(), 3);

    for (idempotent, requests, status) in [(false, 1, 503), (true, 3, 200)] {
        let served = serve(flaky).await;
        let settings = Settings { idempotent, ..served.settings() };
        let answer = connectors(settings).ask(&asking("POST", "/a")).await;
        assert!(matches!(answer, Outcome::Answered { status: found, .. } if found == status), "{answer:?}");
        assert_eq!(served.requests(), requests);
    }
    // what was not taken may be sent again, whatever it is; what is wrong stays wrong
    let served = serve(|_, _| at_once("429 Too Many Requests", "", "")).await;
    connectors(served.settings()).ask(&asking("POST", "/a")).await;
    assert_eq!(served.requests(), 3);
    let served = serve(|_, _| at_once("500 Internal Server Error", "", "")).await;
    connectors(served.settings()).ask(&asking("GET", "/a")).await;
    assert_eq!(served.requests(), 1);
}

#[tokio::test]
async fn an_answer_is_bounded_in_time() {
    let served = serve(|_, _| (Duration::from_secs(60), said("200 OK", "", ""))).await;
    let settings = Settings { timeout: Duration::from_millis(50), retries: 1, ..served.settings() };
    assert_eq!(connectors(settings).ask(&asking("GET", "/a")).await, Outcome::TimedOut);
    assert_eq!(served.requests(), 2);
    let patient: Reply = |_, _| at_once("503 Service Unavailable", "retry-after: 5\r\n", "");
    let served = serve(patient).await;
    let settings = Settings { deadline: Duration::from_millis(300), ..served.settings() };
    let answer = connectors(settings).ask(&asking("GET", "/a")).await;
    assert!(matches!(answer, Outcome::Answered { status: 503, .. }), "the last answer counts: {answer:?}");
    assert_eq!(served.requests(), 1);
}

#[tokio::test]
async fn an_answer_is_bounded_in_size() {
    let served = serve(|_, text| match text.contains("/body") {
        true => at_once("200 OK", "", &"x".repeat((1 << 20) + 1)),
        false => at_once("200 OK", &format!("x-long: {}\r\n", "x".repeat(20 << 10)), ""),
    })
    .await;
    let connectors = connectors(served.settings());
    let body = why(connectors.ask(&asking("GET", "/body")).await);
    assert_eq!(body, "connector `scores`: the answer has more than 1048576 bytes");
    let head = why(connectors.ask(&asking("GET", "/head")).await);
    assert!(head.contains("more than 64 headers, or more than 16384 bytes of them"), "{head}");
    assert_eq!(served.requests(), 2);
}

#[tokio::test]
async fn a_service_that_is_away_fails_in_words_without_its_address() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let settings = Settings { retries: 0, ..settings(&format!("http://127.0.0.1:{port}")) };
    let said = why(connectors(settings).ask(&asking("POST", "/a")).await);
    assert_eq!(said, "connector `scores`: no connection");
}

#[tokio::test]
async fn a_plugin_is_told_in_a_few_words_what_the_log_says_in_full() {
    let broken = serve(|_, _| (Duration::ZERO, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort".to_owned())).await;
    let short = Settings { retries: 0, ..broken.settings() };
    assert_eq!(why(connectors(short).ask(&asking("GET", "/a")).await), "connector `scores`: a broken answer");
    let plain = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = plain.local_addr().unwrap().port();
    let _plain = task::spawn(&Handle::current(), async move {
        while let Ok((mut connection, _)) = plain.accept().await {
            let _ = connection.write_all(b"no TLS here, and never was").await;
        }
    });
    let settings = Settings { retries: 0, ..settings(&format!("https://127.0.0.1:{port}")) };
    assert_eq!(why(connectors(settings).ask(&asking("GET", "/a")).await), "connector `scores`: no connection: TLS");
}

#[tokio::test]
async fn what_a_plugin_does_wrong_says_nothing_of_the_service() {
    let served = serve(|_, _| at_once("200 OK", "", "")).await;
    let connectors = connectors(served.settings());
    let mut request = asking("GET", "/a");
    request.headers = vec![(format!("a\n{}", "x".repeat(1 << 20)), "1".into())];
    let said = why(connectors.ask(&request).await);
    assert!(said.len() < 8 << 10 && !said.contains('\n'), "{} bytes", said.len());
    assert!(!connectors.services["scores"].told.lock().unwrap().away);
}

#[test]
fn a_service_that_fails_now_and_then_is_not_news_each_time() {
    let mut told = Told::default();
    let lines = (0..600).filter(|second| told.is_news(second % 10 == 0, Duration::from_secs(*second))).count();
    assert_eq!(lines, 20);
    assert!(!told.away);
}

#[tokio::test]
async fn no_more_are_under_way_than_the_service_has_room_for() {
    let served = serve(|_, _| (Duration::from_millis(20), said("200 OK", "", ""))).await;
    let connectors = connectors(Settings { capacity: 3, ..served.settings() });
    assert_eq!(connectors.capacity(), 3);
    let requests: Vec<Request> = (0..20).map(|number| asking("GET", &format!("/{number}"))).collect();
    futures::future::join_all(requests.iter().map(|request| connectors.ask(request))).await;
    assert_eq!((served.requests(), served.most_at_a_time.load(SeqCst)), (20, 3));
}
