//! The enricher of the conformance suite (`sdk/conformance/README.md`).
//!
//! The rule: what a record asks for stands in its `op`. Left to others: the cases.

use pelton_sdk::prelude::*;
use pelton_sdk::serde_json::json;

#[derive(Fields)]
struct Asked<'a> {
    op: &'a str,
    name: Option<&'a str>,
    value: Option<i64>,
}

#[derive(Output)]
struct Told<'a> {
    name: Option<&'a str>,
    status: Option<i32>,
    text: Option<&'a str>,
    rounds: i32,
}

struct Conformance;

fn score_of(name: &str) -> Request {
    Request::get("scores", format!("/scores/{}", segment(name)))
}

impl Enricher for Conformance {
    type Config = ();
    type Input<'a> = Asked<'a>;
    /// The round of a request.
    type Cookie = i32;
    type Output<'a> = Told<'a>;
    const NAME: &'static str = "conformance-enricher";
    const CONNECTORS: &'static [(&'static str, &'static str)] = &[("scores", "answers GET and POST of /scores")];

    fn new(_: ()) -> Result<Self, String> {
        Ok(Self)
    }

    fn prepare<'a>(&mut self, rows: Rows<'a, Asked<'a>>, ask: &mut Ask<i32>) -> Result<(), Failure> {
        for row in rows {
            match row.op {
                "ask" | "twice" => ask.send(&row, score_of(row.name.unwrap_or_default()), &1)?,
                "post" => {
                    let body = json!({ "name": row.name, "value": row.value });
                    ask.send(&row, Request::post("scores", "/scores").json(&body), &1)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn complete<'a>(
        &mut self,
        rows: Rows<'a, Asked<'a>>,
        answers: &Answers<i32>,
        out: &mut Out<Told<'a>>,
        ask: &mut Ask<i32>,
    ) -> Result<(), Failure> {
        for row in rows {
            let name = row.name;
            match (row.op, answers.of(&row)) {
                ("pass", _) => out.emit(&row, Told { name, status: None, text: None, rounds: 0 }),
                ("reject", _) => out.reject(&row, "refused", format!("{} is refused", name.unwrap_or("null"))),
                ("twice", [first])
                    if first.cookie == 1 && first.answered().is_some_and(|(status, _)| status == 200) =>
                {
                    ask.send(&row, score_of(&first.text()), &2)?;
                }
                (_, [answer]) => {
                    let (status, text) = match &answer.outcome {
                        Outcome::Answered { status, .. } => (Some(i32::from(*status)), answer.text()),
                        Outcome::Failed(why) => (None, format!("failed: {why}")),
                        Outcome::TimedOut => (None, "timed out".to_owned()),
                    };
                    out.emit(&row, Told { name, status, text: Some(&text), rounds: answer.cookie });
                }
                (op, _) => out.reject(&row, "unknown_op", op),
            }
        }
        Ok(())
    }
}

pelton_sdk::enricher!(Conformance);
