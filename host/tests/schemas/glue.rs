//! AWS Glue: the emulator's keeps the contract of registries, and AWS's own library for Java writes what Pelton reads and reads what Pelton
//! writes.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use base64::{Engine, engine::general_purpose::STANDARD};
use pelton::{
    aws::Settings,
    clock::SystemClock,
    contract::{RegistryRig, registry},
    decode::{
        Kind, WantedField,
        avro::{AvroDecoder, Contract, write_head},
        decode_all,
        registry::{Found, Patience, Registered, Registry, SchemaId, SchemaSource, glue::GlueSource},
    },
    record::{Cells, RawBatch, Records, Sequence, ShardId},
    sink::{
        avro::{Encoder, Identity},
        id::Id,
    },
};
use pelton_emulator::Running;
use pelton_schema::Mode;
use serde_json::{Value as Json, json};

use super::{judge::Judge, registries::Written};

const REGISTRY: &str = "ours";
const CLICK: &str = r#"{"type":"record","name":"Click","namespace":"shop","fields":[{"name":"ad","type":"string"},{"name":"n","type":["null","long"]}]}"#;

struct Place {
    emulator: Running,
    endpoint: String,
}

impl Place {
    async fn new() -> Self {
        let options =
            pelton_emulator::Options { listen: ([127, 0, 0, 1], 0).into(), ..pelton_emulator::Options::default() };
        let emulator = pelton_emulator::start(options).await.unwrap();
        let endpoint = format!("http://{}", emulator.addr());
        let place = Self { emulator, endpoint };
        place
            .settings()
            .load()
            .await
            .unwrap()
            .glue_client()
            .create_registry()
            .registry_name(REGISTRY)
            .send()
            .await
            .unwrap();
        place
    }

    fn settings(&self) -> Settings {
        Settings { endpoint: Some(self.endpoint.clone()), region: Some("us-east-1".into()), ..Settings::default() }
    }

    async fn source(&self) -> GlueSource {
        GlueSource::new(REGISTRY, &self.settings().load().await.unwrap())
    }
}

#[tokio::test]
async fn the_emulators_glue_keeps_the_contract() {
    let place = Place::new().await;
    let source = Box::new(place.source().await);
    let mut rig = Written { source, unknown: SchemaId::Glue(7) };
    registry(&mut rig).await.unwrap();
    assert_eq!(rig.source().mode("clicks-value").await.unwrap(), Some(Mode::Backward));
    let refused = rig.source().register(
        "clicks-value",
        r#"{"type":"record","name":"Click","namespace":"shop","fields":[{"name":"m","type":"int"}]}"#,
        true,
    );
    assert!(!matches!(refused.await, Ok(Found::Schema(_))), "it breaks the mode");
    place.emulator.stop().await;
}

fn batch(record: &[u8]) -> RawBatch {
    let records = Records {
        stream: "test".into(),
        shard: ShardId::new("shard-0"),
        sequence: vec![Sequence::from_u64(1)],
        sub_sequence: vec![0],
        partition_key: std::iter::once(&b"key"[..]).collect(),
        arrival_us: vec![0],
    };
    RawBatch { records: Arc::new(records), data: std::iter::once(record).collect::<Cells>() }
}

async fn registered(source: &GlueSource) -> Arc<Registered> {
    match source.register("clicks", CLICK, true).await.unwrap() {
        Found::Schema(registered) => registered,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_awss_library_writes_is_read() {
    let Some(mut java) = Judge::of("glue", "Glue") else { return };
    let place = Place::new().await;
    let reader = registered(&place.source().await).await;
    let schemas = Registry::new(Box::new(place.source().await), Patience::default(), SystemClock::shared());
    let contract = Contract { mode: Mode::BackwardAll, subject: Some("clicks".into()), ..Contract::open(Some(reader)) };
    let wanted = [WantedField::required("ad", Kind::Text), WantedField::optional("n", Kind::Int64)];
    let mut decoder = AvroDecoder::new(schemas, contract, &wanted, 1 << 20).unwrap();
    let more = CLICK.replace(r#"["null","long"]}"#, r#"["null","long"]},{"name":"more","type":"int","default":3}"#);
    for (schema, record, n) in [
        (CLICK, json!({ "ad": "é1", "n": { "long": 7 } }), Some(7)),
        (CLICK, json!({ "ad": "", "n": null }), None),
        (more.as_str(), json!({ "ad": "new", "n": { "long": -1 }, "more": 9 }), Some(-1)),
    ] {
        for compression in ["NONE", "ZLIB"] {
            let question = json!({ "do": "write", "endpoint": place.endpoint, "registry": REGISTRY, "schema_name": "clicks", "schema": schema,
                "record": record, "compression": compression, "auto_register": true });
            let answer = java.ask(&[question]).remove(0);
            let bytes = STANDARD.decode(answer["bytes"].as_str().unwrap_or_else(|| panic!("{answer}"))).unwrap();
            assert_eq!(bytes[..2], [3, if compression == "ZLIB" { 5 } else { 0 }]);
            let decoded = decode_all(&mut decoder, &batch(&bytes)).await.unwrap();
            assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
            assert_eq!(decoded.fields.column(0).as_string::<i32>().value(0), record["ad"].as_str().unwrap());
            let cells = decoded.fields.column(1).as_primitive::<arrow::datatypes::Int64Type>();
            assert_eq!((!cells.is_null(0)).then(|| cells.value(0)), n);
        }
    }
    place.emulator.stop().await;
}

#[tokio::test]
async fn what_is_written_awss_library_reads() {
    let Some(mut java) = Judge::of("glue", "Glue") else { return };
    let place = Place::new().await;
    let registered = registered(&place.source().await).await;
    let mut head = Vec::new();
    write_head(registered.id, &mut head);
    let rows = pelton::decode::columns::arrow_schema(&[
        WantedField::required("ad", Kind::Text),
        WantedField::optional("n", Kind::Int64),
    ]);
    let encoder = Encoder::new(&registered.schema, &rows, head).unwrap();
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(arrow::array::StringArray::from(vec!["é1", ""])),
        Arc::new(arrow::array::Int64Array::from(vec![Some(7), None])),
    ];
    let batch = arrow::array::RecordBatch::try_new(rows, columns).unwrap();
    let who = Identity { id: Id([1; 16]), generation: 1, fence: 1 };
    let expected: [Json; 2] = [json!({ "ad": "é1", "n": { "long": 7 } }), json!({ "ad": "", "n": null })];
    for (row, expected) in expected.iter().enumerate() {
        let bytes = STANDARD.encode(encoder.encode(&batch, row, who).unwrap());
        let answer = java.ask(&[json!({ "do": "read", "endpoint": place.endpoint, "bytes": bytes })]).remove(0);
        assert_eq!(answer["record"], *expected, "{answer}");
    }
    place.emulator.stop().await;
}
