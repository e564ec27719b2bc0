//! The core without a wire: what a lease needs, files, and what DynamoDB Local cannot be asked.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path as FilePath;

use super::*;

const NOW: Millis = 1_800_000_000_000;

fn make(tables: &Tables) {
    let request = json!({
        "TableName": "leases",
        "AttributeDefinitions": [{ "AttributeName": "leaseKey", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "leaseKey", "KeyType": "HASH" }],
        "BillingMode": "PAY_PER_REQUEST",
    });
    tables.call(NOW, "CreateTable", &request).unwrap();
}

fn call(tables: &Tables, operation: &str, mut request: Json) -> Result<Json, TableErrorKind> {
    request["TableName"] = "leases".into();
    tables.call(NOW, operation, &request).map_err(|e| e.kind)
}

fn key(name: &str) -> Json {
    json!({ "leaseKey": { "S": name } })
}

fn put(tables: &Tables, name: &str, counter: usize) {
    let item = json!({ "leaseKey": { "S": name }, "leaseCounter": { "N": counter.to_string() } });
    call(tables, "PutItem", json!({ "Item": item })).unwrap();
}

fn items(tables: &Tables) -> Vec<Json> {
    call(tables, "Scan", json!({})).unwrap()["Items"].as_array().unwrap().clone()
}

fn only_log(dir: &FilePath) -> std::path::PathBuf {
    let mut files: Vec<_> = fs::read_dir(dir.join("tables")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[test]
fn one_of_two_takers_wins_in_either_style() {
    let tables = Tables::in_memory();
    make(&tables);
    put(&tables, "shard", 7);
    let take = |counter: &str, owner: &str| {
        json!({
            "Key": key("shard"),
            "UpdateExpression": "SET leaseCounter = leaseCounter + :one, leaseOwner = :me",
            "ConditionExpression": "leaseCounter = :seen",
            "ExpressionAttributeValues": { ":one": { "N": "1" }, ":me": { "S": owner }, ":seen": { "N": counter } },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        })
    };
    assert!(call(&tables, "UpdateItem", take("7", "a")).is_ok());
    let mut request = take("7", "b");
    request["TableName"] = "leases".into();
    let refused = tables.call(NOW, "UpdateItem", &request).unwrap_err();
    assert_eq!(refused.kind, TableErrorKind::ConditionalCheckFailed);
    assert_eq!(refused.item.unwrap()["leaseOwner"], Value::S("a".into()));
    let older = json!({
        "Key": key("shard"),
        "Expected": { "leaseCounter": { "Value": { "N": "8.0" } }, "leaseOwner": { "Value": { "S": "a" } } },
        "AttributeUpdates": {
            "leaseOwner": { "Action": "DELETE" },
            "leaseCounter": { "Action": "ADD", "Value": { "N": "1" } },
        },
        "ReturnValues": "ALL_NEW",
    });
    let given_back = call(&tables, "UpdateItem", older.clone()).unwrap();
    assert_eq!(given_back["Attributes"], json!({ "leaseCounter": { "N": "9" }, "leaseKey": { "S": "shard" } }));
    assert_eq!(call(&tables, "UpdateItem", older), Err(TableErrorKind::ConditionalCheckFailed));
}

#[test]
fn updated_values_are_shown_by_their_paths() {
    let tables = Tables::in_memory();
    make(&tables);
    let item = json!({ "leaseKey": { "S": "x" }, "m": { "M": { "a": { "N": "1" }, "b": { "N": "2" } } },
        "l": { "L": [{ "N": "1" }, { "N": "2" }] } });
    call(&tables, "PutItem", json!({ "Item": item })).unwrap();
    let update = json!({
        "Key": key("x"),
        "UpdateExpression": "SET m.a = :v, l[1] = :v",
        "ExpressionAttributeValues": { ":v": { "N": "9" } },
        "ReturnValues": "UPDATED_OLD",
    });
    let before = call(&tables, "UpdateItem", update).unwrap();
    let wanted = json!({ "l": { "L": [{ "N": "2" }] }, "m": { "M": { "a": { "N": "1" } } } });
    assert_eq!(before["Attributes"], wanted);
}

#[test]
fn every_reserved_word_is_refused_bare_and_taken_aliased() {
    let tables = Tables::in_memory();
    make(&tables);
    let words: Vec<&str> = include_str!("expression/reserved.txt").split_ascii_whitespace().collect();
    assert_eq!(words.len(), 571);
    for word in words {
        let bare = json!({ "Key": key("x"), "ProjectionExpression": word.to_uppercase() });
        assert_eq!(call(&tables, "GetItem", bare), Err(TableErrorKind::Validation), "{word}");
        let aliased =
            json!({ "Key": key("x"), "ProjectionExpression": "#w", "ExpressionAttributeNames": { "#w": word } });
        assert!(call(&tables, "GetItem", aliased).is_ok(), "{word}");
    }
}

#[test]
fn hostile_nesting_is_refused_with_words() {
    let tables = Tables::in_memory();
    make(&tables);
    for text in ["(".repeat(4000), "NOT ".repeat(1000), format!("{}a", "size(".repeat(800)), "a.".repeat(2000)] {
        let request = json!({ "Key": key("x"), "ConditionExpression": text });
        assert_eq!(call(&tables, "DeleteItem", request), Err(TableErrorKind::Validation));
    }
}

#[test]
fn segments_share_the_items_and_pages_join_up() {
    let tables = Tables::in_memory();
    make(&tables);
    (0..50).for_each(|i| put(&tables, &format!("shard-{i}"), i));
    let mut seen = Vec::new();
    for segment in 0..4 {
        let mut request = json!({ "Segment": segment, "TotalSegments": 4, "Limit": 3 });
        loop {
            let page = call(&tables, "Scan", request.clone()).unwrap();
            seen.extend(page["Items"].as_array().unwrap().iter().map(ToString::to_string));
            match page.get("LastEvaluatedKey") {
                Some(last) => request["ExclusiveStartKey"] = last.clone(),
                None => break,
            }
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 50);
}

#[test]
fn a_page_ends_at_a_mebibyte() {
    let tables = Tables::in_memory();
    make(&tables);
    for i in 0..5 {
        let item = json!({ "leaseKey": { "S": format!("{i}") }, "a": { "S": "x".repeat(300_000) } });
        call(&tables, "PutItem", json!({ "Item": item })).unwrap();
    }
    let page = call(&tables, "Scan", json!({})).unwrap();
    assert_eq!(page["Count"], 4);
    assert_eq!(page["LastEvaluatedKey"], key("3"));
    let item = json!({ "leaseKey": { "S": "6" }, "a": { "S": "x".repeat(410_000) } });
    assert_eq!(call(&tables, "PutItem", json!({ "Item": item })), Err(TableErrorKind::Validation));
}

#[test]
fn a_directory_gives_back_tables_and_items() {
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::on_disk(dir.path()).unwrap();
    make(&tables);
    (0..20).for_each(|i| put(&tables, &format!("shard-{i}"), i));
    call(&tables, "DeleteItem", json!({ "Key": key("shard-3") })).unwrap();
    call(&tables, "UpdateTimeToLive", json!({ "TimeToLiveSpecification": { "Enabled": true, "AttributeName": "t" } }))
        .unwrap();
    let before = items(&tables);
    drop(tables);
    let tables = Tables::on_disk(dir.path()).unwrap();
    assert_eq!(items(&tables), before);
    let time_to_live = call(&tables, "DescribeTimeToLive", json!({})).unwrap();
    assert_eq!(time_to_live["TimeToLiveDescription"]["AttributeName"], "t");
    call(&tables, "DeleteTable", json!({})).unwrap();
    drop(tables);
    let tables = Tables::on_disk(dir.path()).unwrap();
    assert_eq!(call(&tables, "DescribeTable", json!({})), Err(TableErrorKind::ResourceNotFound));
}

#[test]
fn a_torn_tail_is_dropped_and_damage_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::on_disk(dir.path()).unwrap();
    make(&tables);
    (0..5).for_each(|i| put(&tables, &format!("shard-{i}"), i));
    drop(tables);
    let log = only_log(dir.path());
    let whole = fs::read(&log).unwrap();
    for cut in 1..60 {
        fs::write(&log, &whole[..whole.len() - cut]).unwrap();
        let tables = Tables::on_disk(dir.path()).unwrap();
        assert_eq!(items(&tables).len(), 4, "{cut}");
        put(&tables, "more", 1);
        drop(tables);
        assert_eq!(items(&Tables::on_disk(dir.path()).unwrap()).len(), 5);
    }
    let mut bad = whole.clone();
    bad[20] ^= 1;
    fs::write(&log, &bad).unwrap();
    assert!(matches!(Tables::on_disk(dir.path()), Err(DiskError::Damaged { .. })));
}

#[test]
fn a_log_that_is_mostly_past_is_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::on_disk(dir.path()).unwrap();
    make(&tables);
    (0..30_000).for_each(|i| put(&tables, &format!("shard-{}", i % 3), i));
    let before = items(&tables);
    drop(tables);
    assert!(fs::metadata(only_log(dir.path())).unwrap().len() < 1 << 20);
    assert_eq!(items(&Tables::on_disk(dir.path()).unwrap()), before);
}
