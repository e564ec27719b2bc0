//! Rules as text and JSON, and what they draw.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn call<'a>(operation: &'a str, stream: &'a str) -> Call<'a> {
    Call {
        service: Service::Kinesis,
        operation,
        stream: Some(stream),
        shard: None,
        at_sequence: false,
        conditional: false,
    }
}

#[test]
fn text_and_json_say_the_same() {
    for text in [
        "SubscribeToShard:reset:0.1",
        "*:fail",
        "PutRecords@clicks:delay=200:next=3",
        "SubscribeToShard@clicks/shardId-000000000000:trimmed=silent:0.5:seed=7",
        "DynamoDB.UpdateItem@leases:lost-condition:next=1",
        "Kinesis.*:throttle:1",
        "Registry.GetSchema@orders-value:wrong-schema:next=1",
        "RegisterSchema:half",
        "Glue.RegisterSchemaVersion@orders:pending:next=1",
        "GetSchemaVersion:throttle:0.5",
    ] {
        let rule: Rule = text.parse().unwrap();
        assert_eq!(Rule::from_json(&rule.to_json()), Ok(rule), "{text}");
    }
    let long = json!({ "operation": "GetShardIterator", "fault": "trimmed:not-found" });
    assert_eq!(Rule::from_json(&long).unwrap().fault, Fault::Trimmed(Trimmed::NotFound));
    assert_eq!(Rule::from_json(&json!({ "fault": "delay 5" })).unwrap().operation, "*");
}

#[test]
fn what_can_never_fire_is_refused_with_words() {
    for (text, words) in [
        ("reset", "write OPERATION:FAULT"),
        ("SubscribeToShrad:reset", "is no operation"),
        ("Firehose.GetRecords:reset", "is no operation"),
        ("PutRecords:explode", "is no fault: there are throttle"),
        ("PutRecords:stall", "happens to SubscribeToShard only"),
        ("PutRecord:partial", "happens to PutRecords, PutRecordBatch only"),
        ("PutRecords:delay", "needs milliseconds"),
        ("PutRecords:delay=soon", "no number of milliseconds"),
        ("PutRecords:delay=99999999", "too long"),
        ("GetRecords:fail=3", "takes no argument"),
        ("GetRecords:fail:1.5", "no probability"),
        ("GetRecords:fail:often", "neither a probability"),
        ("GetShardIterator:trimmed", "trimmed=not-found"),
        ("PutRecords:html", "happens to CheckCompatibility, "),
        ("Registry.ListSubjects:wrong-schema", "happens to GetSchema, GetVersion, LookUpSchema only"),
        ("Registry.PutRecords:fail", "is no operation"),
        ("Glue.GetSchema:half", "happens at Registry only"),
        ("Kinesis.*:pending", "happens at Glue only"),
    ] {
        let refused = text.parse::<Rule>().unwrap_err().to_string();
        assert!(refused.contains(words), "{text}: {refused}");
    }
    for (rule, words) in [
        (json!({ "operation": "*" }), "needs a fault"),
        (json!({ "fault": "fail", "often": 1 }), "'often' is no field"),
        (json!({ "fault": "fail", "next": -1 }), "whole number"),
        (json!({ "fault": "fail", "next": 1, "probability": 1 }), "not both"),
        (json!({ "fault": 7 }), "is a text"),
        (json!("fail"), "an object"),
    ] {
        let refused = Rule::from_json(&rule).unwrap_err().to_string();
        assert!(refused.contains(words), "{rule}: {refused}");
    }
    let faults = Faults::default();
    assert!(faults.replace_json(b"{}").unwrap_err().to_string().contains("a list of rules"));
    assert!(faults.replace_json(b"[{\"fault\":\"x\"}]").unwrap_err().to_string().starts_with("rule 0: "));
}

#[test]
fn a_seed_repeats_its_draws_and_counts_them() {
    let draws = |seed: u64| -> Vec<bool> {
        let rule = Rule { seed, .."GetRecords@s:fail:0.3".parse().unwrap() };
        let faults = Faults::new(vec![rule]);
        assert!(faults.draw(Stage::Call, &call("GetRecords", "other")).is_empty());
        assert!(faults.draw(Stage::Event, &call("GetRecords", "s")).is_empty());
        let drawn =
            (0..1000).map(|_| !faults.draw(Stage::Call, &call("GetRecords", "s")).is_empty()).collect::<Vec<_>>();
        let fired = drawn.iter().filter(|fired| **fired).count();
        assert!((250..350).contains(&fired), "{fired}");
        assert_eq!((faults.fired(), &faults.to_json()[0]["seen"]), (vec![fired as u64], &json!(1000)));
        drawn
    };
    assert_eq!(draws(7), draws(7));
    assert_ne!(draws(7), draws(8));
}

#[test]
fn the_next_calls_and_no_others() {
    let faults = Faults::new(vec!["PutRecords:throttle:next=2".parse().unwrap(), "*:delay=1".parse().unwrap()]);
    let drawn: Vec<usize> = (0..4).map(|_| faults.draw(Stage::Call, &call("PutRecords", "s")).len()).collect();
    assert_eq!(drawn, [2, 2, 1, 1]);
    assert_eq!(faults.draw(Stage::Call, &call("ListShards", "s")).len(), 1);
    faults.replace(Vec::new());
    assert!(faults.is_empty());
}
