//! Readings of at least some value.

use pelton_sdk::prelude::*;

#[derive(Fields)]
struct Reading<'a> {
    device: &'a str,
    value: f64,
}

#[derive(Output)]
struct Kept<'a> {
    device: &'a str,
    value: f64,
}

#[config]
struct Bound {
    /// Readings below it are dropped.
    at_least: f64,
}

struct Filter(Bound);

impl Transformer for Filter {
    type Config = Bound;
    type Input<'a> = Reading<'a>;
    type Output<'a> = Kept<'a>;
    const NAME: &'static str = "filter";

    fn new(bound: Bound) -> Result<Self, String> {
        Ok(Self(bound))
    }

    fn process<'a>(&mut self, readings: Rows<'a, Reading<'a>>, out: &mut Out<Kept<'a>>) -> Result<(), Failure> {
        for reading in readings {
            if reading.value >= self.0.at_least {
                out.emit(&reading, Kept { device: reading.device, value: reading.value });
            }
        }
        Ok(())
    }
}

pelton_sdk::transformer!(Filter);
