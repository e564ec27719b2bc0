//! What an author of a plugin with state can say: keys, tables, timers, several inputs, requests.

#![allow(clippy::unwrap_used, reason = "tests")]

use pelton_sdk::testing;
use pelton_sdk::worlds::keyed::{RunsKeyed, TypedKeyed};
use pelton_sdk::worlds::stateful::{RunsStateful, TypedStateful};
use pelton_sdk::{prelude::*, state::stored::Stored};

#[derive(Fields)]
struct Order<'a> {
    id: &'a str,
    cents: i64,
}

#[derive(Fields)]
struct Payment<'a> {
    id: &'a str,
}

#[derive(Fields)]
enum Side<'a> {
    Order(Order<'a>),
    #[input(name = "paid")]
    Payment(Payment<'a>),
}

/// The key as a struct.
#[derive(Fields)]
struct Customer<'a> {
    shop: &'a str,
    number: i64,
}

#[derive(Default, Stored)]
#[stored(version = 3)]
struct Open {
    cents: i64,
    notes: Vec<String>,
}

#[derive(Tables)]
struct Shop {
    #[table(prefetch)]
    sum: Table<i64>,
    #[table(name = "open_orders", ttl_ms = 86400000)]
    open: Map<String, Open>,
}

#[derive(Output)]
struct Told<'a> {
    shop: &'a str,
    what: &'a str,
    cents: i64,
}

struct Join;

impl StatefulTransformer for Join {
    type Config = ();
    type Key<'a> = Customer<'a>;
    type Input<'a> = Side<'a>;
    type Tables = Shop;
    type Output<'a> = Told<'a>;
    const NAME: &'static str = "join";

    fn new(_: ()) -> Result<Self, String> {
        Ok(Self)
    }

    fn process<'a>(
        &mut self,
        rows: Rows<'a, Side<'a>>,
        keys: &Keys<'a, Customer<'a>, Shop>,
        out: &mut Out<Told<'a>>,
    ) -> Result<(), Failure> {
        for row in rows {
            let key = keys.of(&row);
            match &row.fields {
                Side::Order(order) if order.cents < 0 => out.reject(&row, "negative", order.id),
                Side::Order(order) => {
                    key.open.put(order.id, Open { cents: order.cents, notes: vec!["n".into(), String::new()] });
                    key.timers.set(TimeDomain::EventTime, order.id, 1000 + key.key.number);
                    key.timers.set(TimeDomain::ProcessingTime, "look", 5000);
                }
                Side::Payment(payment) => match key.open.get(payment.id)? {
                    None => out.reject(&row, "unknown", payment.id),
                    Some(open) => {
                        key.open.delete(payment.id);
                        key.timers.cancel(TimeDomain::EventTime, payment.id);
                        let cents = key.sum.update(|sum| {
                            *sum += open.cents;
                            *sum
                        })?;
                        out.emit(&row, Told { shop: key.key.shop, what: payment.id, cents });
                    }
                },
            }
        }
        Ok(())
    }

    fn fire<'a>(
        &mut self,
        timers: Timers<'a>,
        keys: &Keys<'a, Customer<'a>, Shop>,
        out: &mut Out<Told<'a>>,
    ) -> Result<(), Failure> {
        for timer in timers {
            let (key, what) = (keys.of(&timer), timer.text()?);
            match timer.domain {
                TimeDomain::EventTime => {
                    let late = key.open.get(what)?.ok_or("an order that is open has no value")?;
                    assert_eq!(late.notes, ["n", ""]);
                    out.emit(&timer, Told { shop: key.key.shop, what, cents: late.cents });
                }
                TimeDomain::ProcessingTime => {
                    for entry in key.open.scan(Some("b"), None, 1) {
                        let (id, open) = entry?;
                        out.emit(&timer, Told { shop: key.key.shop, what: &id, cents: open.cents });
                    }
                    key.open.clear();
                    assert_eq!(key.open.iter().count(), 0);
                }
            }
        }
        Ok(())
    }
}

pelton_sdk::stateful_transformer!(Join);

#[test]
fn two_inputs_meet_in_tables_and_timers() {
    let rows = r#"{"_key":["x",1],"id":"a","cents":5}
{"_key":["x",1],"id":"b","cents":7}
{"_key":["y",2],"id":"a","cents":100}
{"_key":["y",2],"id":"z","cents":-1}
{"_input":"paid","_key":["x",1],"id":"a"}
{"_input":"paid","_key":["x",2],"id":"a"}
{"_watermark":1001}
{"_key":["x",1],"id":"c","cents":11}
{"_input":"paid","_key":["x",1],"id":"b"}
{"_key":["x",1],"id":"d","cents":13}
{"_clock":5000}
{"_clock":6000}"#;
    let expected = [
        r#"{"_reject":{"index":3,"code":"negative","message":"z"}}"#,
        r#"{"shop":"x","what":"a","cents":5}"#,
        r#"{"_reject":{"index":5,"code":"unknown","message":"a"}}"#,
        r#"{"shop":"x","what":"b","cents":7}"#,
        r#"{"shop":"x","what":"b","cents":12}"#,
        r#"{"shop":"x","what":"c","cents":11}"#,
        r#"{"shop":"x","what":"d","cents":13}"#,
    ];
    assert_eq!(testing::stateful::<Join>("", rows).unwrap(), expected);
    let error = testing::stateful::<Join>("", r#"{"_key":"x","id":"a","cents":5}"#).unwrap_err();
    assert!(error.contains("expected a list of 2"), "{error}");
    let error = testing::stateful::<Join>("", r#"{"_input":"piad","_key":["x",1],"id":"a"}"#).unwrap_err();
    assert!(error.contains("there is no input \"piad\""), "{error}");
}

#[test]
fn the_manifest_names_inputs_keys_and_tables() {
    let manifest = TypedStateful::<Join>::describe(&()).unwrap();
    let inputs: Vec<_> = manifest.inputs.iter().map(|input| (input.name.as_str(), input.fields.len())).collect();
    assert_eq!(inputs, [("order", 2), ("paid", 1)]);
    let key: Vec<_> = manifest.key.iter().map(|field| field.path.as_str()).collect();
    assert_eq!(key, ["shop", "number"]);
    let tables: Vec<_> = manifest
        .tables
        .iter()
        .map(|table| (table.name.as_str(), table.prefetch, table.schema_version, table.ttl_ms))
        .collect();
    assert_eq!(tables, [("sum", true, 1, None), ("open_orders", false, 3, Some(86_400_000))]);
    let plugin = TypedStateful(Join);
    assert!(plugin.migrate(1, 2, b"").unwrap_err().contains("no migration from version 2 to version 3"));
    assert!(plugin.migrate(2, 1, b"").unwrap_err().contains("no table 2"));
}

/// How often a name came, and how many characters the names had together since it was last forgotten.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    count: u32,
    names: String,
}

impl Stored for Seen {
    const VERSION: u32 = 2;
    const MIGRATES_FROM: &'static [u32] = &[1];
    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.count.to_le_bytes());
        into.extend_from_slice(self.names.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (count, names) = bytes.split_first_chunk().ok_or("too short")?;
        Ok(Self { count: u32::from_le_bytes(*count), names: String::decode(names)? })
    }
    /// Version 1 was the count alone; zero has no successor.
    fn migrate(from: u32, bytes: &[u8]) -> Result<Option<Self>, String> {
        assert_eq!(from, 1);
        let count = u32::decode(bytes)?;
        Ok((count > 0).then_some(Self { count, names: String::new() }))
    }
}

#[derive(Fields)]
struct Named<'a> {
    name: &'a str,
}

#[derive(Output)]
struct Counted<'a> {
    key: i64,
    count: i64,
    names: &'a str,
}

struct Counts;

impl KeyedTransformer for Counts {
    type Config = ();
    type Key<'a> = (i64, bool);
    type Input<'a> = Named<'a>;
    type State = Seen;
    type Output<'a> = Counted<'a>;
    const NAME: &'static str = "counts";

    fn new(_: ()) -> Result<Self, String> {
        Ok(Self)
    }

    fn process<'a>(
        &mut self,
        rows: Rows<'a, Named<'a>>,
        keys: &mut States<'a, (i64, bool), Seen>,
        out: &mut Out<Counted<'a>>,
    ) -> Result<(), Failure> {
        for row in rows {
            let mut key = keys.of(&row)?;
            match row.name {
                "" => out.reject(&row, "nameless", "no name"),
                "forget" => key.delete(),
                "look" => {
                    let Seen { count, names } = &key.state;
                    out.emit(&row, Counted { key: key.key.0, count: (*count).into(), names });
                }
                "later" => key.timers.set(TimeDomain::EventTime, [0, 255], 10),
                name => {
                    key.state.count += 1;
                    key.state.names.push_str(name);
                }
            }
        }
        Ok(())
    }

    fn fire<'a>(
        &mut self,
        timers: Timers<'a>,
        keys: &mut States<'a, (i64, bool), Seen>,
        out: &mut Out<Counted<'a>>,
    ) -> Result<(), Failure> {
        for timer in timers {
            assert_eq!((timer.tag, timer.at_ms), (&[0u8, 255][..], 10));
            let key = keys.of(&timer)?;
            out.emit(&timer, Counted { key: key.key.0, count: -i64::from(key.state.count), names: "fired" });
        }
        Ok(())
    }
}

pelton_sdk::keyed_transformer!(Counts);

#[test]
fn a_state_follows_its_key() {
    let row = |key: i64, name: &str| format!("{{\"_key\":[{key},true],\"name\":\"{name}\"}}\n");
    let names = [(1, "a"), (2, "b"), (1, "c"), (1, ""), (1, "look"), (2, "look"), (3, "look"), (1, "later")];
    let mut rows: String = names.iter().map(|(key, name)| row(*key, name)).collect();
    rows += "{\"_watermark\":9}\n{\"_watermark\":10}\n{\"_watermark\":11}\n";
    rows +=
        &[(1, "forget"), (1, "d"), (1, "look"), (2, "forget"), (2, "look")].map(|(key, name)| row(key, name)).concat();
    let expected = [
        r#"{"_reject":{"index":3,"code":"nameless","message":"no name"}}"#,
        r#"{"key":1,"count":2,"names":"ac"}"#,
        r#"{"key":2,"count":1,"names":"b"}"#,
        r#"{"key":3,"count":0,"names":""}"#,
        r#"{"key":1,"count":-2,"names":"fired"}"#,
        r#"{"key":1,"count":1,"names":"d"}"#,
        r#"{"key":2,"count":0,"names":""}"#,
    ];
    assert_eq!(testing::keyed::<Counts>("", &rows).unwrap(), expected);
    let table = &TypedKeyed::<Counts>::describe(&()).unwrap().tables[0];
    assert_eq!((table.schema_version, &table.migrates_from[..]), (2, &[1][..]));
}

#[test]
fn states_go_back_as_they_came_and_nothing_is_made_of_looking() {
    use pelton_sdk::bindings::types::{Batch, BytesColumn, Column, KeySet, Values};
    let bytes = |cells: &[&[u8]]| {
        let ends = cells.iter().scan(0, |end, cell| {
            *end += cell.len() as u32;
            Some(*end)
        });
        BytesColumn { data: cells.concat(), offsets: std::iter::once(0).chain(ends).collect() }
    };
    let column = |values| Column { values, null: Vec::new() };
    let none = || BytesColumn { data: Vec::new(), offsets: Vec::new() };
    let batch = |names: &[&str]| {
        let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        Batch {
            input: 0,
            count: names.len() as u32,
            now_ms: 0,
            seed: 0,
            watermark_ms: Some(0),
            keys: KeySet {
                bytes: bytes(&[b"1", b"2", b"3"]),
                fields: vec![column(Values::Int64(vec![1, 2, 3])), column(Values::Boolean(vec![0, 0, 0]))],
            },
            key_index: (0..names.len() as u32).collect(),
            shards: Vec::new(),
            shard_index: Vec::new(),
            sequence: none(),
            sub_sequence: Vec::new(),
            partition_key: none(),
            event_us: Vec::new(),
            arrival_us: Vec::new(),
            operation: Vec::new(),
            payload: none(),
            fields: vec![column(Values::Text(bytes(&names)))],
        }
    };
    let mut plugin = TypedKeyed(Counts);
    // The third key has no row: what it holds is not even read.
    let states = bytes(&[b"\x02\0\0\0ab", b"", b"no state"]);
    let after = plugin.run(&batch(&["look", "look"]), &states).unwrap().states;
    assert_eq!(after, states);
    let after = plugin.run(&batch(&["forget", "x"]), &states).unwrap().states;
    assert_eq!(after, bytes(&[b"", b"\x01\0\0\0x", b"no state"]));
    assert!(format!("{:?}", plugin.run(&batch(&["x", "x", "x"]), &bytes(&[b"abc", b"", b""]))).contains("too short"));
    assert_eq!(plugin.migrate(1, &5u32.to_le_bytes()).unwrap().unwrap(), b"\x05\0\0\0");
    assert_eq!(plugin.migrate(1, &[0; 4]).unwrap(), None);
}

#[derive(Output)]
struct Scored<'a> {
    name: &'a str,
    score: String,
}

struct Scores;

impl Enricher for Scores {
    type Config = ();
    type Input<'a> = Named<'a>;
    type Cookie = String;
    type Output<'a> = Scored<'a>;
    const NAME: &'static str = "scores";
    const CONNECTORS: &'static [(&'static str, &'static str)] = &[("scores", "who knows")];

    fn new(_: ()) -> Result<Self, String> {
        Ok(Self)
    }

    fn prepare<'a>(&mut self, rows: Rows<'a, Named<'a>>, ask: &mut Ask<String>) -> Result<(), Failure> {
        for row in rows.filter(|row| !row.name.is_empty()) {
            let connector = if row.name == "other" { "other" } else { "scores" };
            ask.send(&row, Request::get(connector, segment(row.name)).header("X-One", "1"), &"first".to_owned())?;
        }
        Ok(())
    }

    fn complete<'a>(
        &mut self,
        rows: Rows<'a, Named<'a>>,
        answers: &Answers<String>,
        out: &mut Out<Scored<'a>>,
        ask: &mut Ask<String>,
    ) -> Result<(), Failure> {
        for row in rows {
            match answers.of(&row) {
                [] => out.reject(&row, "nameless", "nobody to ask"),
                [answer] if answer.cookie == "first" && answer.text() == "again" => {
                    assert_eq!(answer.header("x-one"), Some("yes"));
                    ask.send(&row, Request::post("scores", "again").json(&row.name.into()), &"second".to_owned())?;
                }
                [answer] => out
                    .emit(&row, Scored { name: row.name, score: format!("{} {:?}", answer.cookie, answer.answered()) }),
                more => return Err(format!("{} answers", more.len()).into()),
            }
        }
        Ok(())
    }
}

pelton_sdk::enricher!(Scores);

#[test]
fn requests_are_answered_in_rounds() {
    let answer = |request: &Request| {
        let body = match (request.method.as_str(), request.path.as_str()) {
            ("GET", "a%20b%2Fc") => b"1".to_vec(),
            ("GET", "x") => b"again".to_vec(),
            ("GET", "away") => return Outcome::Failed("nobody there".into()),
            ("GET", "slow") => return Outcome::TimedOut,
            ("POST", "again") => request.body.clone(),
            other => panic!("{other:?}"),
        };
        Outcome::Answered { status: 200, headers: vec![("X-One".into(), "yes".into())], body }
    };
    let names = ["x", "a b/c", "", "away", "slow"];
    let rows: String = names.iter().map(|name| format!("{{\"name\":\"{name}\"}}\n")).collect();
    let expected = [
        r#"{"name":"x","score":"second Some((200, [34, 120, 34]))"}"#,
        r#"{"name":"a b/c","score":"first Some((200, [49]))"}"#,
        r#"{"_reject":{"index":2,"code":"nameless","message":"nobody to ask"}}"#,
        r#"{"name":"away","score":"first None"}"#,
        r#"{"name":"slow","score":"first None"}"#,
    ];
    assert_eq!(testing::enricher::<Scores>("", &rows, answer).unwrap(), expected);
    let error = testing::enricher::<Scores>("", "{\"name\":\"other\"}", answer).unwrap_err();
    assert!(error.contains("there is no connector `other`; declared are: scores"), "{error}");
}
