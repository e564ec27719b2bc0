//! Which windows a time belongs to. Pure; windows align to 1970, not to the start of the process.

/// Tumbling windows of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tumbling {
    /// microseconds, above 0
    pub length_us: i64,
}

impl Tumbling {
    /// Start of the window that holds this time. Saturates at the ends of time.
    pub fn start(self, event_us: i64) -> i64 {
        event_us.saturating_sub(event_us.rem_euclid(self.length_us))
    }

    /// End of a window, excluded.
    pub fn end(self, start_us: i64) -> i64 {
        start_us.saturating_add(self.length_us)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_inside_its_window(event in -1_000_000_000_000_000i64..4_000_000_000_000_000, length in 1i64..1_000_000_000_000) {
            let windows = Tumbling { length_us: length };
            let start = windows.start(event);
            prop_assert!(start <= event && event < windows.end(start));
            prop_assert_eq!(start.rem_euclid(length), 0);
        }
    }
}
