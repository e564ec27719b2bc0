//! What a filter would be if records crossed into WebAssembly one by one: a list of records in, a list of records out. It stands beside the
//! columns in the benchmark, and nowhere else.
#![allow(unsafe_code, reason = "bindings")]

wit_bindgen::generate!({
    inline: "
        package bench:records;

        world filter {
            record reading { device: string, value: f64 }
            export keep: func(readings: list<reading>, at-least: f64) -> list<reading>;
        }
    ",
});

struct Filter;

impl Guest for Filter {
    fn keep(readings: Vec<Reading>, at_least: f64) -> Vec<Reading> {
        readings.into_iter().filter(|reading| reading.value >= at_least).collect()
    }
}

export!(Filter);
