//! Lease tables over real sockets: the contract against the emulator and DynamoDB Local, and rows that the Kinesis Client
//! Library wrote.

#[path = "../../emulator/tests/dynamodb/local.rs"]
mod dynamodb_local;

use std::{collections::BTreeSet, net::SocketAddr};

use pelton::{
    aws::{Aws, Settings},
    contract,
    error::Kind,
    lease::{Change, Checkpoint, Expect, Lease, LeaseTable, Switches, Updated, dynamodb::DynamoDbLeases},
    record::Sequence,
};
use pelton_emulator::{Options, Running};
use serde_json::{Value, json};

use dynamodb_local::Local;

const TABLE: &str = "job-leases";

async fn aws(addr: SocketAddr) -> Aws {
    let settings = Settings { endpoint: Some(format!("http://{addr}")), ..Settings::default() };
    settings.load().await.unwrap()
}

async fn leases(addr: SocketAddr) -> DynamoDbLeases {
    DynamoDbLeases::connect(aws(addr).await.dynamodb_client(), TABLE, true).await.unwrap()
}

async fn emulator() -> Running {
    pelton_emulator::start(Options::default()).await.unwrap()
}

fn call(emulator: &Running, operation: &str, mut body: Value) -> Value {
    body["TableName"] = TABLE.into();
    emulator.tables().call(0, operation, &body).unwrap()
}

async fn keeps_the_contract(addr: SocketAddr) {
    let handles = (leases(addr).await, leases(addr).await, leases(addr).await);
    let kept = contract::leases(&[&handles.0, &handles.1, &handles.2]).await;
    assert_eq!(kept, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emulators_table_keeps_the_contract() {
    let emulator = emulator().await;
    keeps_the_contract(emulator.addr()).await;
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_dynamodb_local_keeps_the_contract() {
    let Some(local) = Local::start().await else { return };
    keeps_the_contract(local.addr).await;
}

/// What the Kinesis Client Library left, scan after scan.
fn scans() -> Vec<(String, Vec<Value>)> {
    let text = include_str!("../cases/leases/kcl-3.5.json");
    let case: Value = serde_json::from_str(text).unwrap();
    let scan = |(name, rows): (&String, &Value)| (name.clone(), rows.as_array().unwrap().clone());
    case["scans"].as_object().unwrap().iter().map(scan).collect()
}

fn text<'a>(row: &'a Value, attribute: &str) -> &'a str {
    row[attribute]["S"].as_str().unwrap_or_default()
}

/// The rows of a table by their keys, as their own JSON.
fn rows(emulator: &Running) -> Vec<Value> {
    let mut rows = call(emulator, "Scan", json!({}))["Items"].as_array().unwrap().clone();
    rows.sort_by_key(|row| text(row, "leaseKey").to_owned());
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_kinesis_client_library_are_understood_and_left_in_order() {
    for (name, scan) in scans() {
        let emulator = emulator().await;
        let table = leases(emulator.addr()).await;
        for row in &scan {
            call(&emulator, "PutItem", json!({ "Item": row }));
        }
        let before = rows(&emulator);
        let found = table.list().await.unwrap();
        let is_lease = |row: &&Value| text(row, "entityType") == "LEASE";
        assert_eq!(found.len(), before.iter().filter(is_lease).count(), "{name}");
        for row in before.iter().filter(is_lease) {
            understood(row, found.iter().find(|lease| lease.key == text(row, "leaseKey")).unwrap());
        }
        for lease in &found {
            a_turn(&table, lease).await;
        }
        let after = rows(&emulator);
        assert_eq!(after.len(), before.len(), "{name}");
        for (old, new) in before.iter().zip(&after) {
            left_in_order(old, new);
        }
        assert_eq!(table.list().await.unwrap().len(), found.len());
        emulator.stop().await;
    }
}

fn understood(row: &Value, lease: &Lease) {
    assert_eq!(lease.owner.as_deref(), row["leaseOwner"]["S"].as_str());
    assert_eq!(lease.counter.to_string(), row["leaseCounter"]["N"].as_str().unwrap());
    assert_eq!(lease.owner_switches.to_string(), row["ownerSwitchesSinceCheckpoint"]["N"].as_str().unwrap());
    let range = lease.hash_range.unwrap();
    assert_eq!(range.0.to_string(), text(row, "startingHashKey"));
    assert_eq!(range.1.to_string(), text(row, "endingHashKey"));
    let set = |attribute: &str| -> BTreeSet<String> {
        let list = row[attribute]["SS"].as_array().cloned().unwrap_or_default();
        list.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((&lease.parents, &lease.children), (&set("parentShardId"), &set("childShardIds")));
    match (lease.checkpoint, text(row, "checkpoint")) {
        (Checkpoint::ShardEnd, "SHARD_END")
        | (Checkpoint::TrimHorizon, "TRIM_HORIZON")
        | (Checkpoint::Latest, "LATEST") => {}
        (Checkpoint::At { sequence, sub_sequence }, digits) => {
            assert_eq!(sequence.to_string(), digits);
            assert_eq!(sub_sequence.to_string(), row["checkpointSubSequenceNumber"]["N"].as_str().unwrap());
        }
        (other, digits) => panic!("{other:?} is read from {digits}"),
    }
}

/// Takes the lease, renews it, checkpoints, and gives it back.
async fn a_turn(table: &DynamoDbLeases, lease: &Lease) {
    let me = Some("pelton-1".to_owned());
    let take = Change {
        counter_up: true,
        owner: Some(me.clone()),
        handed_off_by: Some(None),
        owner_switches: Some(Switches::Add),
        ..Change::default()
    };
    let renew = Change { counter_up: true, ..Change::default() };
    let at = Checkpoint::At { sequence: Sequence::from_bytes([0x77; 24]), sub_sequence: 4 };
    let checkpoint = Change {
        counter_up: true,
        owner_switches: Some(Switches::Reset),
        checkpoint: Some(at),
        epoch: Some(3),
        ..Change::default()
    };
    let mut now = lease.clone();
    for change in [take, renew, checkpoint] {
        now = match table.update(&now.key, &Expect::Counter(now.counter), &change).await.unwrap() {
            Updated::Done(row) => row,
            Updated::Refused(row) => panic!("{change:?} is refused: {row:?}"),
        };
    }
    assert_eq!((now.counter, now.checkpoint, now.epoch), (lease.counter + 3, at, Some(3)));
    let give_back = Change { counter_up: true, owner: Some(None), ..Change::default() };
    let owned = Expect::Owned { owner: me, handed_off_by: None };
    assert!(matches!(table.update(&now.key, &owned, &give_back).await.unwrap(), Updated::Done(_)));
}

/// Rows of other kinds are the same to the byte; of leases, only what we set differs.
fn left_in_order(old: &Value, new: &Value) {
    if text(old, "entityType") != "LEASE" {
        assert_eq!(old.as_object().map(sorted), new.as_object().map(sorted));
        return;
    }
    let ours = [
        "leaseOwner",
        "leaseCounter",
        "ownerSwitchesSinceCheckpoint",
        "checkpoint",
        "checkpointSubSequenceNumber",
        "peltonEpoch",
        "peltonWrite",
    ];
    let others = |row: &Value| {
        let fields = row.as_object().unwrap().iter().filter(|(name, _)| !ours.contains(&name.as_str()));
        sorted(&fields.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    assert_eq!(others(old), others(new));
    assert_eq!(new.get("leaseOwner"), None);
}

fn sorted(fields: &serde_json::Map<String, Value>) -> Vec<String> {
    let mut fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    fields.sort();
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_version_2_has_no_kind_and_is_a_lease() {
    let emulator = emulator().await;
    let table = leases(emulator.addr()).await;
    let row = json!({ "leaseKey": { "S": "shard" }, "leaseCounter": { "N": "4" }, "checkpoint": { "S": "LATEST" } });
    call(&emulator, "PutItem", json!({ "Item": row }));
    let lease = Lease { counter: 4, ..Lease::new("shard", Checkpoint::Latest) };
    assert_eq!(table.list().await.unwrap(), [lease]);
    let prepared = json!({
        "Key": { "leaseKey": { "S": "shard" } },
        "UpdateExpression": "SET pendingCheckpoint = :p, note = :p",
        "ExpressionAttributeValues": { ":p": { "S": "TRIM_HORIZON" } },
    });
    call(&emulator, "UpdateItem", prepared);
    let change = Change { checkpoint: Some(Checkpoint::TrimHorizon), ..Change::default() };
    table.update("shard", &Expect::Counter(4), &change).await.unwrap();
    let row = &rows(&emulator)[0];
    assert_eq!((row.get("pendingCheckpoint"), row.get("entityType")), (None, None));
    assert_eq!(text(row, "note"), "TRIM_HORIZON");
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_other_kinds_are_neither_seen_nor_touched() {
    let emulator = emulator().await;
    let table = leases(emulator.addr()).await;
    let leader =
        json!({ "leaseKey": { "S": "Leader" }, "entityType": { "S": "LEADER" }, "leaseCounter": { "N": "1" } });
    call(&emulator, "PutItem", json!({ "Item": leader }));
    assert_eq!((table.list().await.unwrap(), table.get("Leader").await.unwrap()), (Vec::new(), None));
    let change = Change { counter_up: true, ..Change::default() };
    for expect in [Expect::Exists, Expect::Counter(1), Expect::Owned { owner: None, handed_off_by: None }] {
        assert_eq!(table.update("Leader", &expect, &change).await.unwrap(), Updated::Refused(None));
        assert_eq!(table.delete("Leader", &expect).await.unwrap(), Updated::Refused(None));
    }
    let refused = table.create(&Lease::new("Leader", Checkpoint::Latest)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Config);
    assert_eq!(rows(&emulator), [leader]);
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_table_comes_in_pages() {
    let emulator = emulator().await;
    let table = leases(emulator.addr()).await;
    for number in 0..12 {
        let lease = Lease::new(format!("shard-{number:02}"), Checkpoint::Latest);
        table.create(&lease).await.unwrap();
        let large = json!({
            "Key": { "leaseKey": { "S": lease.key } },
            "UpdateExpression": "SET note = :note",
            "ExpressionAttributeValues": { ":note": { "S": "x".repeat(300_000) } },
        });
        call(&emulator, "UpdateItem", large);
    }
    assert_eq!(call(&emulator, "Scan", json!({}))["Count"], 4);
    assert_eq!(table.list().await.unwrap().len(), 12);
    emulator.stop().await;
}

/// The emulator with what goes wrong from now on.
fn wrong(emulator: &Running, rules: &[&str]) {
    emulator.faults().replace(rules.iter().map(|rule| rule.parse().unwrap()).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_is_not_taken_for_anothers() {
    let emulator = emulator().await;
    let table = leases(emulator.addr()).await;
    for lost in ["*:apply-then-fail:next=1", "*:lost-condition:next=1"] {
        wrong(&emulator, &[lost]);
        let mut lease = Lease::new(lost, Checkpoint::Latest);
        assert!(table.create(&lease).await.unwrap(), "{lost}");
        assert_eq!(emulator.faults().fired(), [1]);
        let renew = Change { counter_up: true, ..Change::default() };
        let take = Change { owner: Some(Some("me".into())), owner_switches: Some(Switches::Add), ..renew.clone() };
        let hand_off =
            Change { owner: Some(Some("next".into())), handed_off_by: Some(Some("me".into())), ..Change::default() };
        let owned = |_: &Lease| Expect::Owned { owner: Some("me".into()), handed_off_by: None };
        let counted = |lease: &Lease| Expect::Counter(lease.counter);
        let expectations: [&dyn Fn(&Lease) -> Expect; 3] = [&counted, &counted, &owned];
        for (change, expect) in [take, renew, hand_off].iter().zip(expectations) {
            wrong(&emulator, &[lost]);
            let updated = table.update(lost, &expect(&lease), change).await.unwrap();
            assert_eq!(emulator.faults().fired(), [1]);
            lease = change.applied(&lease);
            assert_eq!(updated, Updated::Done(lease.clone()), "{lost}: {change:?}");
        }
        wrong(&emulator, &[lost]);
        assert_eq!(table.delete(lost, &Expect::Exists).await.unwrap(), Updated::Refused(None), "it is gone");
    }
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_write_that_another_overtook_is_refused() {
    let emulator = emulator().await;
    let (table, other) = (leases(emulator.addr()).await, leases(emulator.addr()).await);
    table.create(&Lease::new("shard", Checkpoint::Latest)).await.unwrap();
    let take = |who: &str| Change { counter_up: true, owner: Some(Some(who.into())), ..Change::default() };
    // Our first try never arrives, the second one waits; meanwhile the other worker takes the lease.
    wrong(&emulator, &["UpdateItem:reset:next=1", "UpdateItem:delay=800:next=2"]);
    let expect = Expect::Counter(0);
    let (ours, theirs) = (take("me"), take("other"));
    let slow = table.update("shard", &expect, &ours);
    let quick = async {
        until_fired(&emulator, 2).await;
        wrong(&emulator, &[]);
        other.update("shard", &expect, &theirs).await.unwrap()
    };
    let (slow, quick) = futures::future::join(slow, quick).await;
    let Updated::Done(row) = quick else { panic!("{quick:?}") };
    assert_eq!(slow.unwrap(), Updated::Refused(Some(row)));
    emulator.stop().await;
}

async fn until_fired(emulator: &Running, delays: u64) {
    while emulator.faults().fired()[1] < delays {
        pelton::clock::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_refuses_is_said_with_advice() {
    let emulator = emulator().await;
    let table = leases(emulator.addr()).await;
    for (fault, words) in [
        ("*:access-denied", ["AccessDeniedException", "allow dynamodb:UpdateItem"]),
        ("*:expired-credentials", ["ExpiredTokenException", "renew the credentials"]),
        ("*:throttle", ["ProvisionedThroughputExceededException", "more capacity"]),
        ("*:fail", ["InternalServerError", TABLE]),
        ("*:reset", [TABLE, "cannot be written"]),
        ("*:delay=20000", ["did not answer in time", TABLE]),
    ] {
        wrong(&emulator, &[fault]);
        let refused = table.update("shard", &Expect::Exists, &Change::default()).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unavailable);
        assert!(words.iter().all(|word| refused.to_string().contains(word)), "{fault}: {refused}");
        if fault != "*:delay=20000" {
            assert!(table.list().await.is_err());
        }
    }
    wrong(&emulator, &["*:throttle:next=2"]);
    assert_eq!(table.list().await.unwrap(), [], "a few refusals are for the SDK to get over");
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_none_of_ours_is_refused_with_words() {
    let emulator = emulator().await;
    let client = || async { aws(emulator.addr()).await.dynamodb_client() };
    let missing = DynamoDbLeases::connect(client().await, TABLE, false).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::Config);
    assert!(missing.to_string().contains("does not exist"), "{missing}");

    let other = json!({
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "N" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "BillingMode": "PAY_PER_REQUEST",
    });
    call(&emulator, "CreateTable", other);
    let refused = DynamoDbLeases::connect(client().await, TABLE, true).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Config);
    for word in [TABLE, "HASH `id` (N)", "HASH `leaseKey` (S)"] {
        assert!(refused.to_string().contains(word), "{refused}");
    }
    call(&emulator, "DeleteTable", json!({}));

    leases(emulator.addr()).await;
    for (row, words) in [
        (json!({ "leaseKey": { "S": "r1" } }), ["`r1`", "`leaseCounter` is missing"]),
        (
            json!({ "leaseKey": { "S": "r2" }, "leaseCounter": { "S": "7" } }),
            ["`r2`", "`leaseCounter` is `7`, not a whole number"],
        ),
        (
            json!({ "leaseKey": { "S": "r3" }, "leaseCounter": { "N": "7" }, "checkpoint": { "S": "soon" } }),
            ["`r3`", "`checkpoint` is `soon`, which is no sequence number"],
        ),
        (
            json!({ "leaseKey": { "S": "r4" }, "leaseCounter": { "N": "7" }, "checkpoint": { "S": "LATEST" },
                "parentShardId": { "S": "p" }, "entityType": { "S": "LEASE" } }),
            ["`r4`", "`parentShardId` is `p`, not a set of strings"],
        ),
    ] {
        call(&emulator, "PutItem", json!({ "Item": row }));
        let refused = DynamoDbLeases::connect(client().await, TABLE, true).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::State);
        assert!(words.iter().all(|word| refused.to_string().contains(word)), "{refused}");
        call(&emulator, "DeleteItem", json!({ "Key": { "leaseKey": row["leaseKey"] } }));
    }
    emulator.stop().await;
}
