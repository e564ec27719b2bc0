//! The transformer of the conformance suite (`sdk/conformance/README.md`).
//!
//! The rule: what a record asks for stands in its `op`. Left to others: the cases.

use pelton_sdk::prelude::*;

#[derive(Fields)]
struct Asked<'a> {
    op: &'a str,
    flag: Option<bool>,
    small: Option<i32>,
    big: Option<i64>,
    ratio: Option<f64>,
    name: Option<&'a str>,
    blob: Option<&'a [u8]>,
    price: Option<Decimal<'a>>,
    at: Option<Timestamp>,
    day: Option<Date>,
    extra: Option<Json<'a>>,
    #[field(event_time)]
    time: EventTime,
    #[field(partition_key)]
    key: PartitionKey<'a>,
    #[field(position)]
    place: Position<'a>,
}

#[derive(Default, Output)]
struct Copied<'a> {
    op: &'a str,
    flag: Option<bool>,
    small: Option<i32>,
    big: Option<i64>,
    ratio: Option<f64>,
    name: Option<&'a str>,
    blob: Option<&'a [u8]>,
    price: Option<Decimal<'a>>,
    at: Option<Timestamp>,
    day: Option<Date>,
    extra: Option<Json<'a>>,
}

#[derive(Output)]
struct Nth<'a> {
    name: Option<&'a str>,
    nth: i64,
    #[field(event_time)]
    time: i64,
}

#[derive(Output)]
enum Made<'a> {
    Out(Copied<'a>),
    Other(Nth<'a>),
}

#[config]
#[serde(default)]
struct Settings {
    /// `ratio` is multiplied by it.
    factor: f64,
    /// Stands in front of `name`.
    prefix: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { factor: 1.0, prefix: String::new() }
    }
}

struct Conformance(Settings);

/// 9999-12-31T23:59:59.999999Z
const LAST_MOMENT: Timestamp = Timestamp(253_402_300_799_999_999);
/// 0001-01-01
const FIRST_DAY: Date = Date(-719_162);
/// 38 digits, as many as there are.
const LEAST_PRICE: i128 = -(10i128.pow(38) - 1);

impl Transformer for Conformance {
    type Config = Settings;
    type Input<'a> = Asked<'a>;
    type Output<'a> = Made<'a>;
    const NAME: &'static str = "conformance-transformer";

    fn new(config: Settings) -> Result<Self, String> {
        if config.factor < 0.0 {
            return Err("factor is negative".to_owned());
        }
        Ok(Self(config))
    }

    fn process<'a>(&mut self, rows: Rows<'a, Asked<'a>>, out: &mut Out<Made<'a>>) -> Result<(), Failure> {
        for row in rows {
            self.one(&row, out)?;
        }
        Ok(())
    }
}

impl Conformance {
    fn one<'a>(&self, row: &Row<Asked<'a>>, out: &mut Out<Made<'a>>) -> Result<(), Failure> {
        let name = row.name.unwrap_or("null");
        match row.op {
            "copy" => self.copy(row, out),
            "drop" => {}
            "split" => {
                for nth in 0..row.big.unwrap_or(0) {
                    let time = row.time.0 + nth * 1_000_000;
                    out.emit(row, Made::Other(Nth { name: row.name, nth, time }));
                }
            }
            "both" => self.both(row, out),
            "reject" => out.reject(row, "refused", format!("{name} is refused")),
            "late" => {
                self.both(row, out);
                out.reject(row, "refused", format!("{name} is refused"));
                self.both(row, out);
            }
            "bounds" => bounds(row, out),
            "nulls" => out.emit(row, Made::Out(Copied { op: "nulls", ..Copied::default() })),
            "who" => {
                let name = String::from_utf8_lossy(row.key.0);
                let big = Some(row.place.sub_sequence.into());
                out.emit(row, Made::Out(Copied { op: "who", name: Some(&name), big, ..Copied::default() }));
            }
            "where" => {
                let (name, big) = (Some(row.place.shard), Some(row.place.sub_sequence.into()));
                out.emit(row, Made::Out(Copied { op: "where", name, big, ..Copied::default() }));
            }
            "log" => {
                log::info(name);
                metrics::counter_add("logged", 1);
            }
            "trap" => panic!("the record asks for a trap"),
            "fatal" => return Err(Failure::Fatal(name.to_owned())),
            "retry" => return Err(Failure::Retry(name.to_owned())),
            other => out.reject(row, "unknown_op", other),
        }
        Ok(())
    }

    fn both<'a>(&self, row: &Row<Asked<'a>>, out: &mut Out<Made<'a>>) {
        self.copy(row, out);
        out.emit(row, Made::Other(Nth { name: row.name, nth: -1, time: row.time.0 }));
    }

    fn copy<'a>(&self, row: &Row<Asked<'a>>, out: &mut Out<Made<'a>>) {
        let name = row.name.map(|name| format!("{}{name}", self.0.prefix));
        let copied = Copied {
            op: row.op,
            flag: row.flag,
            small: row.small,
            big: row.big,
            ratio: row.ratio.map(|ratio| ratio * self.0.factor),
            name: name.as_deref(),
            blob: row.blob,
            price: row.price,
            at: row.at,
            day: row.day,
            extra: row.extra,
        };
        out.emit(row, Made::Out(copied));
    }
}

fn bounds<'a>(row: &Row<Asked<'a>>, out: &mut Out<Made<'a>>) {
    let bounds = Copied {
        op: "bounds",
        flag: Some(true),
        small: Some(i32::MIN),
        big: Some(i64::MAX),
        ratio: Some(-0.0),
        name: Some("ä€😀\0"),
        blob: Some(&[0x00, 0xff, 0x80]),
        price: Some(Decimal { unscaled: &LEAST_PRICE.to_be_bytes(), scale: 18 }),
        at: Some(LAST_MOMENT),
        day: Some(FIRST_DAY),
        extra: Some(Json(r#"{"a":[1,null,"x"]}"#)),
    };
    out.emit(row, Made::Out(bounds));
}

pelton_sdk::transformer!(Conformance);
