//! Times as text: RFC 3339 to microseconds since 1970 and back, and days.
//!
//! The rule: years 0000 to 9999 in text, nothing panics outside of them. Left to others: what a field's text means.

/// Microseconds in a day.
const DAY_US: i64 = 86_400_000_000;

/// Days since 1970 of a date of the Gregorian calendar.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a count of days since 1970.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// `2013-01-31` for a count of days since 1970.
pub fn date_text(days: i64) -> String {
    let (year, month, day) = date_of(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2013-01-31T05:00:00Z`, with six digits of a second only where they are not zero.
pub fn instant_text(us: i64) -> String {
    let (days, rest) = (us.div_euclid(DAY_US), us.rem_euclid(DAY_US));
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let date = date_text(days);
    if fraction == 0 {
        format!("{date}T{hour:02}:{minute:02}:{second:02}Z")
    } else {
        format!("{date}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
    }
}

/// A reader of fixed places in a text.
struct Places<'a>(&'a [u8]);

impl Places<'_> {
    /// A number of exactly `count` digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        head.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    }

    /// One of these characters.
    fn one_of(&mut self, wanted: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        wanted.contains(first).then_some(*first)
    }

    /// Days since 1970.
    fn date(&mut self) -> Option<i64> {
        let year = self.digits(4)?;
        self.one_of(b"-")?;
        let month = self.digits(2)?;
        self.one_of(b"-")?;
        let day = self.digits(2)?;
        if !(1..=12).contains(&month) {
            return None;
        }
        let days = days_of(year, month, day);
        (date_of(days) == (year, month, day)).then_some(days)
    }

    /// Microseconds of a fraction of a second, finer digits dropped.
    fn fraction(&mut self) -> Option<i64> {
        if self.0.first() != Some(&b'.') {
            return Some(0);
        }
        self.0 = &self.0[1..];
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        let kept = (0..6).map(|place| digits.get(place).map_or(0, |digit| i64::from(digit - b'0')));
        (length > 0).then(|| kept.fold(0, |sum, digit| sum * 10 + digit))
    }

    /// Seconds east of UTC.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.one_of(b"Zz+-")? {
            b'Z' | b'z' => return Some(0),
            b'-' => -1,
            _ => 1,
        };
        let hours = self.digits(2)?;
        self.one_of(b":")?;
        let minutes = self.digits(2)?;
        (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
    }
}

/// Days since 1970 of `2013-01-31`.
pub fn parse_date(text: &str) -> Option<i32> {
    let mut places = Places(text.as_bytes());
    let days = places.date()?;
    places.0.is_empty().then(|| i32::try_from(days).ok())?
}

/// Microseconds since 1970 of an RFC 3339 text such as `2013-01-31T05:00:00.25-05:00`.
pub fn parse_instant(text: &str) -> Option<i64> {
    let mut places = Places(text.as_bytes());
    let days = places.date()?;
    places.one_of(b"Tt ")?;
    let hour = places.digits(2)?;
    places.one_of(b":")?;
    let minute = places.digits(2)?;
    places.one_of(b":")?;
    let second = places.digits(2)?;
    let fraction = places.fraction()?;
    let offset = places.offset()?;
    // A leap second counts as the first moment of the next minute, as POSIX has it.
    if hour > 23 || minute > 59 || second > 60 || !places.0.is_empty() {
        return None;
    }
    Some(days * DAY_US + (hour * 3600 + minute * 60 + second - offset) * 1_000_000 + fraction)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_instant_survives_text(us in -62_167_219_200_000_000i64..253_402_300_800_000_000) {
            prop_assert_eq!(parse_instant(&instant_text(us)), Some(us));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = (parse_instant(&text), parse_date(&text));
        }

        #[test]
        fn no_number_panics(us: i64, days: i32) {
            let _ = (instant_text(us), date_text(i64::from(days)));
        }
    }

    #[test]
    fn texts_of_the_standard_are_read() {
        assert_eq!(instant_text(0), "1970-01-01T00:00:00Z");
        assert_eq!(parse_instant("2013-01-31T05:00:00.25-05:00"), Some(1_359_626_400_250_000));
        assert_eq!(parse_date("2000-02-29"), Some(11_016));
        for wrong in ["2001-02-29", "2013-13-01", "2013-1-31", "2013-01-31 ", ""] {
            assert_eq!(parse_date(wrong), None, "{wrong}");
        }
        for wrong in ["2013-01-31T05:00:00", "2013-01-31T25:00:00Z", "2013-01-31T05:00:00.Z", "2013-01-31T05:00:00Zx"] {
            assert_eq!(parse_instant(wrong), None, "{wrong}");
        }
    }
}
