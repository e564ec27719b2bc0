//! Clicks with the price that a service knows. Edit the structs, `prepare` and `complete`; `cargo test` runs the folders of `cases/`.

use pelton_sdk::prelude::*;

/// What is read of a record. Fields that are not named here are not even decoded.
#[derive(Fields)]
struct Click<'a> {
    ad: &'a str,
}

/// What is made of it.
#[derive(Output)]
struct Priced<'a> {
    ad: &'a str,
    /// none where the service knows no price
    cents: Option<i64>,
}

struct Plugin;

impl Enricher for Plugin {
    type Config = ();
    type Input<'a> = Click<'a>;
    /// What comes back with an answer; here nothing.
    type Cookie = ();
    type Output<'a> = Priced<'a>;
    const NAME: &'static str = "{{name}}";
    const CONNECTORS: &'static [(&'static str, &'static str)] = &[("prices", "answers GET of /prices/AD with cents")];

    fn new(_: ()) -> Result<Self, String> {
        Ok(Self)
    }

    /// What to ask. The host knows the address of `prices`, asks, and keeps to limits.
    fn prepare<'a>(&mut self, clicks: Rows<'a, Click<'a>>, ask: &mut Ask<()>) -> Result<(), Failure> {
        for click in clicks {
            ask.send(&click, Request::get("prices", format!("/prices/{}", segment(click.ad))), &())?;
        }
        Ok(())
    }

    /// What the answers make of the records. What is asked here is asked in another round.
    fn complete<'a>(
        &mut self,
        clicks: Rows<'a, Click<'a>>,
        answers: &Answers<()>,
        out: &mut Out<Priced<'a>>,
        _: &mut Ask<()>,
    ) -> Result<(), Failure> {
        for click in clicks {
            for answer in answers.of(&click) {
                match answer.answered() {
                    Some((200, _)) => out.emit(&click, Priced { ad: click.ad, cents: answer.text().trim().parse().ok() }),
                    Some((404, _)) => out.emit(&click, Priced { ad: click.ad, cents: None }),
                    Some((status, _)) => out.reject(&click, "no_price", format!("the service answers {status}")),
                    None => out.reject(&click, "no_answer", format!("{:?}", answer.outcome)),
                }
            }
        }
        Ok(())
    }
}

pelton_sdk::enricher!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;

    /// In the place of the service.
    fn service(request: &Request) -> Outcome {
        let (status, body) = match request.path.as_str() {
            "/prices/a" => (200, "125"),
            "/prices/broken" => (500, "oh"),
            "/prices/away" => return Outcome::TimedOut,
            _ => (404, ""),
        };
        Outcome::Answered { status, headers: Vec::new(), body: body.into() }
    }

    #[test]
    fn cases() {
        pelton_sdk::testing::check(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"), |config, rows| {
            pelton_sdk::testing::enricher::<Plugin>(config, rows, service)
        });
    }
}
