//! Clicks on an ad that follow each other, as one visit, which ends when there was none for a while. Edit the structs, `process` and `fire`;
//! `cargo test` runs the folders of `cases/`.

use pelton_sdk::prelude::*;

/// What is read of a record. Fields that are not named here are not even decoded.
#[derive(Fields)]
struct Click {
    amount: f64,
    #[field(event_time)]
    at: EventTime,
}

/// One visit.
#[derive(Default, Stored)]
struct Visit {
    clicks: i64,
    cents: i64,
    /// when it ends, unless a click comes before
    end_ms: i64,
}

/// What is kept: one value a key here; `Map<SubKey, Value>` holds many.
#[derive(Tables)]
struct Kept {
    visit: Table<Visit>,
}

/// What is made of a visit.
#[derive(Output)]
struct Ended<'a> {
    ad: &'a str,
    clicks: i64,
    cents: i64,
}

/// The `config:` of the step.
#[config]
#[serde(default)]
struct Settings {
    /// A visit ends after so many seconds without a click.
    quiet_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { quiet_s: 30 }
    }
}

struct Plugin(Settings);

impl StatefulTransformer for Plugin {
    type Config = Settings;
    /// The type of the step's `key:`; a tuple where it has several fields.
    type Key<'a> = &'a str;
    type Input<'a> = Click;
    type Tables = Kept;
    type Output<'a> = Ended<'a>;
    const NAME: &'static str = "{{name}}";

    fn new(config: Settings) -> Result<Self, String> {
        Ok(Self(config))
    }

    fn process<'a>(
        &mut self,
        clicks: Rows<'a, Click>,
        keys: &Keys<'a, &'a str, Kept>,
        out: &mut Out<Ended<'a>>,
    ) -> Result<(), Failure> {
        for click in clicks {
            if click.amount < 0.0 {
                out.reject(&click, "negative_amount", format!("amount is {}", click.amount));
                continue;
            }
            let (key, at_ms) = (keys.of(&click), click.at.0 / 1000);
            let mut visit = key.visit.get()?.unwrap_or_default();
            // Its timer has not fired yet where this click came in the same batch.
            if visit.clicks > 0 && visit.end_ms <= at_ms {
                out.emit(&click, Ended { ad: key.key, clicks: visit.clicks, cents: visit.cents });
                visit = Visit::default();
            }
            visit.clicks += 1;
            visit.cents += (click.amount * 100.0).round() as i64;
            visit.end_ms = visit.end_ms.max(at_ms + i64::from(self.0.quiet_s) * 1000);
            // There is one timer of this name a key: a later click moves it.
            key.timers.set(TimeDomain::EventTime, "end", visit.end_ms);
            key.visit.put(visit);
        }
        Ok(())
    }

    fn fire<'a>(
        &mut self,
        timers: Timers<'a>,
        keys: &Keys<'a, &'a str, Kept>,
        out: &mut Out<Ended<'a>>,
    ) -> Result<(), Failure> {
        for timer in timers {
            let key = keys.of(&timer);
            if let Some(Visit { clicks, cents, .. }) = key.visit.get()? {
                out.emit(&timer, Ended { ad: key.key, clicks, cents });
                key.visit.delete();
            }
        }
        Ok(())
    }
}

pelton_sdk::stateful_transformer!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        pelton_sdk::testing::check(
            concat!(env!("CARGO_MANIFEST_DIR"), "/cases"),
            pelton_sdk::testing::stateful::<Plugin>,
        );
    }
}
