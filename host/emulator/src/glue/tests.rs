//! Modes against the model, lists page by page, what a directory gives back.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;

use pelton_schema::{AvroSchema, Mode, random, sample::Dice};
use serde_json::{Value as Json, json};

use super::state::id_of;
use super::*;

fn done(glue: &Glue, operation: &str, body: Json) -> Json {
    glue.call(1_767_225_600_123, operation, &body).unwrap_or_else(|error| panic!("{operation} {body}: {error}"))
}

fn refused(glue: &Glue, operation: &str, body: Json) -> GlueError {
    glue.call(0, operation, &body).map(|answer| panic!("{operation} {body}: {answer}")).unwrap_err()
}

fn named(schema: &str) -> Json {
    json!({ "RegistryName": "default-registry", "SchemaName": schema })
}

fn create(glue: &Glue, schema: &str, mode: &str, definition: &str) -> Json {
    let call =
        json!({ "SchemaName": schema, "DataFormat": "AVRO", "Compatibility": mode, "SchemaDefinition": definition });
    done(glue, "CreateSchema", call)
}

fn register(glue: &Glue, schema: &str, definition: &str) -> Json {
    done(glue, "RegisterSchemaVersion", json!({ "SchemaId": named(schema), "SchemaDefinition": definition }))
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

const A: &str = r#"{"name":"a","type":"int"}"#;
const B: &str = r#"{"name":"b","type":"int","default":0}"#;

#[test]
fn every_mode_lets_in_what_the_model_lets_in() {
    for mode in Mode::ALL.into_iter().filter(|mode| *mode != Mode::Disabled) {
        let (mut good, mut bad) = (0, 0);
        for seed in 0..40 {
            let mut dice = Dice(seed);
            let glue = Glue::in_memory();
            let first = random::schema(&mut dice);
            create(&glue, "s", mode.glue_name(), &first.to_string());
            let (mut taken, mut known) = (vec![first.clone()], vec![first]);
            for _ in 0..8 {
                let last = random::changed(&mut dice, &taken[taken.len() - 1]);
                // What is there already is not compared.
                if known.contains(&last) {
                    continue;
                }
                known.push(last.clone());
                let Ok(new) = AvroSchema::parse_strict(&last.to_string(), &[]) else { break };
                let looked_at = if mode.is_transitive() { &taken[..] } else { &taken[..1] };
                let old: Vec<_> =
                    looked_at.iter().map(|text| AvroSchema::parse(&text.to_string(), &[]).unwrap()).collect();
                let wanted = mode.check(&new, &old.iter().collect::<Vec<_>>()).is_compatible();
                let status = register(&glue, "s", &last.to_string())["Status"].clone();
                assert_eq!(status, if wanted { "AVAILABLE" } else { "FAILURE" }, "{mode} seed {seed}: {last}");
                *(if wanted { &mut good } else { &mut bad }) += 1;
                if wanted {
                    taken.push(last.clone());
                }
            }
        }
        assert!(good > 20 && (bad > 20 || mode == Mode::None), "{mode}: {good} {bad}");
    }
}

#[test]
fn the_checkpoint_is_what_counts_and_a_failure_is_passed_over() {
    let glue = Glue::in_memory();
    create(&glue, "s", "FORWARD", &record(A));
    assert_eq!(register(&glue, "s", &record(&format!("{A},{B}")))["Status"], "AVAILABLE");
    // Version 2 could not read it, and the checkpoint can.
    let c = r#"{"name":"c","type":"string"}"#;
    assert_eq!(register(&glue, "s", &record(&format!("{A},{c}")))["VersionNumber"], 3);
    let failed = register(&glue, "s", &record(B));
    assert_eq!((&failed["Status"], &failed["VersionNumber"]), (&json!("FAILURE"), &json!(4)));
    let latest = json!({ "SchemaId": named("s"), "SchemaVersionNumber": { "LatestVersion": true } });
    assert_eq!(done(&glue, "GetSchemaVersion", latest)["VersionNumber"], 3);
    let four = json!({ "SchemaId": named("s"), "SchemaVersionNumber": { "VersionNumber": 4 } });
    assert_eq!(done(&glue, "GetSchemaVersion", four.clone())["Status"], "FAILURE");
    assert_eq!(refused(&glue, "UpdateSchema", four).kind, GlueErrorKind::InvalidInput);
    let two = json!({ "SchemaId": named("s"), "SchemaVersionNumber": { "VersionNumber": 2 }, "Compatibility": "FULL" });
    done(&glue, "UpdateSchema", two);
    // As AWS has it: known definitions come back as they are.
    assert_eq!(register(&glue, "s", &record(B)), failed);
    let shown = done(&glue, "GetSchema", json!({ "SchemaId": named("s") }));
    assert_eq!((&shown["SchemaCheckpoint"], &shown["NextSchemaVersion"]), (&json!(2), &json!(5)));
    let deleted = done(&glue, "DeleteSchemaVersions", json!({ "SchemaId": named("s"), "Versions": "3-9" }));
    assert_eq!(deleted["SchemaVersionErrors"], json!([]));
    for versions in ["1-2", "2", "1"] {
        refused(&glue, "DeleteSchemaVersions", json!({ "SchemaId": named("s"), "Versions": versions }));
    }
    // It was forgotten, and its number was not.
    assert_eq!(register(&glue, "s", &record(B))["VersionNumber"], 5);
}

#[test]
fn ids_follow_from_what_a_version_is() {
    let glue = Glue::in_memory();
    let made = create(&glue, "s", "NONE", "\"int\"");
    assert_eq!(made["SchemaVersionId"], id_of("default-registry", "s", state::Format::Avro, " \"int\"\n"));
    assert_eq!(made["SchemaVersionId"], "6c478c78-56eb-8dc9-8b82-5912c25ff904");
    assert_eq!(register(&glue, "s", "\n\"int\" ")["VersionNumber"], 1, "white space means nothing");
    assert_ne!(create(&glue, "t", "NONE", "\"int\"")["SchemaVersionId"], made["SchemaVersionId"]);
    let found = done(&glue, "GetSchemaVersion", json!({ "SchemaVersionId": made["SchemaVersionId"] }));
    assert_eq!(found["CreatedTime"], "2026-01-01T00:00:00.123Z");
}

/// Everything that lists and queries say.
fn seen(glue: &Glue) -> Vec<Json> {
    let mut seen = Vec::new();
    for (operation, member) in [("ListRegistries", "Registries"), ("ListSchemas", "Schemas")] {
        let mut token = json!(null);
        loop {
            let page = done(glue, operation, json!({ "MaxResults": 2, "NextToken": token }));
            seen.extend(page[member].as_array().unwrap().iter().cloned());
            token = page["NextToken"].clone();
            if token.is_null() {
                break;
            }
        }
    }
    for schema in seen.clone().iter().filter(|one| !one["SchemaArn"].is_null()) {
        let id = json!({ "SchemaId": { "SchemaArn": schema["SchemaArn"] } });
        seen.push(done(glue, "GetSchema", id.clone()));
        for version in done(glue, "ListSchemaVersions", id)["Schemas"].as_array().unwrap() {
            let id = json!({ "SchemaVersionId": version["SchemaVersionId"] });
            seen.push(done(glue, "GetSchemaVersion", id.clone()));
            seen.push(done(glue, "QuerySchemaVersionMetadata", id));
        }
    }
    seen
}

/// A call that changes something, if it may.
fn change(glue: &Glue, dice: &mut Dice) {
    let registry = ["default-registry", "r1", "r2"][dice.below(3)];
    let id = json!({ "RegistryName": registry, "SchemaName": format!("s{}", dice.below(4)) });
    let definition = random::schema(&mut Dice(dice.bits() % 20)).to_string();
    let number = json!({ "VersionNumber": 1 + dice.below(4) });
    let pair = json!({ "MetadataKey": format!("k{}", dice.below(3)), "MetadataValue": format!("v{}", dice.below(2)) });
    let (operation, body) = match dice.below(14) {
        0..=1 => ("CreateRegistry", json!({ "RegistryName": registry, "Description": "é\n" })),
        2..=4 => (
            "CreateSchema",
            json!({ "RegistryId": { "RegistryName": registry }, "SchemaName": id["SchemaName"], "DataFormat": "AVRO",
                    "Compatibility": Mode::ALL[dice.below(8)].glue_name(), "SchemaDefinition": definition }),
        ),
        5..=8 => ("RegisterSchemaVersion", json!({ "SchemaId": id, "SchemaDefinition": definition })),
        9..=10 => (
            "PutSchemaVersionMetadata",
            json!({ "SchemaId": id, "SchemaVersionNumber": number, "MetadataKeyValue": pair }),
        ),
        11 => ("DeleteSchemaVersions", json!({ "SchemaId": id, "Versions": format!("{}", 1 + dice.below(5)) })),
        12 => ("UpdateSchema", json!({ "SchemaId": id, "SchemaVersionNumber": number, "Compatibility": "NONE" })),
        _ if dice.percent(50) => ("DeleteSchema", json!({ "SchemaId": id })),
        _ => ("DeleteRegistry", json!({ "RegistryId": { "RegistryName": registry } })),
    };
    if let Err(error) = glue.call(dice.bits() % (1 << 40), operation, &body) {
        assert_ne!(error.kind, GlueErrorKind::InternalService, "{operation} {body}: {error}");
    }
}

#[test]
fn what_was_done_is_there_again_also_as_a_snapshot_and_after_a_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("glue/registry.log");
    let mut dice = Dice(11);
    let (mut sizes, mut most) = (Vec::new(), 0);
    for _ in 0..60 {
        let glue = Glue::on_disk(dir.path()).unwrap();
        (0..3).for_each(|_| change(&glue, &mut dice));
        let seen = seen(&glue);
        most = most.max(seen.len());
        let state = glue.lock().state.clone();
        drop(glue);
        let (again, _) = log::load(&dir.path().join("glue")).unwrap();
        assert_eq!(again, state);
        let mut other = State::new();
        for entry in state.snapshot() {
            let text = serde_json::to_string(&entry).unwrap();
            other.apply(serde_json::from_str(&text).unwrap()).unwrap();
        }
        assert_eq!(other, state);
        sizes.push((fs::metadata(&path).unwrap().len(), state));
    }
    assert!(most > 15, "{most}");
    let whole = fs::read(&path).unwrap();
    for cut in (0..whole.len()).step_by(61) {
        fs::write(&path, &whole[..cut]).unwrap();
        let (state, _) = log::load(&dir.path().join("glue")).unwrap();
        let before = sizes.iter().rev().find(|(size, _)| *size <= cut as u64);
        let is_between = fs::metadata(&path).unwrap().len() != before.map_or(0, |(size, _)| *size);
        assert!(is_between || state == before.map_or_else(State::new, |(_, state)| state.clone()), "{cut}");
    }
    let mut damaged = whole.clone();
    damaged[20] ^= 1;
    fs::write(&path, &damaged).unwrap();
    assert!(Glue::on_disk(dir.path()).unwrap_err().to_string().contains("is damaged"));
}

#[test]
fn a_log_that_is_mostly_past_is_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    let glue = Glue::on_disk(dir.path()).unwrap();
    let large = format!("{{\"type\":\"int\",\"doc\":\"{}\"}}", "x".repeat(169_000));
    for _ in 0..20 {
        create(&glue, "s", "NONE", &large);
        done(&glue, "DeleteSchema", json!({ "SchemaId": named("s") }));
    }
    create(&glue, "s", "NONE", &large);
    let state = glue.lock().state.clone();
    drop(glue);
    assert!(fs::metadata(dir.path().join("glue/registry.log")).unwrap().len() < 2 << 20);
    assert_eq!(Glue::on_disk(dir.path()).unwrap().lock().state, state);
}

#[test]
fn what_cannot_be_is_refused_with_glues_names() {
    use GlueErrorKind::{AlreadyExists, EntityNotFound, InvalidInput, Serialization};
    let glue = Glue::in_memory();
    create(&glue, "s", "DISABLED", "\"int\"");
    let schema = |definition: &str| json!({ "SchemaName": "t", "DataFormat": "AVRO", "SchemaDefinition": definition });
    let long = format!("{{\"type\":\"int\",\"doc\":\"{}\"}}", "x".repeat(170_000));
    let two = json!({ "SchemaArn": "arn:aws:glue:eu-west-1:1:schema/default-registry/s", "SchemaName": "s" });
    for (operation, body, kind, words) in [
        ("CreateRegistry", json!({ "RegistryName": "a b" }), InvalidInput, "registryName"),
        ("CreateRegistry", json!({ "RegistryName": 7 }), Serialization, "string"),
        ("CreateRegistry", json!({}), InvalidInput, "RegistryName is required"),
        ("CreateRegistry", json!({ "RegistryName": "default-registry" }), AlreadyExists, "Registry already exists"),
        ("GetRegistry", json!({ "RegistryId": { "RegistryName": "x" } }), EntityNotFound, "Registry is not found."),
        ("GetSchema", json!({ "SchemaId": named("x") }), EntityNotFound, "Schema is not found."),
        ("GetSchema", json!({ "SchemaId": two }), InvalidInput, "both cannot be provided"),
        ("GetSchema", json!({ "SchemaId": { "SchemaName": "s" } }), InvalidInput, "At least one of"),
        (
            "CreateSchema",
            schema("\"int\"")
                .as_object()
                .map(|all| {
                    json!({ "SchemaName": "s", "DataFormat": "AVRO",
            "SchemaDefinition": all["SchemaDefinition"] })
                })
                .unwrap(),
            AlreadyExists,
            "Schema already exists",
        ),
        ("CreateSchema", schema("{\"type\":"), InvalidInput, "Schema definition of AVRO data format is invalid"),
        ("CreateSchema", schema(" "), InvalidInput, "schemaDefinition"),
        ("CreateSchema", schema(&long), InvalidInput, "schemaDefinition"),
        (
            "RegisterSchemaVersion",
            json!({ "SchemaId": named("s"), "SchemaDefinition": "\"long\"" }),
            InvalidInput,
            "Compatibility DISABLED does not allow versioning",
        ),
        (
            "GetSchemaByDefinition",
            json!({ "SchemaId": named("s"), "SchemaDefinition": "\"long\"" }),
            EntityNotFound,
            "Schema version is not found.",
        ),
        ("GetSchemaVersion", json!({ "SchemaVersionId": "1" }), InvalidInput, "schemaVersionId"),
        (
            "GetSchemaVersion",
            json!({ "SchemaVersionId": "00000000-0000-0000-0000-000000000000" }),
            EntityNotFound,
            "Schema version is not found.",
        ),
        ("ListSchemas", json!({ "MaxResults": 0 }), InvalidInput, "MaxResults"),
        ("ListSchemas", json!({ "NextToken": "?" }), InvalidInput, "NextToken"),
        ("UpdateSchema", json!({ "SchemaId": named("s"), "Compatibility": "NONE" }), InvalidInput, "a checkpoint"),
        ("DeleteSchemaVersions", json!({ "SchemaId": named("s"), "Versions": "2-1" }), InvalidInput, "a range"),
    ] {
        let error = refused(&glue, operation, body.clone());
        assert!(error.kind == kind && error.message.contains(words), "{operation} {body}: {error}");
    }
    assert_eq!(refused(&glue, "GetTable", json!({})).kind, GlueErrorKind::UnknownOperation);
}

#[test]
fn a_version_has_ten_pairs_at_most() {
    let glue = Glue::in_memory();
    create(&glue, "s", "NONE", "\"int\"");
    for number in 0..10 {
        let pair = json!({ "MetadataKey": "k", "MetadataValue": format!("v{number}") });
        let version = json!({ "VersionNumber": 1 });
        done(
            &glue,
            "PutSchemaVersionMetadata",
            json!({ "SchemaId": named("s"), "SchemaVersionNumber": version, "MetadataKeyValue": pair }),
        );
    }
    let more = json!({ "SchemaId": named("s"), "SchemaVersionNumber": { "LatestVersion": true },
        "MetadataKeyValue": { "MetadataKey": "k", "MetadataValue": "w" } });
    let error = refused(&glue, "PutSchemaVersionMetadata", more);
    assert_eq!(error.kind, GlueErrorKind::ResourceNumberLimitExceeded);
}
