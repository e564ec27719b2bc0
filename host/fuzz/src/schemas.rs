//! Schemas that have everything in them that the decoder treats in a way of its own, each with records that are good.
//!
//! The rule: every type, logical type, promotion and nesting of the decoder stands in at least one of them.
//! Left to others: bodies that are not good.

use std::sync::Arc;

use pelton::decode::{
    avro::AvroSchema,
    registry::{Found, MemorySource, Registered, SchemaId},
};
use pelton_schema::{
    random,
    sample::{self, Dice},
};
use serde_json::Value as Json;

const TEXTS: [&str; 12] = [
    // simple values
    r#"{"type":"record","name":"Flat","fields":[{"name":"b","type":"boolean"},{"name":"i","type":"int"},{"name":"l","type":"long"},
    {"name":"f","type":"float"},{"name":"d","type":"double"},{"name":"y","type":"bytes"},{"name":"s","type":"string"},{"name":"n","type":"null"},
    {"name":"x","type":{"type":"fixed","name":"Six","size":6}},{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B","C"]}}]}"#,
    // meanings
    r#"{"type":"record","name":"Meant","fields":[{"name":"date","type":{"type":"int","logicalType":"date"}},
    {"name":"tm","type":{"type":"int","logicalType":"time-millis"}},{"name":"tu","type":{"type":"long","logicalType":"time-micros"}},
    {"name":"sm","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"su","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"sn","type":{"type":"long","logicalType":"timestamp-nanos"}},{"name":"lm","type":["null",{"type":"long","logicalType":"local-timestamp-millis"}]},
    {"name":"ut","type":{"type":"string","logicalType":"uuid"}},{"name":"uf","type":{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}},
    {"name":"du","type":{"type":"fixed","name":"D","size":12,"logicalType":"duration"}}]}"#,
    // decimals of 1 to 40 bytes
    r#"{"type":"record","name":"Money","fields":[{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
    {"name":"b","type":{"type":"bytes","logicalType":"decimal","precision":76,"scale":40}},
    {"name":"c","type":{"type":"bytes","logicalType":"decimal","precision":1200,"scale":1000}},
    {"name":"f1","type":{"type":"fixed","name":"F1","size":1,"logicalType":"decimal","precision":2}},
    {"name":"f8","type":{"type":"fixed","name":"F8","size":8,"logicalType":"decimal","precision":18,"scale":18}},
    {"name":"f17","type":{"type":"fixed","name":"F17","size":17,"logicalType":"decimal","precision":38,"scale":4}},
    {"name":"f32","type":["null",{"type":"fixed","name":"F32","size":32,"logicalType":"decimal","precision":76,"scale":0}]},
    {"name":"f40","type":{"type":"fixed","name":"F40","size":40,"logicalType":"decimal","precision":95,"scale":90}}]}"#,
    // records in themselves
    r#"{"type":"record","name":"Tree","fields":[{"name":"v","type":"int"},{"name":"left","type":["null","Tree"]},
    {"name":"all","type":{"type":"array","items":"Tree"}},{"name":"by","type":{"type":"map","values":["null","string","Tree"]}}]}"#,
    // unions of several types
    r#"{"type":"record","name":"Either","namespace":"org.x","fields":[{"name":"u","type":["null","boolean","int","long","float","double","bytes","string"]},
    {"name":"v","type":["string",{"type":"record","name":"P","fields":[{"name":"q","type":["null","long"]}]},{"type":"record","name":"Q","fields":[{"name":"q","type":"string"}]}]},
    {"name":"w","type":[{"type":"array","items":"int"},{"type":"map","values":"P"},{"type":"enum","name":"E","symbols":["A","B"]},"null"]},
    {"name":"x","type":["int",{"type":"long","logicalType":"timestamp-millis"},{"type":"fixed","name":"F","size":3}]},{"name":"one","type":["string"]}]}"#,
    // lists and maps
    r#"{"type":"record","name":"Lists","fields":[{"name":"a","type":{"type":"array","items":{"type":"array","items":"string"}}},
    {"name":"m","type":{"type":"map","values":{"type":"map","values":["null","double"]}}},
    {"name":"r","type":{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"k","type":"string"},{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":20,"scale":3}}]}}},
    {"name":"after","type":"long"}]}"#,
    // values without bytes
    r#"{"type":"record","name":"Nothing","fields":[{"name":"n","type":{"type":"array","items":"null"}},
    {"name":"e","type":{"type":"array","items":{"type":"record","name":"Empty","fields":[]}}},{"name":"z","type":{"type":"fixed","name":"Z","size":0}},
    {"name":"m","type":{"type":"map","values":"Empty"}},{"name":"o","type":"Empty"},{"name":"q","type":["null"]}]}"#,
    // records in records
    r#"{"type":"record","name":"Outer","fields":[{"name":"id","type":"string"},{"name":"in","type":{"type":"record","name":"Inner","fields":[
    {"name":"x","type":"double"},{"name":"deep","type":["null",{"type":"record","name":"Deep","fields":[{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"s","type":["null","string"]}]}]},{"name":"again","type":["null","Inner"]}]}},{"name":"twin","type":"Inner"}]}"#,
    // a union at the top
    r#"["null",{"type":"record","name":"A","fields":[{"name":"k","type":"string"},{"name":"n","type":"int"}]},
    {"type":"record","name":"B","fields":[{"name":"k","type":["null","string"]},{"name":"n","type":"long"},{"name":"m","type":{"type":"array","items":"bytes"}}]}]"#,
    // texts
    r#"{"type":"record","name":"Texts","fields":[{"name":"a","type":"string"},{"name":"b","type":["null","string"]},{"name":"c","type":["string","null"]},
    {"name":"d","type":{"type":"bytes","logicalType":"uuid"}},{"name":"e","type":["null",{"type":"enum","name":"E","symbols":["x","y"],"default":"y"}]},{"name":"f","type":"string"}]}"#,
    // deep
    r#"{"type":"record","name":"Deep","fields":[{"name":"a","type":{"type":"array","items":{"type":"array","items":{"type":"array","items":{"type":"map","values":{"type":"array","items":["null",
    {"type":"array","items":{"type":"record","name":"R","fields":[{"name":"d","type":["null","Deep"]},{"name":"l","type":{"type":"array","items":["null","R"]}}]}}]}}}}}}]}"#,
    // no record
    r#"{"type":"map","values":["null","long","string",{"type":"array","items":"boolean"}]}"#,
];

/// A schema, the ids by which records name it, and a good record.
#[derive(Debug)]
pub struct Case {
    /// as it was registered
    pub text: String,
    /// parsed
    pub schema: Arc<AvroSchema>,
    /// one value
    pub good: Vec<u8>,
    /// schemas to read by: itself, and changed ones
    pub readers: Vec<Arc<Registered>>,
}

/// The number of a Confluent registry by which every case is known.
pub const NUMBER: SchemaId = SchemaId::Number(1);
/// The GUID.
pub const GUID: SchemaId = SchemaId::Guid(7);
/// The version of AWS Glue.
pub const GLUE: SchemaId = SchemaId::Glue(9);

impl Case {
    fn new(place: usize, text: &str) -> Self {
        let json: Json = serde_json::from_str(text).expect("the schemas above are JSON");
        let changed = (0..3).map(|seed| random::changed(&mut Dice(seed + 100 * place as u64), &json));
        let readers = std::iter::once(json.clone()).chain(changed).map(|json| registered(&json.to_string()));
        let readers: Vec<Arc<Registered>> = readers.map(|known| known.expect("changes are valid")).collect();
        let schema = Arc::clone(&readers[0].schema);
        let good = (1..).find_map(|seed| sample::value(&schema, seed)).expect("the schemas above have values");
        Self { text: json.to_string(), schema, good, readers }
    }

    /// The schema by each id.
    pub fn source(&self) -> MemorySource {
        let print = SchemaId::Fingerprint(self.schema.fingerprint());
        [NUMBER, GUID, GLUE, print]
            .into_iter()
            .fold(MemorySource::default(), |source, id| source.with(id, "s", &self.text))
    }
}

/// A text as if it had been registered.
pub fn registered(text: &str) -> Option<Arc<Registered>> {
    match Registered::unregistered(NUMBER, text) {
        Found::Schema(schema) => Some(schema),
        _ => None,
    }
}

/// All cases.
pub fn cases() -> Vec<Case> {
    TEXTS.iter().enumerate().map(|(place, text)| Case::new(place, text)).collect()
}
