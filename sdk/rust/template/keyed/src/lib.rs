//! The turnover of each ad so far. Edit the structs and `process`; `cargo test` runs the folders of `cases/`.

use pelton_sdk::prelude::*;

/// What is read of a record. Fields that are not named here are not even decoded.
#[derive(Fields)]
struct Click {
    amount: f64,
}

/// What is kept of a key; of a new one the default.
#[derive(Default, Stored)]
struct Total {
    clicks: i64,
    cents: i64,
}

/// What is made of a record.
#[derive(Output)]
struct Turnover<'a> {
    ad: &'a str,
    clicks: i64,
    cents: i64,
}

struct Plugin;

impl KeyedTransformer for Plugin {
    type Config = ();
    /// The type of the step's `key:`; a tuple where it has several fields.
    type Key<'a> = &'a str;
    type Input<'a> = Click;
    type State = Total;
    type Output<'a> = Turnover<'a>;
    const NAME: &'static str = "{{name}}";

    fn new(_: ()) -> Result<Self, String> {
        Ok(Self)
    }

    fn process<'a>(
        &mut self,
        clicks: Rows<'a, Click>,
        keys: &mut States<'a, &'a str, Total>,
        out: &mut Out<Turnover<'a>>,
    ) -> Result<(), Failure> {
        for click in clicks {
            if click.amount < 0.0 {
                out.reject(&click, "negative_amount", format!("amount is {}", click.amount));
                continue;
            }
            let mut key = keys.of(&click)?;
            key.state.clicks += 1;
            key.state.cents += (click.amount * 100.0).round() as i64;
            out.emit(&click, Turnover { ad: key.key, clicks: key.state.clicks, cents: key.state.cents });
        }
        Ok(())
    }
}

pelton_sdk::keyed_transformer!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        pelton_sdk::testing::check(
            concat!(env!("CARGO_MANIFEST_DIR"), "/cases"),
            pelton_sdk::testing::keyed::<Plugin>,
        );
    }
}
