//! Manifests with one thing wrong with them: `{"do": "describe_..."}`.
//!
//! Left to others: what a sound manifest is (`lib.rs`).

use pelton_sdk::batch::{field, output};
use pelton_sdk::bindings::types::{Identity, Kind, Manifest, Table};

/// Fields with numbers in their names.
fn fields(count: usize) -> Vec<pelton_sdk::bindings::types::Field> {
    (0..count).map(|number| field(&format!("f{number}"), Kind::Text, true, "")).collect()
}

fn text(path: &str) -> Vec<pelton_sdk::bindings::types::Field> {
    vec![field(path, Kind::Text, true, "")]
}

/// The manifest that the config asks for.
pub fn spoil(manifest: &mut Manifest, what: &str) {
    match what {
        "describe_nameless" => manifest.name.clear(),
        "describe_steers" => manifest.name = "\u{1b}[2J\nforged".to_owned(),
        "describe_direction" => manifest.name = "safe\u{202e}lasrever".to_owned(),
        "describe_long_name" => manifest.name = "n".repeat(1 << 20),
        "describe_no_version" => manifest.version.clear(),
        "describe_long_doc" => manifest.doc = "d\u{1b}".repeat(5 << 20),
        "describe_two_inputs" => manifest.inputs.push(manifest.inputs[0].clone()),
        "describe_many_inputs" => manifest.inputs = vec![manifest.inputs[0].clone(); 100_000],
        "describe_wants_payload" => manifest.inputs[0].identity = Identity::PAYLOAD,
        "describe_connectors" => {
            manifest.connectors = (0..1001)
                .map(|number| pelton_sdk::bindings::types::Connector { name: format!("c{number}"), doc: String::new() })
                .collect();
        }
        "describe_annotations" => {
            let one = pelton_sdk::bindings::types::Annotation { name: String::new(), value: "x".to_owned() };
            manifest.annotations = vec![one; 100_000];
        }
        _ => {
            spoil_fields(manifest, what);
            spoil_outputs(manifest, what);
            spoil_texts(manifest, what);
        }
    }
}

fn spoil_fields(manifest: &mut Manifest, what: &str) {
    let input = &mut manifest.inputs[0].fields;
    match what {
        "describe_many_fields" => *input = fields(100_000),
        "describe_same_field" => *input = [text("text"), text("text")].concat(),
        "describe_empty_field" => *input = text(""),
        "describe_empty_part" => *input = text("a..b"),
        "describe_deep_path" => *input = text(&["a"; 100].join(".")),
        "describe_steering_field" => *input = text("\u{9b}2J"),
        "describe_absent_field" => *input = vec![field("nowhere", Kind::Text, false, "")],
        "describe_other_kind" => *input = vec![field("text", Kind::Int64, false, "")],
        "describe_key_without_key" => manifest.key = text("text"),
        _ => {}
    }
}

fn spoil_outputs(manifest: &mut Manifest, what: &str) {
    let first = manifest.outputs[0].clone();
    match what {
        "describe_no_output" => manifest.outputs.clear(),
        "describe_same_output" => manifest.outputs.push(first),
        "describe_many_outputs" => {
            manifest.outputs = (0..1001).map(|number| output(&format!("o{number}"), Vec::new(), "")).collect();
        }
        "describe_most_outputs" => {
            manifest.outputs = (0..100).map(|number| output(&format!("o{number}"), fields(1000), "")).collect();
        }
        "describe_nested_fields" => manifest.outputs[0].fields = [text("a"), text("a.b")].concat(),
        "describe_sets_position" => manifest.outputs[0].sets = Identity::POSITION,
        "describe_fields_and_payload" => manifest.outputs[0].sets = Identity::PAYLOAD,
        "describe_output_of_path" => manifest.outputs[0].name = "../../out".to_owned(),
        _ => {}
    }
}

fn spoil_texts(manifest: &mut Manifest, what: &str) {
    let table = |number: usize| Table {
        name: format!("t{number}"),
        prefetch: true,
        schema: String::new(),
        schema_version: 1,
        migrates_from: Vec::new(),
        ttl_ms: Some(0),
    };
    match what {
        "describe_schema_broken" => manifest.config_schema = "{".to_owned(),
        "describe_schema_of_words" => manifest.config_schema = "[1, \"is no schema\"]".to_owned(),
        "describe_schema_remote" => {
            manifest.config_schema = r#"{"$ref": "http://169.254.169.254/latest/meta-data/"}"#.to_owned();
        }
        "describe_schema_of_itself" => manifest.config_schema = r##"{"$ref": "#"}"##.to_owned(),
        "describe_schema_deep" => manifest.config_schema = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000)),
        "describe_schema_large" => manifest.config_schema = format!("\"{}\"", "x".repeat(10 << 20)),
        "describe_schema_too_large" => manifest.config_schema = "x".repeat(33 << 20),
        "describe_one_table" => manifest.tables = vec![table(0)],
        "describe_many_tables" => manifest.tables = (0..256).map(table).collect(),
        "describe_table_schema_broken" => {
            manifest.tables = vec![Table { schema: "record".to_owned(), ..table(0) }];
        }
        "describe_table_of_all_versions" => {
            manifest.tables = vec![Table { migrates_from: (0..1_000_000).collect(), ..table(0) }];
        }
        _ => {}
    }
}
