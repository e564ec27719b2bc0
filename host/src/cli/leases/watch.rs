//! `pelton leases watch`: who takes which lease, as it happens, and a picture of it.
//!
//! Left to others: what was seen (`lease::history`), how it is drawn (`picture`).

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde_json::json;

use super::picture::svg;
use crate::{
    cli::{Output, line},
    clock::{self, Clock, SystemClock},
    error::{Error, Kind, Result},
    job::{operate::Operator, worker::partition_of},
    lease::history::{History, Standing, Turn},
};

/// What is watched, and where the picture goes.
#[derive(Debug, Args)]
pub struct Watch {
    /// the job file
    pub job: PathBuf,
    /// draw who held which lease when; written anew after each change, and at the end
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// end after so many seconds; without it: at Ctrl-C
    #[arg(long = "for", value_name = "SECONDS")]
    time: Option<u64>,
    /// milliseconds between two looks at the table; each look reads the whole table
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(50..=60_000))]
    every: u64,
}

/// Watches until the time is over, or the process is asked to end.
pub async fn watch(job: &Operator<'_>, watch: &Watch, format: Output) -> Result<()> {
    let tables = job.tables().await?;
    let duration = job.graph.leases.as_ref().map_or(Duration::from_secs(10), |leases| leases.duration);
    let (clock, mut history) = (SystemClock::new(), History::new(duration));
    let end = watch.time.map(Duration::from_secs);
    let mut stop = std::pin::pin!(crate::cli::run::ended());
    loop {
        let mut rows = Vec::new();
        for (source, table) in &tables {
            for mut row in table.list().await? {
                row.key = partition_of(source, &row.key);
                rows.push(row);
            }
        }
        let now = clock.elapsed();
        let turns = history.see(&rows, now);
        turns.iter().for_each(|turn| say(turn, now, format));
        let is_over = end.is_some_and(|end| now >= end);
        if !turns.is_empty() || is_over {
            draw(&history, watch, job)?;
        }
        if is_over {
            return Ok(());
        }
        tokio::select! {
            () = &mut stop => return draw(&history, watch, job),
            () = clock::sleep(Duration::from_millis(watch.every)) => {}
        }
    }
}

fn draw(history: &History, watch: &Watch, job: &Operator<'_>) -> Result<()> {
    let Some(file) = &watch.svg else { return Ok(()) };
    let picture = svg(history, &job.graph.job);
    std::fs::write(file, picture).map_err(|e| {
        Error::new(
            Kind::Config,
            format!("the picture {} cannot be written: {e}; name another with --svg", file.display()),
        )
    })
}

fn say(turn: &Turn, now: Duration, format: Output) {
    let seconds = now.as_secs_f64();
    match format {
        Output::Json => line(json!({
            "s": (seconds * 1e3).round() / 1e3, "lease": turn.key,
            "was": turn.was.as_ref().map(words), "is": turn.is.as_ref().map(words),
        })),
        Output::Text => {
            let is = turn.is.as_ref().map_or_else(|| "its row is gone".to_owned(), words);
            let was = turn.was.as_ref().map_or_else(String::new, |was| format!(" (was {})", words(was)));
            line(format_args!("{seconds:>8.1} s  {}  {is}{was}", turn.key));
        }
    }
}

fn words(standing: &Standing) -> String {
    match standing {
        Standing::Free => "free".to_owned(),
        Standing::Held(by) => format!("held by {by}"),
        Standing::Silent(by) => format!("not renewed by {by}"),
        Standing::HandedOver(by, to) => format!("being handed over from {by} to {to}"),
        Standing::Ended => "read to its end".to_owned(),
    }
}
