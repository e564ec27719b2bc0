//! Clicks that are worth something, in cents. Edit the structs and `process`; `cargo test` runs the folders of `cases/`.

use pelton_sdk::prelude::*;

/// What is read of a record. Fields that are not named here are not even decoded.
#[derive(Fields)]
struct Click<'a> {
    ad: &'a str,
    amount: f64,
}

/// What is made of it.
#[derive(Output)]
struct Sale<'a> {
    ad: &'a str,
    cents: i64,
}

/// The `config:` of the step.
#[config]
#[serde(default)]
struct Settings {
    /// Clicks worth less than this are dropped.
    least: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { least: 0.01 }
    }
}

struct Plugin(Settings);

impl Transformer for Plugin {
    type Config = Settings;
    type Input<'a> = Click<'a>;
    type Output<'a> = Sale<'a>;
    const NAME: &'static str = "{{name}}";

    fn new(config: Settings) -> Result<Self, String> {
        if config.least < 0.0 {
            return Err(format!("`least` is {}; it must not be negative", config.least));
        }
        Ok(Self(config))
    }

    fn process<'a>(&mut self, clicks: Rows<'a, Click<'a>>, out: &mut Out<Sale<'a>>) -> Result<(), Failure> {
        for click in clicks {
            if click.amount < 0.0 {
                out.reject(&click, "negative_amount", format!("amount is {}", click.amount));
            } else if click.amount >= self.0.least {
                let cents = (click.amount * 100.0).round() as i64;
                out.emit(&click, Sale { ad: click.ad, cents });
            }
        }
        Ok(())
    }
}

pelton_sdk::transformer!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        pelton_sdk::testing::check(
            concat!(env!("CARGO_MANIFEST_DIR"), "/cases"),
            pelton_sdk::testing::transformer::<Plugin>,
        );
    }
}
