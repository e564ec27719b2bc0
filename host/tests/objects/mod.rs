//! Objects in a bucket of a real server: the contract, races of clients and of processes, and everything that goes wrong between a
//! client and its bucket.
//!
//! `PELTON_JUDGES` names the folder that `cargo xtask test` makes; without it each test says that it is skipped. `PELTON_RACES` is the
//! number of rounds between two processes (100 without it).

pub mod proxy;
mod race;
pub mod server;

use std::{future::Future, time::Duration};

use axum::{Router, http::StatusCode};
use bytes::Bytes;
use pelton::{
    checkpoint::ledger::remote::{create_numbered, create_surely},
    clock::{Clock, SystemClock},
    contract,
    error::{Error, Kind},
    objects::{Created, Objects},
    task,
};
use proxy::{Proxy, Wire};
use server::{BUCKET, Server, client};
use tokio::runtime::Handle;

/// No call takes longer than this, whatever happens to it.
const BOUND: Duration = Duration::from_secs(45);

fn megabyte(of: u8) -> Bytes {
    vec![of; 1 << 20].into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_the_contract() {
    let Some(server) = Server::start().await else { return };
    for prefix in ["", "a/deep/prefix"] {
        let kept = contract::objects(&client(&server.endpoint(), BUCKET, prefix).await, "job", 30).await;
        assert_eq!(kept, Ok(()), "with the prefix `{prefix}`");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_listing_comes_in_pages() {
    let Some(server) = Server::start().await else { return };
    let objects = client(&server.endpoint(), BUCKET, "p").await;
    // a page has a thousand names
    let names: Vec<String> = (0..1_234).map(|number| format!("job/manifests/all/{number:020}")).collect();
    for some in names.chunks(50) {
        let made = some.iter().map(|name| objects.create(name, Bytes::from_static(b"x")));
        futures::future::try_join_all(made).await.unwrap();
    }
    assert_eq!(objects.list("job/manifests/all/", "").await.unwrap(), names);
    assert_eq!(objects.list("job/manifests/all/", &names[1_200]).await.unwrap(), names[1_201..]);
    assert_eq!(objects.list("job/manifests/al/", "").await.unwrap(), [""; 0], "a prefix is whole parts");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_answer_was_lost_is_whole() {
    let Some(server) = Server::start().await else { return };
    let proxy = Proxy::start(server.addr).await;
    let far = client(&proxy.endpoint(), BUCKET, "p").await;
    let near = client(&server.endpoint(), BUCKET, "p").await;
    proxy.set(Wire::NoAnswers);
    let answer = far.create("job/one", megabyte(1)).await;
    // an error, or the client asked again by itself and was told of its own object
    assert!(!matches!(answer, Ok(Created::Done)), "{answer:?}");
    assert_eq!(near.read("job/one", None).await.unwrap(), Some(megabyte(1)));
    proxy.set(Wire::Whole);
    // connections that broke before are found out one by one
    let mut answer = far.create("job/one", megabyte(2)).await;
    while answer.as_ref().is_err_and(|failed| failed.kind() == Kind::Unavailable) {
        answer = far.create("job/one", megabyte(2)).await;
    }
    assert_eq!(answer.unwrap(), Created::Exists);
    assert_eq!(near.read("job/one", None).await.unwrap(), Some(megabyte(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_cut_leaves_nothing() {
    let Some(server) = Server::start().await else { return };
    let proxy = Proxy::start(server.addr).await;
    let far = client(&proxy.endpoint(), BUCKET, "p").await;
    proxy.set(Wire::CutAfter(300_000));
    far.create("job/one", megabyte(1)).await.unwrap_err();
    proxy.set(Wire::Whole);
    assert_eq!(far.read("job/one", None).await.unwrap(), None);
    assert_eq!(far.list("job/", "").await.unwrap(), [""; 0]);
    assert_eq!(far.create("job/one", megabyte(2)).await.unwrap(), Created::Done);
}

/// Rule 0 over lost answers: whoever made a number knows it in the end, and so does whoever came too late.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_known_to_be_ours_or_anothers_after_lost_answers() {
    let Some(server) = Server::start().await else { return };
    let proxy = Proxy::start(server.addr).await;
    let far = client(&proxy.endpoint(), BUCKET, "p").await;
    for (ours, theirs) in [("1", None), ("2", Some(megabyte(2)))] {
        let name = format!("job/manifests/all/{ours}");
        if let Some(theirs) = theirs.clone() {
            client(&server.endpoint(), BUCKET, "p").await.create(&name, theirs).await.unwrap();
        }
        proxy.set(Wire::NoAnswers);
        let made = create_numbered::<String>(&far, &name, megabyte(1), |_| false);
        let mended = async {
            // paces: some tries get no answer
            pelton::clock::sleep(Duration::from_millis(700)).await;
            proxy.set(Wire::Whole);
        };
        let (made, ()) = futures::future::join(made, mended).await;
        match theirs {
            None => made.unwrap(),
            // what stands there is no manifest of anybody, and is said to be damaged
            Some(_) => assert_eq!(made.unwrap_err().kind(), Kind::State),
        }
    }
    proxy.set(Wire::NoAnswers);
    let block = create_surely(&far, "job/state/all/block", megabyte(3));
    let mended = async {
        // paces: some tries get no answer
        pelton::clock::sleep(Duration::from_millis(700)).await;
        proxy.set(Wire::Whole);
    };
    let (made, ()) = futures::future::join(block, mended).await;
    made.unwrap();
    assert_eq!(far.read("job/state/all/block", None).await.unwrap(), Some(megabyte(3)));
}

/// What each of the four calls says.
async fn refusals(objects: &dyn Objects) -> Vec<Error> {
    let answers = futures::future::join4(
        objects.create("job/one", Bytes::from_static(b"x")),
        objects.read("job/one", None),
        objects.list("job/", ""),
        objects.delete("job/one"),
    );
    let (create, read, list, delete) = answers.await;
    vec![create.unwrap_err(), read.unwrap_err(), list.unwrap_err(), delete.unwrap_err()]
}

fn all_say(refusals: &[Error], words: &[&str]) {
    for refused in refusals {
        assert_eq!(refused.kind(), Kind::Unavailable, "it may be mended while the job runs");
        let said = refused.to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_said_with_what_to_check() {
    let Some(server) = Server::with_secret("another").await else { return };
    let refused = refusals(&client(&server.endpoint(), BUCKET, "p").await).await;
    all_say(&refused, &["s3://bucket/p", "SignatureDoesNotMatch: ", "check the credentials", "s3:PutObject"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_is_no_empty_one() {
    let Some(server) = Server::start().await else { return };
    let refused = refusals(&client(&server.endpoint(), "missing", "p").await).await;
    all_say(&refused, &["s3://missing/p", "NoSuchBucket: ", "there is no bucket `missing`", "make it"]);
}

/// Runs four calls that must fail within the bound, and gives back how long they took.
async fn bounded(call: impl Future<Output = Vec<Error>>) -> (Vec<Error>, Duration) {
    let clock = SystemClock::new();
    let refused = call.await;
    let took = clock.elapsed();
    assert!(took < BOUND, "the calls took {took:?}");
    (refused, took)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_is_said_in_time_and_is_found_again() {
    let Some(mut server) = Server::start().await else { return };
    let proxy = Proxy::start(server.addr).await;
    let (near, far) = (client(&server.endpoint(), BUCKET, "p").await, client(&proxy.endpoint(), BUCKET, "p").await);
    near.create("job/kept", megabyte(1)).await.unwrap();
    server.stop();
    let (refused, took) = bounded(refusals(&near)).await;
    all_say(&refused, &["s3://bucket/p", "refused"]);
    println!("  stopped: said after {took:?}: {}", refused[0]);
    server.start_again().await;
    assert_eq!(near.read("job/kept", None).await.unwrap(), Some(megabyte(1)));
    assert_eq!(far.create("job/new", megabyte(2)).await.unwrap(), Created::Done);
    proxy.set(Wire::Silent);
    let (refused, took) = bounded(refusals(&far)).await;
    all_say(&refused, &["s3://bucket/p", "timed out"]);
    println!("  silent: said after {took:?}: {}", refused[0]);
    proxy.set(Wire::Whole);
    assert_eq!(far.read("job/new", None).await.unwrap(), Some(megabyte(2)));
}

/// The service answers a create with 409 while another one of the same name is under way: nobody knows yet whether there will be an object.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_no_proof_that_an_object_is_there() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let body = "<Error><Code>ConditionalRequestConflict</Code></Error>";
    let service = Router::new().fallback(move || async move { (StatusCode::CONFLICT, body) });
    let _serving = task::spawn(&Handle::current(), async move { axum::serve(listener, service).await });
    let refused = client(&endpoint, BUCKET, "p").await.create("job/one", Bytes::from_static(b"x")).await.unwrap_err();
    all_say(&[refused], &["`job/one` cannot be created", "ConditionalRequestConflict"]);
}
