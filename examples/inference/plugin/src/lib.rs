//! Payments with the verdict of a model: every payment is scored by a service, and the history of a suspicious one's customer is asked for.
//!
//! What the service refuses is a reject with its words; a score that does not come in time is a verdict of its own, for a payment cannot wait.

use pelton_sdk::prelude::*;
use pelton_sdk::serde_json::{Value, from_slice, json};

/// What is read of a payment.
#[derive(Fields)]
struct Payment<'a> {
    id: i64,
    customer: &'a str,
    amount: f64,
    country: &'a str,
}

/// What is known of it.
#[derive(Output)]
struct Judged<'a> {
    id: i64,
    customer: &'a str,
    /// none where it did not come in time
    score: Option<f64>,
    /// allow, review, block or unknown
    verdict: &'a str,
}

#[config]
#[serde(default)]
struct Bounds {
    /// from this score on a payment is suspicious
    suspicious: f64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { suspicious: 0.8 }
    }
}

struct Inference(Bounds);

/// A number of the body of an answer.
fn number(body: &[u8], name: &str) -> Option<f64> {
    from_slice::<Value>(body).ok()?.get(name)?.as_f64()
}

impl Enricher for Inference {
    type Config = Bounds;
    type Input<'a> = Payment<'a>;
    /// The score, in the second round.
    type Cookie = String;
    type Output<'a> = Judged<'a>;
    const NAME: &'static str = "inference";
    const DOC: &'static str = "scores payments, and asks for the history of those that are suspicious";
    const CONNECTORS: &'static [(&'static str, &'static str)] =
        &[("scores", "answers POST /scores with { \"score\" } and GET /history/CUSTOMER with { \"chargebacks\" }")];

    fn new(bounds: Bounds) -> Result<Self, String> {
        Ok(Self(bounds))
    }

    fn prepare<'a>(&mut self, payments: Rows<'a, Payment<'a>>, ask: &mut Ask<String>) -> Result<(), Failure> {
        for payment in payments {
            let features = json!({ "id": payment.id, "amount": payment.amount, "country": payment.country });
            ask.send(&payment, Request::post("scores", "/scores").json(&features), &String::new())?;
        }
        Ok(())
    }

    fn complete<'a>(
        &mut self,
        payments: Rows<'a, Payment<'a>>,
        answers: &Answers<String>,
        out: &mut Out<Judged<'a>>,
        ask: &mut Ask<String>,
    ) -> Result<(), Failure> {
        for payment in payments {
            let Payment { id, customer, .. } = *payment;
            for answer in answers.of(&payment) {
                let first: Option<f64> = answer.cookie.parse().ok();
                match (answer.answered(), first) {
                    (Some((200, body)), None) => match number(body, "score") {
                        Some(score) if score < self.0.suspicious => {
                            out.emit(&payment, Judged { id, customer, score: Some(score), verdict: "allow" });
                        }
                        Some(score) => {
                            let path = format!("/history/{}", segment(customer));
                            ask.send(&payment, Request::get("scores", path), &score.to_string())?;
                        }
                        None => out.reject(&payment, "no_score", "the answer holds no score"),
                    },
                    (Some((200, body)), score) => {
                        let verdict = match number(body, "chargebacks") {
                            Some(0.0) => "review",
                            _ => "block",
                        };
                        out.emit(&payment, Judged { id, customer, score, verdict });
                    }
                    (Some((404, _)), Some(score)) => {
                        out.emit(&payment, Judged { id, customer, score: Some(score), verdict: "review" });
                    }
                    (Some((status, _)), _) => {
                        out.reject(&payment, "refused", format!("the service answers {status}: {}", answer.text()));
                    }
                    (None, score) => match &answer.outcome {
                        Outcome::Failed(why) => out.reject(&payment, "failed", why),
                        _ => out.emit(&payment, Judged { id, customer, score, verdict: "unknown" }),
                    },
                }
            }
        }
        Ok(())
    }
}

pelton_sdk::enricher!(Inference);

#[cfg(test)]
mod tests {
    use super::*;

    /// In the place of the service.
    fn service(request: &Request) -> Outcome {
        let said = |status, body: &str| Outcome::Answered { status, headers: Vec::new(), body: body.into() };
        match (request.path.as_str(), number(&request.body, "id").unwrap_or_default() as i64) {
            ("/scores", 1) => said(200, r#"{"score":0.25}"#),
            ("/scores", 2..=4) => said(200, r#"{"score":0.9}"#),
            ("/scores", 5) => said(422, "a negative amount"),
            ("/scores", 6) => Outcome::TimedOut,
            ("/scores", _) => Outcome::Failed("no route".into()),
            ("/history/ann", _) => said(200, r#"{"chargebacks":0}"#),
            ("/history/b%20b", _) => said(200, r#"{"chargebacks":2}"#),
            _ => said(404, ""),
        }
    }

    #[test]
    fn cases() {
        pelton_sdk::testing::check(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"), |config, rows| {
            pelton_sdk::testing::enricher::<Inference>(config, rows, service)
        });
    }
}
