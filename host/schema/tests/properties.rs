//! What must hold of every schema: each reads itself, what a projection reads the whole one reads, edits do what they say.

use pelton_schema::{
    AvroSchema, Mode, Rule,
    compat::can_read,
    diff,
    evolve::{Edit, evolve, kind},
    mismatches, random,
    sample::{self, Dice},
};
use serde_json::json;

fn schemas() -> impl Iterator<Item = AvroSchema> {
    (0..500).map(|seed| AvroSchema::parse_strict(&random::schema(&mut Dice(seed)).to_string(), &[]).unwrap())
}

#[test]
fn a_schema_reads_itself_and_its_projections_read_it() {
    for schema in schemas() {
        // One whose alias names a field of its own does not even read itself, says Avro for Java too.
        if mismatches(&schema, &schema).iter().any(|mismatch| mismatch.rule == Rule::Ambiguous) {
            continue;
        }
        assert!(can_read(&schema, &schema), "{}", schema.canonical());
        assert!(diff::changes(&schema, &schema).is_empty());
        for field in schema.fields() {
            let part = schema.project([field.name.as_str()]);
            assert_eq!(part.fields().len(), 1);
            assert!(can_read(&part, &schema), "{}", schema.canonical());
        }
        assert!(can_read(&schema.project([]), &schema));
    }
}

#[test]
fn apache_avro_parses_what_we_parse_and_reads_what_we_sample() {
    let mut sampled = 0;
    for (seed, schema) in (0..500).zip(schemas()) {
        let theirs = apache_avro::Schema::parse_str(&random::schema(&mut Dice(seed)).to_string());
        let Ok(theirs) = theirs else { continue };
        let Some(bytes) = sample::value(&schema, seed) else { continue };
        let reader = apache_avro::reader::datum::GenericDatumReader::builder(&theirs).build().unwrap();
        let mut rest = bytes.as_slice();
        reader.read_value(&mut rest).unwrap_or_else(|bad| panic!("seed {seed}: {bad}"));
        assert!(rest.is_empty());
        sampled += 1;
    }
    assert!(sampled > 300, "{sampled}");
}

const ORDER: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"amount","type":"int"},
 {"name":"status","type":{"type":"enum","name":"Status","symbols":["NEW","PAID"],"default":"NEW"}},
 {"name":"customer","type":["null",{"type":"record","name":"Customer","fields":[{"name":"name","type":"string"}]}]}]}"#;

#[test]
fn edits_make_the_next_version() {
    let old = AvroSchema::parse(ORDER, &[]).unwrap();
    let edits = [
        Edit::Add { path: "note".into(), kind: kind("string?").unwrap(), default: None },
        Edit::Add { path: "customer.mail".into(), kind: kind("string").unwrap(), default: Some(json!("")) },
        Edit::Rename { path: "amount".into(), to: "cents".into() },
        Edit::Retype { path: "cents".into(), kind: kind("long").unwrap() },
        Edit::Symbol { path: "status".into(), symbol: "SENT".into() },
        Edit::Remove { path: "id".into() },
    ];
    let new = evolve(ORDER, &edits).unwrap();
    let new = AvroSchema::parse_strict(&new.to_string(), &[]).unwrap();
    assert!(Mode::BackwardAll.check(&new, &[&old]).is_compatible());
    assert!(!Mode::Forward.check(&new, &[&old]).is_compatible());
    let told: Vec<String> = diff::changes(&old, &new)
        .iter()
        .map(|change| format!("{}: {} {:?}", change.path, change.what, change.breaks))
        .collect();
    let expected = [
        "cents: field renamed: `amount` → `cents` [Forward]",
        "cents: type: int → long [Forward]",
        "status: symbol added: `SENT` []",
        "customer<Customer>.mail: field added: string, default \"\" []",
        "note: field added: union of null and string, default null []",
        "id: field removed: string [Forward]",
    ];
    assert_eq!(told, expected);
}

#[test]
fn edits_that_cannot_be_are_refused_in_words() {
    let refused = |edit: Edit| evolve(ORDER, &[edit]).unwrap_err().to_string();
    assert!(refused(Edit::Add { path: "n".into(), kind: json!("string"), default: None }).contains("say which"));
    assert!(
        refused(Edit::Add { path: "n".into(), kind: json!("string"), default: Some(json!(1)) })
            .contains("does not fit")
    );
    assert!(refused(Edit::Remove { path: "nothing".into() }).contains("id, amount, status"));
    assert!(refused(Edit::Symbol { path: "id".into(), symbol: "A".into() }).contains("no enum"));
    assert!(
        refused(Edit::Add { path: "id.x".into(), kind: json!("int"), default: Some(json!(1)) }).contains("no record")
    );
    assert!(refused(Edit::Retype { path: "id".into(), kind: json!("Unknown") }).contains("not defined"));
}
