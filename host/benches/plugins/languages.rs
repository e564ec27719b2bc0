//! The table of languages: what a component costs to build, compile and start, and a record at the boundary by records of a batch.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use pelton::{
    clock::{Clock, SystemClock},
    plugin::{Limits, Plugins},
};
use serde_json::json;

use super::{
    boundary,
    list::List,
    measure::{Spent, Spread},
    projects::FILTERS,
};

/// Records of a batch.
const SIZES: [usize; 5] = [1, 10, 100, 500, 5_000];

/// A line of the table.
struct Line {
    name: &'static str,
    bytes: u64,
    build: Option<Duration>,
    compile: Option<Duration>,
    load: Option<Duration>,
    start: Option<Duration>,
    peak: u64,
    /// nanoseconds of CPU time a record, for each of the sizes
    ns: Vec<Spread>,
}

/// Measures every language that can be built here, and a list of records beside them.
pub async fn table(folder: &Path, repeat: usize, is_json: bool) -> Result<()> {
    if !is_json {
        println!(
            "boundary: a filter over two fields, CPU ns a record by records of a batch, middle (smallest to largest) of {repeat}\n"
        );
        let sizes = SIZES.map(|size| format!("{size:>24}")).concat();
        println!(
            "{:<20} {:>9} {:>8} {:>9} {:>7} {:>7} {:>8}{sizes}",
            "", "KiB", "build s", "compile s", "load ms", "start ms", "peak MiB"
        );
    }
    for project in FILTERS {
        if let Some((file, build)) = project.build(folder)? {
            show(&plugin(project.name, &file, build, repeat).await?, is_json);
        }
    }
    let guests = std::env::var_os("PELTON_GUESTS").map(PathBuf::from).unwrap_or_default();
    show(&list(&guests.join("bench_list.wasm"), repeat).await?, is_json);
    Ok(())
}

async fn plugin(name: &'static str, file: &Path, build: Duration, repeat: usize) -> Result<Line> {
    let kept = tempfile::tempdir()?;
    let clock = SystemClock::new();
    Plugins::new(Some(kept.path().to_owned()), Limits::default())?.load(file).await?;
    let compile = clock.elapsed();
    let plugins = Plugins::new(Some(kept.path().to_owned()), Limits::default())?;
    let before = clock.elapsed();
    let plugin = plugins.load(file).await?;
    let load = clock.elapsed() - before;
    let before = clock.elapsed();
    let mut instance = boundary::started(&plugin).await?;
    let start = clock.elapsed() - before;
    let mut ns = Vec::new();
    for size in SIZES {
        let mut figures = Vec::new();
        for _ in 0..repeat {
            figures.push(each_ns(boundary::calls(&mut instance, size).await?));
        }
        ns.extend(Spread::of(figures));
    }
    let bytes = fs::metadata(file)?.len();
    let (build, compile, load, start) = (Some(build), Some(compile), Some(load), Some(start));
    Ok(Line { name, bytes, build, compile, load, start, peak: plugins.peak_memory() as u64, ns })
}

async fn list(file: &Path, repeat: usize) -> Result<Line> {
    let mut list = List::start(file)?;
    let mut ns = Vec::new();
    for size in SIZES {
        let mut figures = Vec::new();
        for _ in 0..repeat {
            figures.push(each_ns(list.calls(size).await?));
        }
        ns.extend(Spread::of(figures));
    }
    let bytes = fs::metadata(file)?.len();
    Ok(Line { name: "Rust, list of records", bytes, build: None, compile: None, load: None, start: None, peak: 0, ns })
}

fn each_ns((records, spent): (u64, Spent)) -> f64 {
    spent.cpu_s * 1e9 / records as f64
}

fn show(line: &Line, is_json: bool) {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    if is_json {
        let ns: Vec<_> = SIZES
            .iter()
            .zip(&line.ns)
            .map(|(size, ns)| json!({ "batch": size, "min": ns.min, "median": ns.median, "max": ns.max }))
            .collect();
        println!(
            "{}",
            json!({ "row": "languages", "name": line.name, "bytes": line.bytes, "build_s": seconds(line.build), "compile_s": seconds(line.compile),
                    "load_s": seconds(line.load), "start_s": seconds(line.start), "peak_bytes": line.peak, "ns": ns })
        );
        return;
    }
    let number =
        |time: Option<Duration>, by: f64| seconds(time).map_or(String::new(), |time| format!("{:.1}", time * by));
    let ns: String = line
        .ns
        .iter()
        .map(|ns| format!("{:>24}", format!("{} ({} to {})", short(ns.median), short(ns.min), short(ns.max))))
        .collect();
    println!(
        "{:<20} {:>9.0} {:>8} {:>9} {:>7} {:>7} {:>8.1}{ns}",
        line.name,
        line.bytes as f64 / 1024.0,
        number(line.build, 1.0),
        number(line.compile, 1.0),
        number(line.load, 1e3),
        number(line.start, 1e3),
        line.peak as f64 / f64::from(1 << 20),
    );
}

fn short(ns: f64) -> String {
    if ns < 100.0 { format!("{ns:.1}") } else { format!("{ns:.0}") }
}
