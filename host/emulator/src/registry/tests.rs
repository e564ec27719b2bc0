//! Tests of the registry's rules, without sockets.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const RECORD: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"}]}"#;

fn call(subjects: &mut Subjects, method: &str, path: &str, body: Value) -> Result<Value, u32> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
    route(subjects, &method, path, query, body.to_string().as_bytes()).map_err(|r| r.code)
}

#[test]
fn the_same_schema_has_one_id_under_every_subject() {
    let mut subjects = Subjects::default();
    let spaced = RECORD.replace(':', " : ");
    let first = call(&mut subjects, "POST", "/subjects/a/versions", json!({ "schema": RECORD }));
    let again = call(&mut subjects, "POST", "/subjects/b%2Fc/versions", json!({ "schema": spaced }));
    assert_eq!((first, again), (Ok(json!({ "id": 1 })), Ok(json!({ "id": 1 }))));
    let other = call(&mut subjects, "POST", "/subjects/a/versions", json!({ "schema": "\"string\"" }));
    assert_eq!(other, Ok(json!({ "id": 2 })));
    assert_eq!(call(&mut subjects, "GET", "/subjects", json!(null)), Ok(json!(["a", "b/c"])));
    assert_eq!(call(&mut subjects, "GET", "/subjects/a/versions", json!(null)), Ok(json!([1, 2])));
    assert_eq!(call(&mut subjects, "GET", "/schemas/ids/1", json!(null)), Ok(json!({ "schema": RECORD })));
    let latest = call(&mut subjects, "GET", "/subjects/a/versions/latest", json!(null)).unwrap();
    assert_eq!((&latest["version"], &latest["id"]), (&json!(2), &json!(2)));
    let found = call(&mut subjects, "POST", "/subjects/a", json!({ "schema": RECORD })).unwrap();
    assert_eq!((&found["version"], &found["subject"]), (&json!(1), &json!("a")));
}

#[test]
fn errors_have_confluents_codes() {
    let mut subjects = Subjects::default();
    call(&mut subjects, "POST", "/subjects/a/versions", json!({ "schema": RECORD })).unwrap();
    let nested = "[".repeat(100_000);
    for (method, path, body, code) in [
        ("GET", "/subjects/x/versions", json!(null), 40401),
        ("GET", "/subjects/x/versions/1", json!(null), 40401),
        ("GET", "/subjects/a/versions/9", json!(null), 40402),
        ("GET", "/subjects/a/versions/zero", json!(null), 42202),
        ("GET", "/schemas/ids/7", json!(null), 40403),
        ("GET", "/schemas/ids/x", json!(null), 40403),
        ("POST", "/subjects/a", json!({ "schema": "\"int\"" }), 40403),
        ("POST", "/subjects/a/versions", json!({ "schema": "{\"type\":\"recor\"}" }), 42201),
        ("POST", "/subjects/a/versions", json!({ "schema": nested }), 42201),
        ("POST", "/subjects/a/versions", json!({}), 42201),
        ("POST", "/subjects/a/versions", json!({ "schema": "{}", "schemaType": "JSON" }), 42201),
        ("PUT", "/config", json!({ "compatibility": "SOME" }), 42203),
        ("GET", "/config/a", json!(null), 40408),
        ("DELETE", "/subjects/a", json!(null), 404),
    ] {
        assert_eq!(call(&mut subjects, method, path, body), Err(code), "{method} {path}");
    }
}

#[test]
fn levels_are_kept_per_subject() {
    let mut subjects = Subjects::default();
    let level = |subjects: &mut Subjects, path: &str| {
        call(subjects, "GET", path, json!(null)).map(|v| v["compatibilityLevel"].as_str().unwrap().to_owned())
    };
    assert_eq!(level(&mut subjects, "/config"), Ok("BACKWARD".into()));
    call(&mut subjects, "PUT", "/config", json!({ "compatibility": "none" })).unwrap();
    call(&mut subjects, "PUT", "/config/a", json!({ "compatibility": "FULL" })).unwrap();
    assert_eq!(level(&mut subjects, "/config/a"), Ok("FULL".into()));
    assert_eq!(level(&mut subjects, "/config/b?defaultToGlobal=true"), Ok("NONE".into()));
}
