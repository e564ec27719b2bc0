//! DynamoDB Local judges the emulator's DynamoDB: the same requests to both, and what they say is compared.
//!
//! `PELTON_JUDGES` names the folder that `cargo xtask test` makes; without it the test says that it is skipped. By hand:
//! `PELTON_DYNAMODB_REQUESTS=100000 PELTON_SEED=7 cargo test -p pelton-emulator --test main dynamodb -- --nocapture`.
//! Messages may differ; success, error names, items and answers may not. Known defects of DynamoDB Local are not asked for:
//! it shows whole attributes where UPDATED_OLD and UPDATED_NEW speak of nested ones, lets UpdateItem give an index key a
//! wrong type. Where it answers InternalFailure, nothing is
//! compared. It looks at the condition before it looks at the update: then it is asked again with a condition that holds.

mod client;
mod local;
mod random;

use pelton_emulator::{Options, start};
use serde_json::{Value, json};

use client::Client;
use local::Local;
use random::Random;

/// In every run of the tests.
const REQUESTS: usize = 300;
/// Of the differences found.
const MOST_SHOWN: usize = 20;

fn setting<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[derive(Default)]
struct Tally {
    done: usize,
    refused: usize,
    conditions: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamodb_local_says_the_same() {
    let Some(judge) = Local::start().await else { return };
    let emulator = start(Options::default()).await.unwrap();
    let (mut ours, mut theirs) = (Client::new(emulator.addr()), Client::new(judge.addr));
    let (requests, seed) = (setting("PELTON_DYNAMODB_REQUESTS", REQUESTS), setting("PELTON_SEED", 1u64));
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    for table in random::tables() {
        for client in [&mut ours, &mut theirs] {
            client.call("CreateTable", &table).await.unwrap();
        }
    }
    let mut unlike = Vec::new();
    for number in 0..requests {
        let (operation, request) = random.request();
        let (mut mine, judged) = (ours.call(operation, &request).await, theirs.call(operation, &request).await);
        forget_empty_page(&mut mine, &judged, &mut ours, operation, &request).await;
        let mut said = compare(&mine, &judged, &request, &mut tally);
        if said.is_err() && operation == "UpdateItem" && name_of(&judged) == CONDITIONAL && name_of(&mine) == INVALID {
            let anyway = random::unconditional(&request);
            let judged = theirs.call(operation, &anyway).await;
            said = compare(&mine, &judged, &request, &mut tally);
        }
        if let Some(key) = random::key_of(operation, &request) {
            let look = json!({ "TableName": request["TableName"], "Key": key, "ConsistentRead": true });
            let items = (ours.call("GetItem", &look).await, theirs.call("GetItem", &look).await);
            let same = canonical(items.0.clone()) == canonical(items.1.clone()) || items.1.is_err();
            if said.is_ok() && !same && name_of(&judged) != INTERNAL {
                said =
                    Err(format!("the item after it differs\nours: {}\ntheirs: {}", shown(&items.0), shown(&items.1)));
            }
            if said.is_err() || name_of(&judged) == INTERNAL {
                // So that one difference does not bring others.
                let _ = (ours.call("DeleteItem", &look).await, theirs.call("DeleteItem", &look).await);
            }
        }
        if let Err(what) = said {
            unlike.push(format!("request {number}: {operation} {request}\n{what}\n"));
        }
    }
    let words = unlike.iter().take(MOST_SHOWN).cloned().collect::<Vec<_>>().join("\n");
    assert!(unlike.is_empty(), "seed {seed}: {} of {requests} requests differ\n{words}", unlike.len());
    for table in random::tables() {
        let look = json!({ "TableName": table["TableName"] });
        let (mine, judged) = (ours.all("Scan", &look).await.unwrap(), theirs.all("Scan", &look).await.unwrap());
        assert_eq!(sorted(mine), sorted(judged), "the tables differ at the end, seed {seed}");
    }
    println!(
        "{requests} requests, seed {seed}: {} done, {} refused, {} of these by their condition",
        tally.done, tally.refused, tally.conditions
    );
    let share = requests / 20;
    assert!(tally.done > share && tally.refused > share && tally.conditions > share / 2, "the requests are one-sided");
    emulator.stop().await;
}

type Answer = Result<Value, Value>;

const CONDITIONAL: &str = "ConditionalCheckFailedException";
const INVALID: &str = "ValidationException";
/// What DynamoDB Local says where it has a defect.
const INTERNAL: &str = "InternalFailure";

/// An error's name; empty for success.
fn name_of(answer: &Answer) -> &str {
    match answer {
        Ok(_) => "",
        Err(error) => error["__type"].as_str().unwrap_or_default().rsplit('#').next().unwrap_or_default(),
    }
}

/// DynamoDB Local sees that nothing can come after a bound of the range key; the page that ours still offers must be empty.
async fn forget_empty_page(mine: &mut Answer, judged: &Answer, ours: &mut Client, operation: &str, request: &Value) {
    let (Ok(page), Ok(judged)) = (mine, judged) else { return };
    let Some(last) = page.get("LastEvaluatedKey").filter(|_| judged.get("LastEvaluatedKey").is_none()) else { return };
    let mut next = request.clone();
    next["ExclusiveStartKey"] = last.clone();
    let next = ours.call(operation, &next).await.unwrap();
    if next["ScannedCount"] == 0 && next.get("LastEvaluatedKey").is_none() {
        page.as_object_mut().unwrap().shift_remove("LastEvaluatedKey");
    }
}

fn shown(answer: &Answer) -> String {
    match answer {
        Ok(value) => value.to_string(),
        Err(error) => format!("refused: {error}"),
    }
}

fn compare(ours: &Answer, theirs: &Answer, request: &Value, tally: &mut Tally) -> Result<(), String> {
    let unlike = || Err(format!("ours: {}\ntheirs: {}", shown(ours), shown(theirs)));
    match (ours, theirs) {
        _ if name_of(theirs) == INTERNAL => Ok(()),
        (Err(mine), Err(other)) => {
            tally.refused += 1;
            tally.conditions += usize::from(name_of(ours) == CONDITIONAL);
            let items = (canonical(Ok(mine["Item"].clone())), canonical(Ok(other["Item"].clone())));
            if name_of(ours) == name_of(theirs) && items.0 == items.1 { Ok(()) } else { unlike() }
        }
        (Ok(mine), Ok(other)) => {
            tally.done += 1;
            // Only a query of a table says in which order items come; pages of others are compared at the end.
            let ordered = request.get("KeyConditionExpression").is_some() || request.get("KeyConditions").is_some();
            let ordered = ordered && request.get("IndexName").is_none();
            if !ordered && request.get("Limit").is_some() {
                return Ok(());
            }
            let (mut mine, mut other) = (canonical(Ok(mine.clone())), canonical(Ok(other.clone())));
            for answer in [&mut mine, &mut other] {
                if let Some(items) = answer.get_mut("Items").filter(|_| !ordered) {
                    *items = json!(sorted(items.as_array().cloned().unwrap_or_default()));
                }
            }
            if mine == other { Ok(()) } else { unlike() }
        }
        _ => unlike(),
    }
}

fn sorted(items: Vec<Value>) -> Vec<String> {
    let mut texts: Vec<String> = items.into_iter().map(|item| canonical(Ok(item)).to_string()).collect();
    texts.sort();
    texts
}

/// The same text for the same meaning: names in order, sets in order, numbers by value, nothing for nothing.
fn canonical(answer: Answer) -> Value {
    match answer.unwrap_or_else(|error| error) {
        Value::Object(object) => {
            let mut fields: Vec<(String, Value)> = object
                .into_iter()
                .filter(|(name, value)| name != "ConsumedCapacity" && !(name == "Attributes" && *value == json!({})))
                .map(|(name, value)| match (name.as_str(), value) {
                    ("N", Value::String(text)) => (name, json!(number(&text))),
                    ("NS", Value::Array(list)) => {
                        let mut list: Vec<String> = list.iter().map(|n| number(n.as_str().unwrap())).collect();
                        list.sort();
                        (name, json!(list))
                    }
                    ("SS" | "BS", Value::Array(list)) => {
                        let mut list: Vec<String> = list.iter().map(ToString::to_string).collect();
                        list.sort();
                        (name, json!(list))
                    }
                    (_, value) => (name, canonical(Ok(value))),
                })
                .collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(list) => list.into_iter().map(|value| canonical(Ok(value))).collect(),
        other => other,
    }
}

/// A number's digits and exponent, in one way only.
fn number(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa.trim_start_matches('+')),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse::<i64>().unwrap() - fraction.len() as i64;
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return "0".to_owned();
    }
    format!("{sign}{kept}E{}", exponent + (digits.len() - kept.len()) as i64)
}
