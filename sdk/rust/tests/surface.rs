//! What an author can say: routes, identity columns, optional fields, configs, refusals.

#![allow(clippy::unwrap_used, reason = "tests")]

use pelton_sdk::bindings::types::{Identity, Kind};
use pelton_sdk::prelude::*;
use pelton_sdk::testing;

#[derive(Fields)]
struct Reading<'a> {
    sensor: &'a str,
    #[field(path = "at.latitude")]
    latitude: Option<f64>,
    #[field(event_time)]
    at: EventTime,
    #[field(partition_key)]
    key: PartitionKey<'a>,
    #[field(position)]
    position: Position<'a>,
    #[field(payload)]
    payload: Payload<'a>,
}

#[derive(Output)]
struct Placed<'a> {
    sensor: &'a str,
    latitude: f64,
    sequence: String,
    #[field(event_time)]
    at: i64,
    #[field(partition_key)]
    key: &'a [u8],
}

#[derive(Output)]
struct Lost<'a> {
    sensor: Option<&'a str>,
    bytes: i64,
}

#[derive(Output)]
enum Routed<'a> {
    Placed(Placed<'a>),
    #[output(name = "nowhere")]
    Lost(Lost<'a>),
}

#[config]
#[derive(Default)]
struct Settings {
    /// Added to each event time.
    #[serde(default)]
    shift: i64,
    mode: Option<Mode>,
}

#[config]
enum Mode {
    AllRows,
    OnlyPlaced,
}

struct Router(Settings);

impl Transformer for Router {
    type Config = Settings;
    type Input<'a> = Reading<'a>;
    type Output<'a> = Routed<'a>;
    const NAME: &'static str = "router";

    fn new(config: Settings) -> Result<Self, String> {
        Ok(Self(config))
    }

    fn process<'a>(&mut self, rows: Rows<'a, Reading<'a>>, out: &mut Out<Routed<'a>>) -> Result<(), Failure> {
        for row in rows {
            if row.sensor == "broken" {
                out.reject(&row, "broken", "sensor is broken");
                continue;
            }
            if row.sensor == "stop" {
                return Err("told to stop".into());
            }
            // What is emitted may borrow from here as well as from the rows.
            let own = format!("{}!", row.sensor);
            match row.latitude {
                Some(latitude) => {
                    let sequence = String::from_utf8_lossy(row.position.sequence).into_owned();
                    let at = row.at.0 + self.0.shift;
                    out.emit(
                        &row,
                        Routed::Placed(Placed { sensor: row.sensor, latitude, sequence, at, key: row.key.0 }),
                    );
                }
                None if matches!(self.0.mode, Some(Mode::OnlyPlaced)) => {}
                None => out.emit(&row, Routed::Lost(Lost { sensor: Some(&own), bytes: row.payload.0.len() as i64 })),
            }
        }
        Ok(())
    }
}

pelton_sdk::transformer!(Router);

const ROWS: &str = r#"{"sensor":"a","at":{"latitude":47.5},"_event_time":10,"_partition_key":"k"}
{"sensor":"b"}
{"sensor":"broken"}
{"sensor":"c","at":{"latitude":-1.0},"_event_time":20,"_partition_key":""}"#;

#[test]
fn rows_go_where_they_are_sent() {
    let lines = testing::transformer::<Router>(r#"{"shift":5}"#, ROWS).unwrap();
    let expected = [
        r#"{"_output":"placed","_partition_key":"k","_event_time":15,"sensor":"a","latitude":47.5,"sequence":"0"}"#,
        r#"{"_output":"nowhere","sensor":"b!","bytes":14}"#,
        r#"{"_reject":{"index":2,"code":"broken","message":"sensor is broken"}}"#,
        r#"{"_output":"placed","_partition_key":"","_event_time":25,"sensor":"c","latitude":-1.0,"sequence":"3"}"#,
    ];
    assert_eq!(lines, expected);
    assert_eq!(testing::transformer::<Router>(r#"{"mode":"only_placed"}"#, ROWS).unwrap().len(), 3);
}

#[test]
fn the_manifest_says_what_is_wanted_and_set() {
    let manifest = testing::describe::<Router>("").unwrap();
    let input = &manifest.inputs[0];
    let wanted: Vec<_> = input.fields.iter().map(|field| (field.path.as_str(), field.kind, field.optional)).collect();
    assert_eq!(wanted, [("sensor", Kind::Text, false), ("at.latitude", Kind::Float64, true)]);
    let identity = Identity::EVENT_TIME | Identity::PARTITION_KEY | Identity::POSITION | Identity::PAYLOAD;
    assert_eq!(input.identity, identity);
    let outputs: Vec<_> = manifest.outputs.iter().map(|output| (output.name.as_str(), output.sets)).collect();
    assert_eq!(outputs, [("placed", Identity::EVENT_TIME | Identity::PARTITION_KEY), ("nowhere", Identity::empty())]);
    assert!(manifest.config_schema.contains("Added to each event time."));
    assert!(manifest.config_schema.contains("only_placed"));
    assert!(!manifest.config_schema.contains("required"));
}

#[test]
fn mistakes_are_named() {
    let refused = |config: &str, rows: &str| testing::transformer::<Router>(config, rows).unwrap_err();
    assert!(refused(r#"{"shfit":1}"#, ROWS).contains("shfit"));
    assert!(refused("{", ROWS).contains("config is not JSON"));
    assert!(refused("", r#"{"sensor":"stop"}"#).contains("told to stop"));
    assert!(refused("", r#"{"sensor":1}"#).contains("field `sensor`: 1 is not text"));
    assert!(refused("", "{}").contains("`sensor` has no value"));
}

#[derive(Fields)]
struct Sale {
    cents: i64,
}

#[derive(Accumulator, Default)]
#[accumulator(version = 2)]
struct Total {
    count: u64,
    cents: i64,
    best: Option<i64>,
}

#[derive(Output)]
struct Turnover {
    sales: i64,
    cents: i64,
    best: Option<i64>,
    until: Timestamp,
}

struct PerWindow;

impl Aggregator for PerWindow {
    type Config = ();
    type Input<'a> = Sale;
    type Accumulator = Total;
    type Output<'a> = Turnover;
    const NAME: &'static str = "turnover";

    fn new(_: ()) -> Result<Self, String> {
        Ok(Self)
    }
    fn fold(&self, total: &mut Total, sale: &Row<Sale>) -> Result<(), Reject> {
        if sale.cents < 0 {
            return Err(Reject::new("negative", format!("cents is {}", sale.cents)));
        }
        total.count += 1;
        total.cents += sale.cents;
        total.best = total.best.max(Some(sale.cents));
        Ok(())
    }
    fn combine(&self, into: &mut Total, part: &Total) {
        into.count += part.count;
        into.cents += part.cents;
        into.best = into.best.max(part.best);
    }
    fn finish(&self, total: &Total, window: &Window) -> Result<Option<Turnover>, Reject> {
        let Total { count, cents, best } = *total;
        let until = Timestamp(window.end_ms * 1000);
        Ok((count > 0).then_some(Turnover { sales: count as i64, cents, best, until }))
    }
}

pelton_sdk::aggregator!(PerWindow);

#[test]
fn rows_are_folded_by_key() {
    let rows = "{\"_key\":\"a\",\"cents\":3}\n{\"_key\":\"b\",\"cents\":-1}\n{\"_key\":\"a\",\"cents\":4}";
    let lines = testing::aggregator::<PerWindow>("", rows).unwrap();
    let expected = [
        r#"{"_key":"a","sales":2,"cents":7,"best":4,"until":3600000000}"#,
        r#"{"_reject":{"index":1,"code":"negative","message":"cents is -1"}}"#,
    ];
    assert_eq!(lines, expected);
}

/// Forgets what was folded before: the record-by-record run must notice.
struct Forgetful;

impl Aggregator for Forgetful {
    type Config = ();
    type Input<'a> = Sale;
    type Accumulator = Total;
    type Output<'a> = Turnover;
    const NAME: &'static str = "forgetful";

    fn new(_: ()) -> Result<Self, String> {
        Ok(Self)
    }
    fn fold(&self, total: &mut Total, sale: &Row<Sale>) -> Result<(), Reject> {
        total.cents += sale.cents;
        Ok(())
    }
    fn combine(&self, _: &mut Total, _: &Total) {}
    fn finish(&self, total: &Total, _: &Window) -> Result<Option<Turnover>, Reject> {
        Ok(Some(Turnover { sales: 0, cents: total.cents, best: None, until: Timestamp(0) }))
    }
}

#[test]
fn a_combine_that_forgets_is_found() {
    let error = testing::aggregator::<Forgetful>("", "{\"cents\":3}\n{\"cents\":4}").unwrap_err();
    assert!(error.contains("two halves, combined"), "{error}");
}
