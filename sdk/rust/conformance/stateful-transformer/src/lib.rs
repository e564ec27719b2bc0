//! The stateful transformer of the conformance suite (`sdk/conformance/README.md`).
//!
//! The rule: what a record asks for stands in its `op`. The version of table `values` is chosen by the config, so the plugin is written once for
//! any type of that table's values, and `Conformance` takes one of two.
//! Left to others: the cases.

use pelton_sdk::bindings::types::{Batch, Context, DueTimers, Manifest, Processed};
use pelton_sdk::worlds::stateful::{RunsStateful, TypedStateful};
use pelton_sdk::{prelude::*, state::stored::Stored};
use std::marker::PhantomData;

#[derive(Fields)]
struct Asked<'a> {
    op: &'a str,
    name: Option<&'a str>,
    value: Option<i64>,
    text: Option<&'a str>,
}

#[derive(Fields)]
enum Side<'a> {
    Left(Asked<'a>),
    Right(Asked<'a>),
}

#[derive(Tables)]
struct Shelves<V: Stored> {
    #[table(prefetch)]
    values: Table<V>,
    lists: Map<String, String>,
}

#[derive(Output)]
struct Told<'a> {
    key: &'a str,
    what: &'a str,
    text: Option<&'a str>,
    number: Option<i64>,
}

/// A text in some layout.
trait Text: Stored {
    fn of(text: &str) -> Self;
    fn text(&self) -> &str;
}

impl Text for String {
    fn of(text: &str) -> Self {
        text.to_owned()
    }
    fn text(&self) -> &str {
        self
    }
}

/// Version 2: the byte 02 and the text.
struct Marked(String);

impl Stored for Marked {
    const VERSION: u32 = 2;
    const MIGRATES_FROM: &'static [u32] = &[1];
    fn encode(&self, into: &mut Vec<u8>) {
        into.push(2);
        into.extend_from_slice(self.0.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let text = bytes.strip_prefix(&[2]).ok_or("a value does not begin with 02")?;
        String::decode(text).map(Self)
    }
    fn migrate(_: u32, bytes: &[u8]) -> Result<Option<Self>, String> {
        match String::decode(bytes)? {
            bad if bad == "bad" => Err("bad is refused".to_owned()),
            text => Ok(Some(Self(text))),
        }
    }
}

impl Text for Marked {
    fn of(text: &str) -> Self {
        Self(text.to_owned())
    }
    fn text(&self) -> &str {
        &self.0
    }
}

struct Plugin<V>(PhantomData<fn() -> V>);

impl<V: Text> StatefulTransformer for Plugin<V> {
    type Config = ();
    type Key<'a> = &'a str;
    type Input<'a> = Side<'a>;
    type Tables = Shelves<V>;
    type Output<'a> = Told<'a>;
    const NAME: &'static str = "conformance-stateful";

    fn new(_: ()) -> Result<Self, String> {
        Ok(Self(PhantomData))
    }

    fn process<'a>(
        &mut self,
        rows: Rows<'a, Side<'a>>,
        keys: &Keys<'a, &'a str, Shelves<V>>,
        out: &mut Out<Told<'a>>,
    ) -> Result<(), Failure> {
        let watermark_ms = rows.watermark_ms();
        for row in rows {
            let (side, asked) = match &row.fields {
                Side::Left(asked) => ("left", asked),
                Side::Right(asked) => ("right", asked),
            };
            match asked.op {
                "side" => {
                    let key = keys.of(&row).key;
                    out.emit(&row, Told { key, what: side, text: None, number: None });
                }
                "watermark" => {
                    let key = keys.of(&row).key;
                    out.emit(&row, Told { key, what: "watermark", text: None, number: watermark_ms });
                }
                "many" => {
                    let there = keys.get_many(|shelves| shelves.values)?.iter().flatten().count();
                    let key = keys.of(&row).key;
                    out.emit(&row, Told { key, what: "many", text: None, number: Some(there as i64) });
                }
                _ => one(&row, asked, &keys.of(&row), out)?,
            }
        }
        Ok(())
    }

    fn fire<'a>(
        &mut self,
        timers: Timers<'a>,
        keys: &Keys<'a, &'a str, Shelves<V>>,
        out: &mut Out<Told<'a>>,
    ) -> Result<(), Failure> {
        for timer in timers {
            let (key, tag) = (keys.of(&timer), timer.text()?);
            out.emit(&timer, Told { key: key.key, what: "fired", text: Some(tag), number: Some(timer.at_ms) });
            if tag == "again" && key.values.get()?.is_some() {
                key.timers.set(timer.domain, "again", timer.at_ms + 1000);
            }
        }
        Ok(())
    }
}

fn one<'a, V: Text>(
    row: &Row<Side<'a>>,
    asked: &Asked<'a>,
    key: &Keyed<'_, &'a str, Shelves<V>>,
    out: &mut Out<Told<'a>>,
) -> Result<(), Failure> {
    let (name, text) = (asked.name.unwrap_or_default(), asked.text.unwrap_or_default());
    let mut tell = |what: &str, text: Option<&str>| out.emit(row, Told { key: key.key, what, text, number: None });
    match asked.op {
        "put" => key.values.put(V::of(text)),
        "get" => tell("get", key.values.get()?.as_ref().map(V::text)),
        "delete" => key.values.delete(),
        "push" => key.lists.put(name, text),
        "pull" => tell("pull", key.lists.get(name)?.as_deref()),
        "remove" => key.lists.delete(name),
        "scan" => {
            let page = asked.value.and_then(|page| u32::try_from(page).ok()).unwrap_or(100);
            for entry in key.lists.scan(asked.name, None, page) {
                let (sub_key, text) = entry?;
                tell(&sub_key, Some(&text));
            }
        }
        "timer" => key.timers.set(TimeDomain::EventTime, name, asked.value.unwrap_or(0)),
        "clock" => key.timers.set(TimeDomain::ProcessingTime, name, asked.value.unwrap_or(0)),
        "cancel" => key.timers.cancel(TimeDomain::EventTime, name),
        "reject" => {
            key.values.put(V::of(text));
            out.reject(row, "refused", format!("{} is refused", asked.name.unwrap_or("null")));
        }
        "late" => {
            tell("late", None);
            key.values.put(V::of(text));
            key.timers.set(TimeDomain::EventTime, name, asked.value.unwrap_or(0));
            out.reject(row, "refused", format!("{} is refused", asked.name.unwrap_or("null")));
        }
        "trap" => {
            key.values.put(V::of(text));
            panic!("the record asks for a trap");
        }
        other => out.reject(row, "unknown_op", other),
    }
    Ok(())
}

#[config]
#[derive(Default)]
#[serde(default)]
struct Settings {
    /// The layout of table `values`, 1 or 2.
    version: Option<i32>,
}

enum Conformance {
    Bare(TypedStateful<Plugin<String>>),
    Marked(TypedStateful<Plugin<Marked>>),
}

/// Calls the one that the config has chosen.
macro_rules! chosen {
    ($conformance:expr, $plugin:ident => $call:expr) => {
        match $conformance {
            Conformance::Bare($plugin) => $call,
            Conformance::Marked($plugin) => $call,
        }
    };
}

impl RunsStateful for Conformance {
    type Config = Settings;
    fn describe(config: &Settings) -> Result<Manifest, String> {
        let manifest = match config.version {
            None | Some(1) => TypedStateful::<Plugin<String>>::describe(&())?,
            Some(2) => TypedStateful::<Plugin<Marked>>::describe(&())?,
            Some(other) => return Err(format!("version is {other}, expected 1 or 2")),
        };
        Ok(Manifest { config_schema: pelton_sdk::config::schema_text::<Settings>(), ..manifest })
    }
    fn start(config: Settings, context: &Context) -> Result<Self, String> {
        match config.version {
            Some(2) => TypedStateful::start((), context).map(Self::Marked),
            _ => TypedStateful::start((), context).map(Self::Bare),
        }
    }
    fn run(&mut self, batch: &Batch) -> Result<Processed, Failure> {
        chosen!(self, plugin => plugin.run(batch))
    }
    fn fire(&mut self, due: &DueTimers) -> Result<Processed, Failure> {
        chosen!(self, plugin => plugin.fire(due))
    }
    fn migrate(&self, table: u32, from: u32, value: &[u8]) -> Result<Option<Vec<u8>>, String> {
        chosen!(self, plugin => plugin.migrate(table, from, value))
    }
}

pelton_sdk::export_stateful!(Conformance);
