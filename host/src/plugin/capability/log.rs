//! What a plugin says: log lines, and what it writes to stdout and stderr.
//!
//! The rule: a guest cannot flood the log, forge a line of somebody else's, or steer a terminal: lines are limited, cut, and their
//! control characters escaped. What was left out is counted and said.
//! Left to others: where lines go (`LogSink`).

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::clock::Clock;

/// Longest message, and longest text of fields, in bytes.
const LONGEST: usize = 4 << 10;

/// Lines of stderr that a trap repeats.
const LAST_WORDS: usize = 3;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// everything
    Trace,
    /// for the author
    Debug,
    /// for the operator
    Info,
    /// something to look at
    Warn,
    /// something is lost or broken
    Error,
}

/// A line as it leaves the boundary: cut and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// the step that the plugin runs in
    pub step: Arc<str>,
    /// how much it matters
    pub level: Level,
    /// in words
    pub message: String,
    /// a JSON object as the guest wrote it, or nothing
    pub fields: String,
}

/// Where the lines of plugins go.
pub trait LogSink: Send + Sync + fmt::Debug {
    /// Lines below this level are not wanted.
    fn enabled(&self) -> Level;
    /// Takes a line.
    fn write(&self, line: LogLine);
}

/// Lines go where the host's own lines go.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingLog;

impl LogSink for TracingLog {
    fn enabled(&self) -> Level {
        if tracing::enabled!(target: "pelton::plugin", tracing::Level::TRACE) {
            Level::Trace
        } else if tracing::enabled!(target: "pelton::plugin", tracing::Level::DEBUG) {
            Level::Debug
        } else {
            Level::Info
        }
    }

    fn write(&self, LogLine { step, level, message, fields }: LogLine) {
        match level {
            Level::Trace => tracing::trace!(target: "pelton::plugin", %step, fields, "{message}"),
            Level::Debug => tracing::debug!(target: "pelton::plugin", %step, fields, "{message}"),
            Level::Info => tracing::info!(target: "pelton::plugin", %step, fields, "{message}"),
            Level::Warn => tracing::warn!(target: "pelton::plugin", %step, fields, "{message}"),
            Level::Error => tracing::error!(target: "pelton::plugin", %step, fields, "{message}"),
        }
    }
}

/// The log of one instance, shared with the streams it writes to.
#[derive(Clone, Debug)]
pub(in crate::plugin) struct Log {
    step: Arc<str>,
    sink: Arc<dyn LogSink>,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    per_second: u32,
    tokens: f64,
    refilled: Duration,
    dropped: u64,
    last_words: VecDeque<String>,
}

impl Log {
    pub(in crate::plugin) fn new(
        step: Arc<str>,
        sink: Arc<dyn LogSink>,
        clock: Arc<dyn Clock>,
        per_second: u32,
    ) -> Self {
        let state = State {
            per_second,
            tokens: f64::from(per_second),
            refilled: clock.elapsed(),
            dropped: 0,
            last_words: VecDeque::new(),
        };
        Self { step, sink, clock, state: Arc::new(Mutex::new(state)) }
    }

    pub(in crate::plugin) fn enabled(&self) -> Level {
        self.sink.enabled()
    }

    /// Writes a line, or counts it as left out. What a guest calls an error may be why it traps next.
    pub(in crate::plugin) fn write(&self, level: Level, message: &str, fields: &str) {
        if level == Level::Error {
            self.remember(message);
        }
        if level < self.sink.enabled() {
            return;
        }
        let Some(dropped) = self.with(|state| state.admit(self.clock.elapsed())) else {
            return;
        };
        if dropped > 0 {
            self.line(
                Level::Warn,
                format!("{dropped} lines of this plugin were left out: it logs too much"),
                String::new(),
            );
        }
        self.line(level, clean(message), clean(fields));
    }

    /// Writes a line of stderr, and keeps it for the message of a trap.
    pub(in crate::plugin) fn stderr(&self, line: &str) {
        if !line.is_empty() && !line.starts_with("note: run with `RUST_BACKTRACE") {
            self.remember(line);
            self.write(Level::Warn, line, "");
        }
    }

    fn remember(&self, line: &str) {
        self.with(|state| {
            state.last_words.push_back(clean(line));
            if state.last_words.len() > LAST_WORDS {
                state.last_words.pop_front();
            }
        });
    }

    /// What the guest wrote last to stderr, or logged as an error, since this was last asked.
    pub(in crate::plugin) fn last_words(&self) -> Option<String> {
        let words: Vec<String> = self.with(|state| state.last_words.drain(..).collect());
        (!words.is_empty()).then(|| cut(&words.join(" "), LONGEST).to_owned())
    }

    fn line(&self, level: Level, message: String, fields: String) {
        self.sink.write(LogLine { step: self.step.clone(), level, message, fields });
    }

    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// `Some` with the number of lines left out before, when this line may go.
    fn admit(&mut self, now: Duration) -> Option<u64> {
        let rate = f64::from(self.per_second);
        let since = now.saturating_sub(self.refilled).as_secs_f64();
        self.refilled = now;
        self.tokens = (self.tokens + since * rate).min(rate);
        if self.tokens < 1.0 {
            self.dropped += 1;
            return None;
        }
        self.tokens -= 1.0;
        Some(std::mem::take(&mut self.dropped))
    }
}

/// Cut to a length that a log can bear, control characters and text direction marks escaped. What is escaped grows, so it is cut after that.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(LONGEST));
    for letter in text.chars() {
        if clean.len() >= LONGEST {
            clean.push('…');
            break;
        }
        if letter.is_control()
            || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
        {
            clean.extend(letter.escape_default());
        } else {
            clean.push(letter);
        }
    }
    clean
}

fn cut(text: &str, longest: usize) -> &str {
    &text[..text.floor_char_boundary(longest)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[derive(Debug, Default)]
    struct Kept(Mutex<Vec<LogLine>>);

    impl LogSink for Kept {
        fn enabled(&self) -> Level {
            Level::Debug
        }
        fn write(&self, line: LogLine) {
            self.0.lock().unwrap().push(line);
        }
    }

    #[derive(Debug, Default)]
    struct Still(Mutex<Duration>);

    impl Clock for Still {
        fn wall_us(&self) -> i64 {
            0
        }
        fn elapsed(&self) -> Duration {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn a_flood_is_cut_and_what_was_left_out_is_said() {
        let (kept, clock) = (Arc::new(Kept::default()), Arc::new(Still::default()));
        let log = Log::new("s".into(), kept.clone(), clock.clone(), 10);
        for _ in 0..1000 {
            log.write(Level::Info, "again", "");
        }
        assert_eq!(kept.0.lock().unwrap().len(), 10);
        *clock.0.lock().unwrap() = Duration::from_millis(100);
        log.write(Level::Info, "later", "");
        let lines = kept.0.lock().unwrap();
        assert!(lines[10].message.starts_with("990 lines"), "{:?}", lines[10]);
        assert_eq!(lines[11].message, "later");
    }

    #[test]
    fn lines_cannot_forge_others_or_steer_a_terminal() {
        assert_eq!(clean("a\nERROR b\u{1b}[2J"), "a\\nERROR b\\u{1b}[2J");
        let long = clean(&"ä".repeat(10_000));
        assert!(long.len() <= LONGEST + 3 && long.ends_with('…'));
    }

    #[test]
    fn lines_below_the_level_cost_nothing_and_stderr_is_remembered() {
        let kept = Arc::new(Kept::default());
        let log = Log::new("s".into(), kept.clone(), Arc::new(Still::default()), 10);
        log.write(Level::Trace, "no", "");
        assert!(kept.0.lock().unwrap().is_empty());
        ["", "panicked at x", "note: run with `RUST_BACKTRACE=1`"].iter().for_each(|line| log.stderr(line));
        assert_eq!(log.last_words().as_deref(), Some("panicked at x"));
        log.write(Level::Warn, "careful", "");
        log.write(Level::Error, "TypeError: x is undefined", "");
        assert_eq!(log.last_words().as_deref(), Some("TypeError: x is undefined"));
        assert_eq!(log.last_words(), None);
    }
}
