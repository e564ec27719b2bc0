//! Tests of the registry's rules, without sockets.
#![allow(clippy::unwrap_used, reason = "tests")]

use pelton_schema::{AvroSchema, Mode, compat::can_read, random, sample::Dice};
use serde_json::{Value as Json, json};

use super::{
    answers::Reply,
    normal,
    request::{Call, Query},
    store::Store,
};

const RECORD: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"}]}"#;
const WIDER: &str =
    r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b","type":"string","default":""}]}"#;
const WRONG: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}"#;

impl Store {
    /// One call, as HTTP makes it; the code of what is refused.
    fn ask(&self, method: &str, path: &str, body: &Json) -> Result<Json, u32> {
        self.say(method, path, body.to_string().as_bytes()).map_err(|refusal| refusal.code)
    }

    fn say(&self, method: &str, path: &str, body: &[u8]) -> Result<Json, super::refusal::Refusal> {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let reply = self.call(&Call::parse(method, path)?, &Query::parse(query)?, body)?;
        Ok(match reply {
            Reply::Json(json) => json,
            Reply::Text(text) => serde_json::from_str(&text).unwrap(),
        })
    }

    fn get(&self, path: &str) -> Result<Json, u32> {
        self.ask("GET", path, &json!(null))
    }

    fn post(&self, subject: &str, body: &Json) -> Result<Json, u32> {
        self.ask("POST", &format!("/subjects/{subject}/versions"), body).map(|answer| answer["id"].clone())
    }

    fn put_schema(&self, subject: &str, schema: &str) -> Result<Json, u32> {
        self.post(subject, &json!({ "schema": schema }))
    }

    fn delete(&self, path: &str) -> Result<Json, u32> {
        self.ask("DELETE", path, &json!(null))
    }
}

/// A record that can be read with any other of its name.
fn record(field: &str) -> String {
    json!({ "type": "record", "name": "R", "fields": [{ "name": field, "type": "int", "default": 0 }] }).to_string()
}

#[test]
fn the_same_schema_has_one_id_under_every_subject() {
    let store = Store::in_memory();
    let spaced = RECORD.replace(':', " :\n\t");
    assert_eq!(store.put_schema("a", RECORD), Ok(json!(1)));
    assert_eq!(store.put_schema("b%2Fc", &spaced), Ok(json!(1)));
    assert_eq!(store.put_schema("a", WIDER), Ok(json!(2)));
    assert_eq!(store.put_schema("a", &spaced), Ok(json!(1)));
    assert_eq!(store.put_schema(":.:a", WIDER), Ok(json!(2)), "the default context may be said");
    assert_eq!(store.get("/subjects"), Ok(json!(["a", "b/c"])));
    assert_eq!(store.get("/subjects/a/versions"), Ok(json!([1, 2])));
    assert_eq!(store.get("/schemas/ids/1/schema"), Ok(serde_json::from_str(RECORD).unwrap()));
    assert_eq!(store.get("/schemas/ids/1/subjects"), Ok(json!(["a", "b/c"])));
    assert_eq!(store.get("/schemas/ids/1/versions?subject=a"), Ok(json!([{ "subject": "a", "version": 1 }])));
    let by_id = store.get("/schemas/ids/1?fetchMaxId=True").unwrap();
    assert_eq!((&by_id["schema"], &by_id["maxId"]), (&json!(RECORD), &json!(2)));
    let guid = by_id["guid"].as_str().unwrap();
    assert_eq!(store.get(&format!("/schemas/guids/{guid}")).unwrap()["schema"], RECORD);
    assert_eq!(store.get(&format!("/schemas/guids/{guid}/ids")), Ok(json!([{ "context": ".", "id": 1 }])));
    for latest in ["latest", "-1"] {
        let found = store.get(&format!("/subjects/a/versions/{latest}")).unwrap();
        assert_eq!((&found["version"], &found["id"], &found["subject"]), (&json!(2), &json!(2), &json!("a")));
    }
    let found = store.ask("POST", "/subjects/a", &json!({ "schema": spaced })).unwrap();
    assert_eq!((&found["version"], &found["schema"], &found["guid"]), (&json!(1), &json!(RECORD), &json!(guid)));
    assert_eq!(
        store.put_schema("names", "string"),
        store.put_schema("names", " \"string\""),
        "a bare name is a schema"
    );
}

#[test]
fn errors_have_confluents_codes() {
    let store = Store::in_memory();
    store.put_schema("a", RECORD).unwrap();
    store.put_schema("gone", RECORD).unwrap();
    store.delete("/subjects/gone").unwrap();
    for (method, path, body, code) in [
        ("GET", "/subjects/x/versions", json!(null), 40401),
        ("GET", "/subjects/gone/versions", json!(null), 40401),
        ("GET", "/subjects/x/versions/1", json!(null), 40401),
        ("GET", "/subjects/a/versions/9", json!(null), 40402),
        ("GET", "/subjects/a/versions/9/schema", json!(null), 40402),
        ("GET", "/subjects/a/versions/9/referencedby", json!(null), 40402),
        ("GET", "/subjects/a/versions/zero", json!(null), 42202),
        ("GET", "/subjects/a/versions/0", json!(null), 42202),
        ("GET", "/subjects/a/versions/2147483648", json!(null), 42202),
        ("GET", "/schemas/ids/7", json!(null), 40403),
        ("GET", "/schemas/ids/x", json!(null), 40403),
        ("GET", "/schemas/ids/7/versions", json!(null), 40403),
        ("GET", "/schemas/guids/7", json!(null), 40403),
        ("GET", "/schemas/ids/1?format=resolved", json!(null), 422),
        ("GET", "/subjects?limit=x", json!(null), 400),
        ("GET", "/subjects/%ff/versions", json!(null), 400),
        ("PUT", "/config", json!({ "compatibility": "SOME" }), 42203),
        ("PUT", "/config", json!({ "compatibility": "DISABLED" }), 42203),
        ("PUT", "/config/a", json!({}), 42203),
        ("PUT", "/config/a", json!({ "compatibility": "FULL", "compatibilityGroup": "g" }), 422),
        ("GET", "/config/a", json!(null), 40408),
        ("DELETE", "/config/a", json!(null), 40401),
        ("PUT", "/mode", json!({ "mode": "FORWARD" }), 42204),
        ("PUT", "/mode", json!({ "mode": "IMPORT" }), 42205),
        ("GET", "/mode/a", json!(null), 40409),
        ("DELETE", "/mode/a", json!(null), 40401),
        ("DELETE", "/subjects/x", json!(null), 40401),
        ("DELETE", "/subjects/gone", json!(null), 40404),
        ("DELETE", "/subjects/a?permanent=true", json!(null), 40405),
        ("DELETE", "/subjects/gone/versions/1", json!(null), 40406),
        ("DELETE", "/subjects/a/versions/1?permanent=true", json!(null), 40407),
        ("DELETE", "/subjects/a/versions/9", json!(null), 40402),
        ("PATCH", "/subjects/a", json!(null), 405),
        ("GET", "/subjects/a", json!(null), 405),
        ("GET", "/exporters", json!(null), 404),
    ] {
        assert_eq!(store.ask(method, path, &body), Err(code), "{method} {path} {body}");
    }
}

#[test]
fn schemas_that_cannot_be_have_confluents_codes() {
    let store = Store::in_memory();
    store.put_schema("a", RECORD).unwrap();
    let (nested, long) = ("[".repeat(100_000), "x".repeat(2 << 20));
    let other = json!({ "schema": "\"int\"" });
    for (method, path, body, code) in [
        ("POST", "/subjects/a", other.clone(), 40403),
        ("POST", "/subjects/x", other.clone(), 40401),
        ("POST", "/subjects/a", json!({ "schema": "{" }), 42201),
        ("POST", "/subjects/a/versions", json!({ "schema": WRONG }), 409),
        ("POST", "/subjects/a/versions", json!({ "schema": "{\"type\":\"recor\"}" }), 42201),
        ("POST", "/subjects/a/versions", json!({ "schema": nested }), 42201),
        ("POST", "/subjects/a/versions", json!({ "schema": long }), 42209),
        ("POST", "/subjects/a/versions", json!({ "schema": { "type": "int" } }), 42201),
        ("POST", "/subjects/x/versions", json!({}), 42201),
        ("POST", "/subjects/a/versions", json!([]), 42201),
        ("POST", "/subjects/a/versions", json!({ "schema": "{}", "schemaType": "XML" }), 42201),
        (
            "POST",
            "/subjects/a/versions",
            json!({ "schema": RECORD, "ruleSet": { "domainRules": [{ "name": "x" }] } }),
            42210,
        ),
        ("POST", "/subjects/a/versions", json!({ "schema": RECORD, "metadata": { "properties": { "a": 1 } } }), 42201),
        ("POST", "/subjects/a/versions", json!({ "schema": "\"int\"", "id": 9 }), 42205),
        ("POST", "/subjects/:.other:a/versions", other.clone(), 42208),
        ("POST", "/subjects/%00/versions", other.clone(), 42208),
        ("POST", "/compatibility/subjects/a/versions/9", other.clone(), 40402),
        ("POST", "/compatibility/subjects/a/versions", json!({ "schema": "{" }), 42201),
    ] {
        assert_eq!(
            store.ask(method, path, &body),
            Err(code),
            "{method} {path} {}",
            &body.to_string()[..body.to_string().len().min(90)]
        );
    }
}

#[test]
fn levels_and_normal_forms_are_kept_per_subject() {
    let store = Store::in_memory();
    let put = |path: &str, body: Json| store.ask("PUT", path, &body);
    assert_eq!(store.get("/config"), Ok(json!({ "compatibilityLevel": "BACKWARD" })));
    assert_eq!(put("/config", json!({ "compatibility": "none" })), Ok(json!({ "compatibility": "NONE" })));
    assert_eq!(put("/config/a", json!({ "normalize": true })), Ok(json!({ "normalize": true })));
    assert_eq!(store.get("/config/a"), Ok(json!({ "normalize": true })));
    let all = json!({ "compatibilityLevel": "NONE", "normalize": true });
    assert_eq!(store.get("/config/a?defaultToGlobal=true"), Ok(all));
    put("/config/a", json!({ "compatibilityLevel": "full_transitive" })).unwrap();
    assert_eq!(store.get("/config/a"), Ok(json!({ "compatibilityLevel": "FULL_TRANSITIVE", "normalize": true })));
    // The subject asks for normal forms.
    let turned = r#"{"fields":[{"type":{"type":"long"},"name":"a"}],"name":"R","type":"record"}"#;
    assert_eq!(store.put_schema("a", turned), Ok(json!(1)));
    assert_eq!(store.get("/schemas/ids/1").unwrap()["schema"], RECORD);
    assert_eq!(store.put_schema("a", RECORD), Ok(json!(1)));
    put("/config/a", json!({ "normalize": null })).unwrap();
    assert_eq!(store.ask("POST", "/subjects/a", &json!({ "schema": turned })), Err(40403));
    let found = store.ask("POST", "/subjects/a?normalize=true", &json!({ "schema": turned }));
    assert_eq!(found.unwrap()["version"], 1);
    // What was registered as it came is found by its normal form too.
    assert_eq!(store.put_schema("b", turned), Ok(json!(2)));
    assert_eq!(
        store.ask("POST", "/subjects/b/versions?normalize=true", &json!({ "schema": RECORD })).unwrap()["id"],
        2
    );
    assert_eq!(store.delete("/config/a"), Ok(json!({ "compatibilityLevel": "FULL_TRANSITIVE" })));
    assert_eq!(store.delete("/config"), Ok(json!({ "compatibilityLevel": "NONE" })));
    assert_eq!(store.get("/config/a?defaultToGlobal=true"), Ok(json!({ "compatibilityLevel": "BACKWARD" })));
}

#[test]
fn a_verdict_says_where_what_and_what_mends_it() {
    let store = Store::in_memory();
    store.put_schema("a", RECORD).unwrap();
    let check = |path: &str, schema: &str| {
        store.ask("POST", &format!("/compatibility/subjects/{path}"), &json!({ "schema": schema })).unwrap()
    };
    assert_eq!(check("a/versions", WIDER), json!({ "is_compatible": true }));
    assert_eq!(check("a/versions?verbose=true", WIDER), json!({ "is_compatible": true, "messages": [] }));
    assert_eq!(check("none/versions/latest", WRONG), json!({ "is_compatible": true }));
    let told = check("a/versions/1?verbose=true", WRONG);
    let expected = "the new schema cannot read version 1: at `a`: the reader has string, the writer long (type); \
                    let writers keep string, or write long to a field of another name";
    let expected = json!({ "is_compatible": false, "messages": [expected, "{compatibility: 'BACKWARD'}"] });
    assert_eq!(told, expected);
    let invalid = check("a/versions?verbose=true", "{");
    assert!(invalid["messages"][0].as_str().unwrap().contains("no JSON"), "{invalid}");
    let body = json!({ "schema": WRONG }).to_string();
    let refused = store.say("POST", "/subjects/a/versions", body.as_bytes()).unwrap_err();
    assert!(refused.message.contains("at `a`: the reader has string"), "{refused}");
    // Of other types nothing is known, so nothing new is let in.
    let json_schema = |title: &str| json!({ "schema": json!({ "title": title }).to_string(), "schemaType": "JSON" });
    assert_eq!(store.post("j", &json_schema("a")), Ok(json!(2)));
    assert_eq!(store.post("j", &json_schema("a")), Ok(json!(2)));
    assert_eq!(store.post("j", &json_schema("b")), Err(409));
    assert_eq!(store.put_schema("j", RECORD), Err(409));
    store.ask("PUT", "/config/j", &json!({ "compatibility": "NONE" })).unwrap();
    assert_eq!(store.post("j", &json_schema("b")), Ok(json!(3)));
    assert_eq!(store.get("/subjects/j/versions/1").unwrap()["schemaType"], "JSON");
}

#[test]
fn what_is_referred_to_is_found_and_stays() {
    let store = Store::in_memory();
    let one = |name: &str, of: &str| {
        json!({ "type": "record", "name": name, "namespace": "n", "fields": [{ "name": "f", "type": of }] }).to_string()
    };
    let refer = |to: &[(&str, i64)]| {
        to.iter()
            .map(|(subject, version)| json!({ "name": format!("n.{subject}"), "subject": subject, "version": version }))
            .collect::<Json>()
    };
    let post = |subject: &str, of: &str, to: &[(&str, i64)]| {
        store.post(subject, &json!({ "schema": one(subject, of), "references": refer(to) }))
    };
    assert_eq!(post("A", "int", &[]), Ok(json!(1)));
    assert_eq!(post("B", "n.A", &[("A", 1)]), Ok(json!(2)));
    // Both ways lead to A, which is there once.
    let both = json!({ "schema": r#"{"type":"record","name":"C","namespace":"n","fields":[{"name":"a","type":"A"},{"name":"b","type":"B"}]}"#, "references": refer(&[("A", -1), ("B", 1)]) });
    assert_eq!(store.post("C", &both), Ok(json!(3)));
    let kept = &store.get("/schemas/ids/3").unwrap()["references"];
    assert_eq!(
        kept[0],
        json!({ "name": "n.A", "subject": "A", "version": 1 }),
        "the latest is a number once it is kept"
    );
    assert_eq!(store.post("D", &both), Ok(json!(3)));
    for (to, code) in [(&[("A", 2)][..], 42201), (&[("none", 1)], 42201), (&[], 42201), (&[("A", 0)], 42201)] {
        assert_eq!(post("E", "n.A", to), Err(code), "{to:?}");
    }
    assert_eq!(store.get("/subjects/A/versions/1/referencedby"), Ok(json!([2, 3])));
    assert_eq!(store.delete("/subjects/A"), Err(42206));
    assert_eq!(store.delete("/subjects/A/versions/1"), Err(42206));
    store.delete("/subjects/C").unwrap();
    assert_eq!(store.get("/subjects/A/versions/1/referencedby"), Ok(json!([2, 3])), "D has it too");
    store.delete("/subjects/D").unwrap();
    assert_eq!(store.get("/subjects/A/versions/1/referencedby"), Ok(json!([2])));
    store.delete("/subjects/B").unwrap();
    store.delete("/subjects/A").unwrap();
    // Softly deleted schemas are read by their ids, and need what they refer to.
    assert_eq!(store.delete("/subjects/A?permanent=true"), Err(42206));
    assert_eq!(post("E", "n.A", &[("A", 1)]), Err(42201), "what is deleted is not for new schemas");
    for subject in ["C", "D", "B", "A"] {
        store.delete(&format!("/subjects/{subject}?permanent=true")).unwrap();
    }
    assert_eq!((store.get("/schemas/ids/1"), store.get("/subjects?deleted=true")), (Err(40403), Ok(json!([]))));
    assert_eq!(store.read().bytes(), 0);
}

#[test]
fn references_are_followed_to_a_depth() {
    let store = Store::in_memory();
    let mut to = json!([]);
    for depth in 0..70 {
        let inner = if depth == 0 { "int".to_owned() } else { format!("R{}", depth - 1) };
        let schema =
            json!({ "type": "record", "name": format!("R{depth}"), "fields": [{ "name": "f", "type": inner }] });
        let posted = store.post(&format!("r{depth}"), &json!({ "schema": schema.to_string(), "references": to }));
        assert_eq!(posted.is_ok(), depth <= 64, "{depth}: {posted:?}");
        to = json!([{ "name": format!("R{depth}"), "subject": format!("r{depth}"), "version": 1 }]);
    }
}

#[test]
fn versions_and_ids_are_given_once() {
    let store = Store::in_memory();
    let fields = ["a", "b", "c"].map(record);
    fields.iter().for_each(|text| drop(store.put_schema("s", text).unwrap()));
    assert_eq!(store.delete("/subjects/s/versions/latest"), Ok(json!(3)));
    assert_eq!(store.get("/subjects/s/versions?deleted=true"), Ok(json!([1, 2, 3])));
    assert_eq!(store.get("/subjects/s/versions?deletedOnly=true"), Ok(json!([3])));
    assert_eq!(store.get("/subjects/s/versions/3"), Err(40402));
    assert_eq!(store.get("/subjects/s/versions/3?deleted=true").unwrap()["deleted"], true);
    assert_eq!(store.get("/schemas/ids/3").unwrap()["schema"], fields[2]);
    assert_eq!(store.delete("/subjects/s/versions/3?permanent=true"), Ok(json!(3)));
    assert_eq!(store.get("/schemas/ids/3"), Err(40403));
    assert_eq!(store.put_schema("s", &record("d")), Ok(json!(4)), "a new schema gets no old id");
    assert_eq!(store.get("/subjects/s/versions"), Ok(json!([1, 2, 4])), "nor an old version");
    assert_eq!(store.put_schema("s", &fields[2]), Ok(json!(3)), "records that were written with it can be read again");
    // A subject has one version of an id.
    store.delete("/subjects/s/versions/1").unwrap();
    assert_eq!(store.put_schema("s", &fields[0]), Ok(json!(1)));
    assert_eq!(store.get("/subjects/s/versions?deleted=true"), Ok(json!([2, 4, 5, 6])));
    assert_eq!(store.delete("/subjects/s"), Ok(json!([2, 4, 5, 6])));
    assert_eq!(store.get("/subjects?deletedOnly=true"), Ok(json!(["s"])));
    assert_eq!(store.put_schema("s", &fields[0]), Ok(json!(1)));
    assert_eq!(store.get("/subjects/s/versions"), Ok(json!([7])));
}

#[test]
fn other_metadata_make_another_version() {
    let store = Store::in_memory();
    let with = |properties: Json| json!({ "schema": RECORD, "metadata": { "properties": properties } });
    assert_eq!(store.put_schema("s", RECORD), Ok(json!(1)));
    let full = json!({ "properties": { "owner": "me" }, "tags": { "R.a": ["PII", "PII"] }, "sensitive": ["owner"], "more": 1 });
    assert_eq!(store.post("s", &json!({ "schema": RECORD, "metadata": full })), Ok(json!(2)));
    let found = store.get("/subjects/s/versions/2").unwrap();
    let kept = json!({ "tags": { "R.a": ["PII"] }, "properties": { "owner": "me" }, "sensitive": ["owner"] });
    assert_eq!((&found["metadata"], &store.get("/schemas/ids/2").unwrap()["metadata"]), (&kept, &kept));
    // Who says nothing of them finds what is there, and leaves them to the next version.
    assert_eq!(store.put_schema("s", RECORD), Ok(json!(1)));
    assert_eq!(store.put_schema("s", WIDER), Ok(json!(3)));
    assert_eq!(store.get("/subjects/s/versions/3").unwrap()["metadata"], kept);
    assert_eq!(store.put_schema("s", WIDER), Ok(json!(3)));
    assert_eq!(store.post("s", &json!({ "schema": WIDER, "metadata": {} })), Ok(json!(4)), "none is said too");
    assert_eq!(store.get("/schemas/ids/4").unwrap().get("metadata"), None);
    // The text is the latest one where only metadata come.
    assert_eq!(store.post("s", &json!({ "metadata": { "properties": { "owner": "you" } } })), Ok(json!(5)));
    assert_eq!(store.get("/schemas/ids/5").unwrap()["schema"], WIDER);
    assert_eq!(store.post("other", &with(json!({ "owner": "you" }))), Ok(json!(6)));
    assert_eq!(store.get("/subjects/s/metadata?key=owner&value=me").unwrap()["version"], 3);
    assert_eq!(store.get("/subjects/s/metadata?key=owner&value=nobody"), Err(40403));
    let large = store.post("s", &with(json!({ "a": "x".repeat(100_000) })));
    assert_eq!(large, Err(42201));
}

#[test]
fn labels_are_said_of_a_version_later() {
    let store = Store::in_memory();
    store.put_schema("s", RECORD).unwrap();
    let path = "/_pelton/subjects/s/versions/1/labels";
    assert_eq!(store.get(path), Ok(json!({})));
    assert_eq!(store.ask("PUT", path, &json!({ "owner": "me" })), Ok(json!({ "owner": "me" })));
    assert_eq!(store.get(path), Ok(json!({ "owner": "me" })));
    assert_eq!(store.get("/subjects/s/versions"), Ok(json!([1])));
    let many: Json = (0..11).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    for bad in [many, json!({ "a": "x".repeat(257) }), json!({ "": "x" }), json!({ "a": 1 })] {
        assert_eq!(store.ask("PUT", path, &bad), Err(422));
    }
    assert_eq!((store.delete(path), store.get(path)), (Ok(json!({})), Ok(json!({}))));
    assert_eq!(store.get("/_pelton/subjects/s/versions/2/labels"), Err(40402));
}

#[test]
fn modes_say_what_may_be_done() {
    let store = Store::in_memory();
    let mode = |path: &str, mode: &str| store.ask("PUT", path, &json!({ "mode": mode }));
    store.put_schema("s", RECORD).unwrap();
    assert_eq!(mode("/mode/s", "READONLY"), Ok(json!({ "mode": "READONLY" })));
    assert_eq!(store.put_schema("s", RECORD), Ok(json!(1)), "what is there is found in any mode");
    assert_eq!((store.put_schema("s", WIDER), store.delete("/subjects/s")), (Err(42205), Err(42205)));
    assert_eq!(store.ask("PUT", "/config/s", &json!({ "compatibility": "NONE" })), Err(42205));
    mode("/mode", "READONLY").unwrap();
    mode("/mode/s", "READWRITE").unwrap();
    assert_eq!((store.put_schema("s", WIDER), store.put_schema("t", WIDER)), (Ok(json!(2)), Err(42205)));
    mode("/mode", "READONLY_OVERRIDE").unwrap();
    assert_eq!(store.put_schema("s", &record("b")), Err(42205), "no subject has it otherwise");
    assert_eq!(store.get("/mode/t?defaultToGlobal=true"), Ok(json!({ "mode": "READONLY_OVERRIDE" })));
    assert_eq!(store.delete("/mode"), Ok(json!({ "mode": "READONLY_OVERRIDE" })));
    assert_eq!(store.get("/mode"), Ok(json!({ "mode": "READWRITE" })));
    assert_eq!(store.delete("/mode/s"), Ok(json!({ "mode": "READWRITE" })));
}

#[test]
fn imports_keep_ids_and_versions() {
    let store = Store::in_memory();
    let import = |subject: &str, schema: &str, id: u32, version: u32| {
        store.post(subject, &json!({ "schema": schema, "id": id, "version": version }))
    };
    store.put_schema("old", "\"int\"").unwrap();
    assert_eq!(store.ask("PUT", "/mode", &json!({ "mode": "IMPORT" })), Err(42205));
    store.ask("PUT", "/mode?force=True", &json!({ "mode": "IMPORT" })).unwrap();
    assert_eq!(import("s", RECORD, 700, 3), Ok(json!(700)));
    assert_eq!(import("s", WRONG, 650, 2), Ok(json!(650)), "levels do not count, nor does the order");
    assert_eq!(import("s", RECORD, 700, 3), Ok(json!(700)));
    assert_eq!(import("t", RECORD, 700, 1), Ok(json!(700)));
    assert_eq!(import("t", RECORD, 701, 1), Err(42207), "a schema has one id");
    assert_eq!(import("t", WIDER, 700, 2), Err(42205), "an id has one schema");
    assert_eq!(import("s", WIDER, 702, 3), Err(42205), "a version has one id");
    assert_eq!(store.put_schema("s", WIDER), Err(42205), "an import gives the id");
    assert_eq!(import("odd", r#"{"type":"record","name":"a-b","fields":[]}"#, 710, 1), Ok(json!(710)));
    store.delete("/subjects/s/versions/3").unwrap();
    assert_eq!(import("s", RECORD, 700, 3), Ok(json!(700)), "what was deleted comes back");
    assert_eq!(store.get("/subjects/s/versions"), Ok(json!([2, 3])));
    store.ask("PUT", "/mode", &json!({ "mode": "READWRITE" })).unwrap();
    assert_eq!(import("s", WIDER, 702, 4), Err(42205));
    assert_eq!(store.post("s", &json!({ "schema": WIDER, "version": 9 })), Err(42201));
    assert_eq!(store.post("s", &json!({ "schema": WIDER, "version": 4 })), Ok(json!(711)), "ids go on behind the last");
    let odd = |subject: &str| store.put_schema(subject, r#"{"type":"record","name":"a-b","fields":[]}"#);
    assert_eq!(
        (odd("odd"), odd("new")),
        (Ok(json!(710)), Err(42201)),
        "what is there is found, though it has a defect"
    );
}

#[test]
fn lists_have_prefixes_and_pages() {
    let store = Store::in_memory();
    for subject in ["a1", "a2", "b"] {
        ["x", "y"].into_iter().for_each(|field| drop(store.put_schema(subject, &record(field)).unwrap()));
    }
    store.delete("/subjects/a2/versions/2").unwrap();
    let list = |query: &str| {
        let all = store.get(&format!("/schemas?{query}")).unwrap();
        let one = |one: &Json| format!("{}:{}", one["subject"].as_str().unwrap(), one["version"]);
        all.as_array().unwrap().iter().map(one).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list(""), "a1:1 a1:2 a2:1 b:1 b:2");
    assert_eq!(list("subjectPrefix=a&latestOnly=true"), "a1:2 a2:1");
    assert_eq!(list("subjectPrefix=a2&deleted=true"), "a2:1 a2:2");
    assert_eq!(list("offset=1&limit=2"), "a1:2 a2:1");
    assert_eq!(list("offset=9"), "");
    assert_eq!(store.get("/subjects?subjectPrefix=:*:a&offset=1&limit=-1"), Ok(json!(["a2"])));
    assert_eq!(store.get("/subjects/b/versions?limit=1"), Ok(json!([1])));
    assert_eq!(store.get("/schemas/types"), Ok(json!(["AVRO", "JSON", "PROTOBUF"])));
    assert_eq!((store.get("/"), store.get("/contexts")), (Ok(json!({})), Ok(json!(["."]))));
    assert!(store.get("/v1/metadata/id").unwrap()["scope"]["clusters"].is_object());
    assert!(store.get("/v1/metadata/version").unwrap()["version"].is_string());
}

#[test]
fn a_history_is_let_in_exactly_when_its_mode_says_so() {
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..400 {
        let mut dice = Dice(seed);
        let store = Store::in_memory();
        let level = Mode::ALL[dice.below(7)];
        let name = level.confluent_name().unwrap();
        let path = if dice.percent(50) { "/config" } else { "/config/s" };
        store.ask("PUT", path, &json!({ "compatibility": name })).unwrap();
        let mut texts = vec![random::schema(&mut dice)];
        let mut shown: Vec<(u64, AvroSchema)> = Vec::new();
        for step in 0..6 {
            let new = if step == 0 {
                texts[0].clone()
            } else {
                let from = dice.below(texts.len());
                random::changed(&mut dice, &texts[from])
            };
            let schema = AvroSchema::parse_strict(&new.to_string(), &[]).unwrap();
            let old: Vec<&AvroSchema> = shown.iter().map(|(_, schema)| schema).collect();
            let body = json!({ "schema": new.to_string() });
            let is_known = store.ask("POST", "/subjects/s", &body).is_ok();
            let expected = is_known || level.check(&schema, &old).is_compatible();
            let asked = store.ask("POST", "/compatibility/subjects/s/versions", &body).unwrap();
            let answer = store.ask("POST", "/subjects/s/versions", &body);
            assert_eq!(
                answer.as_ref().map(|_| ()),
                if expected { Ok(()) } else { Err(&409) },
                "seed {seed}, {level}: {texts:?} then {new}"
            );
            assert!(is_known || asked["is_compatible"] == expected, "seed {seed}");
            match answer {
                Ok(answer) if !is_known => {
                    accepted += 1;
                    shown.push((answer["version"].as_u64().unwrap(), schema));
                    texts.push(new);
                }
                Ok(_) => {}
                Err(_) => refused += 1,
            }
            // What is deleted does not count any more.
            if shown.len() > 1 && dice.percent(20) {
                let (version, _) = shown.remove(dice.below(shown.len()));
                store.delete(&format!("/subjects/s/versions/{version}")).unwrap();
            }
        }
    }
    assert!(accepted > 500 && refused > 500, "{accepted} {refused}");
}

#[test]
fn a_normal_form_means_the_same_and_is_its_own() {
    for seed in 0..1000 {
        let mut dice = Dice(seed);
        let text = random::schema(&mut dice).to_string();
        let form = normal::form(&text, &[]).unwrap();
        assert_eq!(normal::form(&form, &[]).unwrap(), form);
        let (one, other) =
            (AvroSchema::parse_strict(&text, &[]).unwrap(), AvroSchema::parse_strict(&form, &[]).unwrap());
        assert_eq!(one.canonical(), other.canonical(), "seed {seed}");
        assert_eq!(can_read(&one, &other), can_read(&one, &one), "seed {seed}");
        assert_eq!(can_read(&other, &one), can_read(&one, &one), "seed {seed}");
    }
    let form = |text: &str, references: &[String]| normal::form(text, references).unwrap();
    let named = r#"{"namespace":"n","name":"R","type":"record","z":{"b":1,"a":2},"aliases":["Q"],"fields":[
        {"name":"self","aliases":[],"type":["null","R"]},{"type":"Other","name":"o"},{"name":"e","type":{"type":"enum","name":"m.E","symbols":["A"]}},
        {"name":"i","type":{"name":"Inner","type":"record","namespace":"","fields":[{"name":"x","type":"n.R"}]}}]}"#;
    let expected = r#"{"type":"record","name":"R","namespace":"n","aliases":["n.Q"],"fields":[{"name":"self","type":["null","n.R"]},{"name":"o","type":"n.Other"},{"name":"e","type":{"type":"enum","name":"E","namespace":"m","symbols":["A"]}},{"name":"i","type":{"type":"record","name":"Inner","namespace":"","fields":[{"name":"x","type":"n.R"}]}}],"z":{"a":2,"b":1}}"#;
    let other = r#"{"type":"fixed","name":"n.Other","size":1}"#.to_owned();
    assert_eq!(form(named, std::slice::from_ref(&other)), expected);
    assert_eq!(form(expected, &[other]), expected);
    let kept = "{\"a\\\" b\" : [ 1.50 ,\t12345678901234567890123 , \"\\u00e9 \" ] }";
    assert_eq!(normal::bare(kept).unwrap(), "{\"a\\\" b\":[1.50,12345678901234567890123,\"\\u00e9 \"]}");
}

#[test]
fn hostile_requests_are_refused_in_words() {
    let store = Store::in_memory();
    store.put_schema("s", RECORD).unwrap();
    let body = json!({ "schema": RECORD, "schemaType": "AVRO", "references": [{ "name": "n", "subject": "s", "version": 1 }], "metadata": { "tags": { "a": ["b"] } }, "id": 1, "version": 2 }).to_string();
    let paths = [
        "subjects/s/versions",
        "subjects/s",
        "compatibility/subjects/s/versions?verbose=true",
        "config/s",
        "mode/s",
        "_pelton/subjects/s/versions/1/labels",
        "schemas/ids/1",
        "subjects/s/versions/1?deleted=%&limit=%zz",
        "schemas/guids/0",
    ];
    let mut dice = Dice(7);
    for _ in 0..20_000 {
        let mut bytes = body.clone().into_bytes();
        let mut path = paths[dice.below(paths.len())].as_bytes().to_vec();
        for damaged in [&mut bytes, &mut path] {
            for _ in 0..dice.below(4) {
                let place = dice.below(damaged.len().max(1)).min(damaged.len().saturating_sub(1));
                match dice.below(3) {
                    0 if !damaged.is_empty() => damaged[place] = dice.bits() as u8,
                    1 if !damaged.is_empty() => drop(damaged.remove(place)),
                    _ => damaged.insert(place, dice.bits() as u8),
                }
            }
        }
        let method = ["GET", "POST", "PUT", "DELETE", "BREW"][dice.below(5)];
        if let Err(refusal) = store.say(method, &format!("/{}", String::from_utf8_lossy(&path)), &bytes) {
            assert!((400..=501).contains(&refusal.status()) && !refusal.message.is_empty(), "{refusal:?}");
            assert!(refusal.code != 50001, "{refusal:?}");
        }
    }
}

#[test]
fn schemas_that_would_take_for_ever_are_refused() {
    let store = Store::in_memory();
    let unions = |unions: usize, branches: usize, kind: &str| {
        let name = |number: usize| json!(format!("N{}", number % branches));
        let record =
            |number| json!({ "type": "record", "name": name(number), "fields": [{ "name": "f", "type": kind }] });
        let mut fields = vec![json!({ "name": "u", "type": (0..branches).map(record).collect::<Json>() })];
        let union = |first| (first..first + branches).map(name).collect::<Json>();
        fields.extend((1..unions).map(|first| json!({ "name": format!("u{first}"), "type": union(first) })));
        json!({ "type": "record", "name": "R", "fields": fields }).to_string()
    };
    assert_eq!(store.put_schema("many", &unions(4, 1000, "int")), Ok(json!(1)));
    assert_eq!(store.put_schema("many", &unions(4, 1000, "string")), Err(409));
    assert_eq!(store.put_schema("more", &unions(5, 1000, "int")), Err(42201));
    let numbers = (0..60_000).map(|number| json!({ "name": format!("f{number}"), "type": "int" })).collect::<Json>();
    let wide = json!({ "type": "record", "name": "R", "fields": numbers }).to_string();
    assert!(matches!(store.put_schema("wide", &wide), Err(42201 | 42209)));
    // Deep by names: nothing follows them without an end.
    let inner = |number: usize| json!(["null", format!("D{}", number + 1)]);
    let deep = |last: &str| {
        let one = |number: usize| {
            let kind = if number == 2000 { json!(last) } else { inner(number) };
            json!({ "type": "record", "name": format!("D{number}"), "fields": [{ "name": "f", "type": kind }] })
        };
        let fields = (0..=2000).map(|number| json!({ "name": format!("f{number}"), "type": one(number) }));
        json!({ "type": "record", "name": "R", "fields": fields.collect::<Json>() }).to_string()
    };
    assert_eq!(store.put_schema("deep", &deep("int")), Ok(json!(2)));
    let body = json!({ "schema": deep("string") }).to_string();
    let refused = store.say("POST", "/subjects/deep/versions", body.as_bytes()).unwrap_err();
    assert!(refused.code == 409 && refused.message.len() < 100_000, "{}", refused.message.len());
}
