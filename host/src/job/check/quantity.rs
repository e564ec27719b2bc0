//! Texts that mean a number: durations, sizes, times, types.
//!
//! The rule: no bare numbers (`30` of what?), no value is rounded, and what does not fit is refused with the form that would.

use std::time::Duration;

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;

use crate::decode::Kind;
use crate::job::interface::{FieldKind, KINDS};

const DURATION_UNITS: [(&str, u64); 6] =
    [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000), ("d", 86_400_000_000)];
const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];
/// Ten years: longer is a slip.
const LONGEST_US: u64 = 3653 * 86_400_000_000;

/// `30s`, `1h30m`, `250ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let why = || format!("`{text}` is no duration: write it like 250ms, 30s, 5m or 1h30m");
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() || last_unit == u64::MAX {
        let (count, after) = number(rest).ok_or_else(why)?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let unit = DURATION_UNITS.iter().find(|(name, _)| *name == &after[..letters]).ok_or_else(why)?.1;
        if unit >= last_unit {
            return Err(format!("`{text}` is no duration: units go from large to small, each once, like 1h30m"));
        }
        last_unit = unit;
        total = count
            .checked_mul(unit)
            .and_then(|part| total.checked_add(part))
            .filter(|us| *us <= LONGEST_US)
            .ok_or_else(|| format!("the duration `{text}` is longer than ten years"))?;
        rest = &after[letters..];
    }
    Ok(Duration::from_micros(total))
}

/// `64MiB`, `500kB`.
pub fn size(text: &str) -> Result<u64, String> {
    let why = || format!("`{text}` is no size: write it like 500kB, 64MiB or 1GiB");
    let (count, unit) = number(text.trim()).ok_or_else(why)?;
    let unit = SIZE_UNITS.iter().find(|(name, _)| *name == unit.trim_start()).ok_or_else(why)?.1;
    count.checked_mul(unit).ok_or_else(|| format!("the size `{text}` is too large"))
}

/// An RFC 3339 time, in microseconds since 1970.
pub fn timestamp_us(text: &str) -> Result<i64, String> {
    let why = || format!("`{text}` is no time: write it like 2026-01-31T12:00:00Z");
    // a date alone ends like a zone: `-01-31`
    let zoned = text.len() >= 20
        && (text.ends_with('Z')
            || text.get(text.len().saturating_sub(6)..).is_some_and(|zone| zone.starts_with(['+', '-'])));
    if !zoned {
        return Err(why());
    }
    string_to_timestamp_nanos(text).map(|nanos| nanos.div_euclid(1_000)).map_err(|_| why())
}

/// A type of `fields:`, and whether the field may be absent.
pub fn field_type(text: &str) -> Option<(Kind, bool)> {
    let trimmed = text.trim();
    let (name, optional) = trimmed.strip_suffix('?').map_or((trimmed, false), |name| (name.trim_end(), true));
    if let Some(inner) = name.strip_prefix("decimal(").and_then(|inner| inner.strip_suffix(')')) {
        let (precision, scale) = inner.split_once(',')?;
        let (precision, scale): (u8, i8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
        let fits = (1..=38).contains(&precision) && (0..=precision as i8).contains(&scale);
        return fits.then_some((Kind::Decimal { precision, scale }, optional));
    }
    let kind: FieldKind = KINDS.iter().find(|(known, _)| *known == name)?.1;
    Some((kind.kind(), optional))
}

fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_mean_what_they_say() {
        assert_eq!(duration("1h30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(size("64MiB").unwrap(), 64 << 20);
        assert_eq!(timestamp_us("1970-01-01T00:00:01Z").unwrap(), 1_000_000);
        assert_eq!(timestamp_us("1970-01-01T01:00:01+01:00").unwrap(), 1_000_000);
        assert_eq!(field_type("decimal(10, 2)?"), Some((Kind::Decimal { precision: 10, scale: 2 }, true)));
    }

    #[test]
    fn what_is_unclear_is_refused() {
        for text in ["", "30", "s", "1.5h", "30m1h", "1h1h", "-1s", "99999999999d", "5 minutes"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "64", "64mib", "-1B", "99999999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        for text in ["", "yesterday", "2026-01-31", "2026-01-31T12:00:00", "2026-13-31T12:00:00Z", "-"] {
            assert!(timestamp_us(text).is_err(), "{text}");
        }
        for text in ["int", "decimal(2,3)", "decimal(99,3)", "decimal(3)", "?"] {
            assert!(field_type(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            drop((duration(&text), size(&text), timestamp_us(&text), field_type(&text)));
        }
    }
}
