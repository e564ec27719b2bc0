//! The aggregator of the conformance suite (`sdk/conformance/README.md`).
//!
//! The rule: what a record asks for stands in its `op`. Left to others: the cases.

use pelton_sdk::prelude::*;

#[derive(Fields)]
struct Asked<'a> {
    op: &'a str,
    amount: Option<f64>,
    name: Option<&'a str>,
}

#[derive(Accumulator, Default)]
struct Folded {
    records: i64,
    total: f64,
    least: Option<f64>,
    names: Vec<String>,
}

#[derive(Output)]
struct Whole {
    records: i64,
    total: f64,
    least: Option<f64>,
    names: String,
}

#[config]
#[derive(Default)]
#[serde(default)]
struct Settings {
    /// A window whose total is 0 gives no row.
    empty: bool,
}

struct Conformance(Settings);

impl Aggregator for Conformance {
    type Config = Settings;
    type Input<'a> = Asked<'a>;
    type Accumulator = Folded;
    type Output<'a> = Whole;
    const NAME: &'static str = "conformance-aggregator";

    fn new(config: Settings) -> Result<Self, String> {
        Ok(Self(config))
    }

    fn fold<'a>(&self, folded: &mut Folded, row: &Row<Asked<'a>>) -> Result<(), Reject> {
        match row.op {
            "add" => {}
            "reject" => return Err(Reject::new("refused", format!("{} is refused", row.name.unwrap_or("null")))),
            "trap" => panic!("the record asks for a trap"),
            other => return Err(Reject::new("unknown_op", other)),
        }
        folded.records += 1;
        folded.total += row.amount.unwrap_or(0.0);
        folded.least = least(folded.least, row.amount);
        folded.names.extend(row.name.map(str::to_owned));
        Ok(())
    }

    fn combine(&self, into: &mut Folded, part: &Folded) {
        into.records += part.records;
        into.total += part.total;
        into.least = least(into.least, part.least);
        into.names.extend(part.names.iter().cloned());
    }

    fn finish(&self, folded: &Folded, _: &Window) -> Result<Option<Whole>, Reject> {
        let Folded { records, total, least, ref names } = *folded;
        let names = names.join(",");
        Ok((!self.0.empty || total != 0.0).then_some(Whole { records, total, least, names }))
    }
}

fn least(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

pelton_sdk::aggregator!(Conformance);
