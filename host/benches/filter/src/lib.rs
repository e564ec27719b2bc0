//! The transformer of the benchmarks, written as a plugin author would write it: readings of at least some value, with four of their
//! eight fields.

use pelton_sdk::prelude::*;

/// What is read of a reading.
#[derive(Fields)]
struct Reading<'a> {
    device: &'a str,
    at: Timestamp,
    value: f64,
    level: i64,
}

/// A reading that is kept.
#[derive(Output)]
struct Kept<'a> {
    device: &'a str,
    at: Timestamp,
    value: f64,
    level: i64,
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
    const NAME: &'static str = "bench-filter";
    const DOC: &'static str = "Readings of at least some value";

    fn new(bound: Bound) -> Result<Self, String> {
        Ok(Self(bound))
    }

    fn process<'a>(&mut self, readings: Rows<'a, Reading<'a>>, out: &mut Out<Kept<'a>>) -> Result<(), Failure> {
        for reading in readings {
            if reading.value >= self.0.at_least {
                let Reading { device, at, value, level } = reading.fields;
                out.emit(&reading, Kept { device, at, value, level });
            }
        }
        Ok(())
    }
}

pelton_sdk::transformer!(Filter);
