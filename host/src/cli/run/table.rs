//! The figures of a running job: a small table that is drawn over itself on a terminal, plain lines elsewhere.
//!
//! The rule: whatever else writes to the terminal goes through [`Stderr`], which takes the table away first, so that no line is lost
//! or torn.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arrow::temporal_conversions::timestamp_us_to_datetime;

use crate::{
    cli::Output,
    clock,
    job::live::{Live, Overall, metrics::watermark_us},
};

/// Lines of the table that are on the terminal.
static DRAWN: Mutex<usize> = Mutex::new(0);

/// A standard error that log lines are written to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stderr = io::stderr().lock();
        erase(&mut drawn, &mut stderr)?;
        stderr.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Takes the table away; the cursor stands at the end of its last line.
fn erase(drawn: &mut usize, to: &mut impl Write) -> io::Result<()> {
    match std::mem::take(drawn) {
        0 => Ok(()),
        1 => write!(to, "\r\x1b[2K"),
        lines => write!(to, "\r\x1b[{}A\x1b[J", lines - 1),
    }
}

fn draw(lines: &[String]) {
    let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut stderr = io::stderr().lock();
    // A terminal that is gone is no reason to stop the job.
    let _ = erase(&mut drawn, &mut stderr)
        .and_then(|()| write!(stderr, "{}", lines.join("\n")))
        .and_then(|()| stderr.flush());
    *drawn = lines.len();
}

/// Shows the figures for as long as it is polled: each second on a terminal, each ten seconds elsewhere.
pub async fn show(live: Arc<Live>, format: Output) {
    let terminal = io::stderr().is_terminal() && format == Output::Text;
    let every = Duration::from_secs(if terminal { 1 } else { 10 });
    let before = AtomicU64::new(0);
    loop {
        clock::sleep(every).await;
        let records = live.records.load(Relaxed);
        let rate = records.saturating_sub(before.swap(records, Relaxed)) / every.as_secs();
        match format {
            Output::Json => say(&to_json(&live, Some(rate))),
            Output::Text if terminal => draw(&table(&live, rate)),
            Output::Text => tracing::info!("{}", line(&live, Some(rate))),
        }
    }
}

/// The last word: the table goes, the sum stays.
pub fn close(live: &Live, format: Output, well: bool) {
    if format == Output::Json {
        return say(&to_json(live, None));
    }
    say(&format!(
        "{}: {} records, {} results, {} rejects, {} late, epoch {}",
        if well { "done" } else { "stopped" },
        live.records.load(Relaxed),
        live.results.load(Relaxed),
        live.rejects.load(Relaxed),
        live.late.load(Relaxed),
        live.now().epoch,
    ));
}

/// A line of its own.
fn say(line: &dyn Display) {
    // A terminal that is gone is no reason to stop the job.
    let _ = Stderr.write_all(format!("{line}\n").as_bytes());
}

fn to_json(live: &Live, rate: Option<u64>) -> serde_json::Value {
    let now = live.now();
    serde_json::json!({
        "records_per_second": rate,
        "records": live.records.load(Relaxed),
        "results": live.results.load(Relaxed),
        "rejects": live.rejects.load(Relaxed),
        "late": live.late.load(Relaxed),
        "behind_ms": now.behind_ms,
        "watermark_us": watermark_us(now.watermark_us),
        "epoch": now.epoch,
        "shards": now.shards,
    })
}

/// Two lines of at most 79 characters.
fn table(live: &Live, rate: u64) -> Vec<String> {
    let now = live.now();
    let head = format!(
        "{:>10}{:>12}{:>10}{:>8}{:>7}{:>8}  {:<16}{:>6}",
        "records/s", "records", "results", "rejects", "late", "lag", "watermark", "epoch"
    );
    let figures = format!(
        "{rate:>10}{:>12}{:>10}{:>8}{:>7}{:>8}  {:<16}{:>6}",
        live.records.load(Relaxed),
        live.results.load(Relaxed),
        live.rejects.load(Relaxed),
        live.late.load(Relaxed),
        lag(&now),
        watermark(&now).get(..16).unwrap_or("-"),
        now.epoch,
    );
    vec![head, figures]
}

/// The figures in one line; the rate where it is known.
pub fn line(live: &Live, rate: Option<u64>) -> String {
    let now = live.now();
    let rate = rate.map_or(String::new(), |rate| format!("{rate} records/s, "));
    format!(
        "{rate}{} records, {} results, {} rejects, {} late, lag {}, watermark {}, epoch {}, {} shards",
        live.records.load(Relaxed),
        live.results.load(Relaxed),
        live.rejects.load(Relaxed),
        live.late.load(Relaxed),
        lag(&now),
        watermark(&now),
        now.epoch,
        now.shards,
    )
}

fn lag(now: &Overall) -> String {
    lag_of(now.behind_ms)
}

/// How far behind, of at most 8 characters.
pub fn lag_of(ms: u64) -> String {
    match ms / 1000 {
        0..=99 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        seconds @ 100..=5999 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

fn watermark(now: &Overall) -> String {
    let time = watermark_us(now.watermark_us).and_then(timestamp_us_to_datetime);
    time.map_or_else(|| "-".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_narrow_and_says_what_it_knows() {
        let live = Live::default();
        assert!(line(&live, None).contains("watermark -"), "{}", line(&live, None));
        live.update("all", |now| (now.watermark_us, now.behind_ms) = (1_767_225_600_000_000, 61_500));
        live.records.store(99_999_999_999, Relaxed);
        let lines = table(&live, 1_000_000);
        assert!(lines.iter().all(|line| line.len() < 80), "{lines:?}");
        assert!(lines[1].contains("2026-01-01 00:00") && lines[1].contains("61.5 s"), "{lines:?}");
        live.update("all", |now| now.behind_ms = 86_400_000);
        assert!(line(&live, Some(3)).contains("lag 24 h"));
    }

    #[test]
    fn the_table_is_taken_away_line_by_line() {
        let mut to = Vec::new();
        let mut drawn = 2;
        assert!(erase(&mut drawn, &mut to).is_ok() && erase(&mut drawn, &mut to).is_ok());
        assert_eq!((to.as_slice(), drawn), (&b"\r\x1b[1A\x1b[J"[..], 0));
    }
}
