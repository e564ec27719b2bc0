//! Departures with their delay class; cancelled flights are dropped.
//!
//! The classes are bounds in minutes, set by the step's config. A cancelled flight has no delay in the data.

use pelton_sdk::prelude::*;

/// What is read of a flight.
#[derive(Fields)]
struct Flight<'a> {
    carrier: &'a str,
    origin: &'a str,
    dest: &'a str,
    flight: i64,
    /// Minutes; none when the flight was cancelled.
    dep_delay: Option<i64>,
}

/// A flight that left.
#[derive(Output)]
struct Departure<'a> {
    carrier: &'a str,
    origin: &'a str,
    dest: &'a str,
    flight: i64,
    /// Minutes; negative is early.
    dep_delay: i64,
    /// early, on_time, late or very_late.
    delay_class: &'a str,
}

#[config]
#[serde(default)]
struct Bounds {
    /// Up to so many minutes a flight is on time.
    on_time: i64,
    /// Up to so many minutes it is late, beyond them very late.
    late: i64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { on_time: 15, late: 60 }
    }
}

struct Delays(Bounds);

impl Delays {
    fn class(&self, minutes: i64) -> &'static str {
        match minutes {
            ..0 => "early",
            minutes if minutes <= self.0.on_time => "on_time",
            minutes if minutes <= self.0.late => "late",
            _ => "very_late",
        }
    }
}

impl Transformer for Delays {
    type Config = Bounds;
    type Input<'a> = Flight<'a>;
    type Output<'a> = Departure<'a>;
    const NAME: &'static str = "flights";
    const DOC: &'static str = "Departures with their delay class; cancelled flights are dropped";

    fn new(bounds: Bounds) -> Result<Self, String> {
        if bounds.on_time > bounds.late {
            return Err(format!(
                "`on_time` is {} and `late` is {}; `late` must not be less",
                bounds.on_time, bounds.late
            ));
        }
        Ok(Self(bounds))
    }

    fn process<'a>(&mut self, flights: Rows<'a, Flight<'a>>, out: &mut Out<Departure<'a>>) -> Result<(), Failure> {
        for flight in flights {
            let Some(dep_delay) = flight.dep_delay else {
                continue;
            };
            let Flight { carrier, origin, dest, flight: number, .. } = flight.fields;
            let delay_class = self.class(dep_delay);
            out.emit(&flight, Departure { carrier, origin, dest, flight: number, dep_delay, delay_class });
        }
        Ok(())
    }
}

pelton_sdk::transformer!(Delays);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        pelton_sdk::testing::check(
            concat!(env!("CARGO_MANIFEST_DIR"), "/cases"),
            pelton_sdk::testing::transformer::<Delays>,
        );
    }
}
