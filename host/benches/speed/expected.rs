//! What must come of the input, by a plain computation, and the same figures of what did come.
//!
//! Results are compared by their number and a sum of hashes, which does not depend on their order.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Float64Type, Int64Type, TimestampMicrosecondType},
};
use pelton::error::{Error, Kind, Result};

use super::input::{BOUND, HOUR_MS, KEYS, PASS, PASS_MS, Reading, readings};

/// How many results, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    pub rows: u64,
    pub sum: u64,
}

impl Digest {
    fn add(&mut self, hash: u64) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hash);
    }
}

/// Which work the results are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// filter and project
    A,
    /// count, mean, least and most by device and hour
    B,
}

fn mixed(parts: [u64; 6]) -> u64 {
    parts.iter().fold(0, |hash, part| (hash ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29))
}

/// The last seven bytes of a name tell devices apart.
fn device(name: &[u8]) -> u64 {
    name.last_chunk::<8>().map_or(0, |tail| u64::from_le_bytes(*tail))
}

fn device_hash(number: u32) -> u64 {
    device(format!("device-{number:07}").as_bytes())
}

fn kept_hash(device: u64, at_us: i64, value: f64, level: i64) -> u64 {
    // One multiplication: millions of them are part of what is measured.
    (device ^ value.to_bits().rotate_left(21) ^ (level as u64).rotate_left(48))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(at_us as u64)
}

/// Of all readings of `passes` passes.
pub fn expected(work: Work, passes: u64) -> Digest {
    match work {
        Work::A => expected_kept(passes),
        Work::B => expected_windows(passes),
    }
}

fn expected_kept(passes: u64) -> Digest {
    let mut digest = Digest::default();
    let kept: Vec<Reading> = readings(PASS).filter(|reading| reading.value >= BOUND).collect();
    let devices: Vec<u64> = (0..KEYS as u32).map(device_hash).collect();
    for pass in 0..passes as i64 {
        for reading in &kept {
            let at_us = (reading.at_ms + pass * PASS_MS) * 1_000;
            digest.add(kept_hash(devices[reading.device as usize], at_us, reading.value, reading.level));
        }
    }
    digest
}

fn expected_windows(passes: u64) -> Digest {
    let mut windows = std::collections::HashMap::new();
    for reading in readings(PASS) {
        let key = (reading.device, reading.at_ms.div_euclid(HOUR_MS) * HOUR_MS);
        let window = windows.entry(key).or_insert((0u64, 0.0, f64::INFINITY, f64::NEG_INFINITY));
        *window = (window.0 + 1, window.1 + reading.value, window.2.min(reading.value), window.3.max(reading.value));
    }
    let mut digest = Digest::default();
    for pass in 0..passes as i64 {
        for ((device, start_ms), (count, sum, least, most)) in &windows {
            let start_us = (start_ms + pass * PASS_MS) * 1_000;
            let mean = sum / *count as f64;
            let floats = [mean.to_bits(), least.to_bits(), most.to_bits()];
            digest.add(mixed([device_hash(*device), start_us as u64, *count, floats[0], floats[1], floats[2]]));
        }
    }
    digest
}

/// Adds what a job gave.
pub fn observe(work: Work, fields: &RecordBatch, digest: &mut Digest) -> Result<()> {
    let column = |name: &str| {
        let found = fields.column_by_name(name);
        found.ok_or_else(|| Error::new(Kind::Internal, format!("the results have no field `{name}`")))
    };
    let names = column("device")?.as_string::<i32>();
    let time = |name: &str| Ok::<_, Error>(column(name)?.as_primitive::<TimestampMicrosecondType>().values());
    let float = |name: &str| Ok::<_, Error>(column(name)?.as_primitive::<Float64Type>().values());
    let long = |name: &str| Ok::<_, Error>(column(name)?.as_primitive::<Int64Type>().values());
    match work {
        Work::A => {
            let (at, value, level) = (time("at")?, float("value")?, long("level")?);
            for row in 0..names.len() {
                digest.add(kept_hash(device(names.value(row).as_bytes()), at[row], value[row], level[row]));
            }
        }
        Work::B => {
            let (start, count) = (time("window_start")?, long("count")?);
            let (mean, least, most) = (float("mean")?, float("min")?, float("max")?);
            for row in 0..names.len() {
                let floats = [mean[row].to_bits(), least[row].to_bits(), most[row].to_bits()];
                let name = device(names.value(row).as_bytes());
                digest.add(mixed([name, start[row] as u64, count[row] as u64, floats[0], floats[1], floats[2]]));
            }
        }
    }
    Ok(())
}
