//! Clicks and turnover of a window. Edit the structs and the three functions; `cargo test` runs the folders of `cases/`.

use pelton_sdk::prelude::*;

/// What is read of a record. Fields that are not named here are not even decoded.
#[derive(Fields)]
struct Click {
    amount: f64,
}

/// What is kept of a window: of fixed width, one copy in and out.
#[derive(Accumulator, Default)]
struct Total {
    clicks: u64,
    cents: i64,
}

/// What a window gives.
#[derive(Output)]
struct Turnover {
    clicks: i64,
    cents: i64,
}

struct Plugin;

impl Aggregator for Plugin {
    type Config = ();
    type Input<'a> = Click;
    type Accumulator = Total;
    type Output<'a> = Turnover;
    const NAME: &'static str = "{{name}}";

    fn new(_: ()) -> Result<Self, String> {
        Ok(Self)
    }

    /// One record more.
    fn fold(&self, total: &mut Total, click: &Row<Click>) -> Result<(), Reject> {
        if click.amount < 0.0 {
            return Err(Reject::new("negative_amount", format!("amount is {}", click.amount)));
        }
        total.clicks += 1;
        total.cents += (click.amount * 100.0).round() as i64;
        Ok(())
    }

    /// Two parts of one window.
    fn combine(&self, into: &mut Total, part: &Total) {
        into.clicks += part.clicks;
        into.cents += part.cents;
    }

    /// The window has ended.
    fn finish(&self, total: &Total, _: &Window) -> Result<Option<Turnover>, Reject> {
        Ok(Some(Turnover { clicks: total.clicks as i64, cents: total.cents }))
    }
}

pelton_sdk::aggregator!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        pelton_sdk::testing::check(
            concat!(env!("CARGO_MANIFEST_DIR"), "/cases"),
            pelton_sdk::testing::aggregator::<Plugin>,
        );
    }
}
