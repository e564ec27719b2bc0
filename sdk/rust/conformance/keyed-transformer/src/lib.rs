//! The keyed transformer of the conformance suite (`sdk/conformance/README.md`).
//!
//! The rule: what a record asks for stands in its `op`. Left to others: the cases.

use pelton_sdk::prelude::*;

#[derive(Fields)]
struct Asked<'a> {
    op: &'a str,
    value: Option<i64>,
}

#[derive(Default, Stored)]
struct Sums {
    count: i64,
    total: i64,
}

#[derive(Output)]
struct Told<'a> {
    key: &'a str,
    count: i64,
    total: i64,
}

struct Conformance;

impl KeyedTransformer for Conformance {
    type Config = ();
    type Key<'a> = &'a str;
    type Input<'a> = Asked<'a>;
    type State = Sums;
    type Output<'a> = Told<'a>;
    const NAME: &'static str = "conformance-keyed";

    fn new(_: ()) -> Result<Self, String> {
        Ok(Self)
    }

    fn process<'a>(
        &mut self,
        rows: Rows<'a, Asked<'a>>,
        keys: &mut States<'a, &'a str, Sums>,
        out: &mut Out<Told<'a>>,
    ) -> Result<(), Failure> {
        for row in rows {
            let mut key = keys.of(&row)?;
            match row.op {
                "add" => {
                    key.state.count += 1;
                    key.state.total += row.value.unwrap_or(0);
                    out.emit(&row, Told { key: key.key, count: key.state.count, total: key.state.total });
                }
                "clear" => {
                    key.delete();
                    out.emit(&row, Told { key: key.key, count: 0, total: 0 });
                }
                "timer" => key.timers.set(TimeDomain::EventTime, "timer", row.value.unwrap_or(0)),
                "reject" => out.reject(&row, "refused", format!("{} is refused", key.key)),
                "trap" => panic!("the record asks for a trap"),
                other => out.reject(&row, "unknown_op", other),
            }
        }
        Ok(())
    }

    fn fire<'a>(
        &mut self,
        timers: Timers<'a>,
        keys: &mut States<'a, &'a str, Sums>,
        out: &mut Out<Told<'a>>,
    ) -> Result<(), Failure> {
        for timer in timers {
            let key = keys.of(&timer)?;
            out.emit(&timer, Told { key: key.key, count: key.state.count, total: key.state.total });
        }
        Ok(())
    }
}

pelton_sdk::keyed_transformer!(Conformance);
