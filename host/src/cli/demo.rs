//! `pelton demo`: the flights example from nothing, on an emulator inside this process, and a chart of what came out.
//!
//! The rule: what the demo does, a user can do with the other commands; it only starts them together. It always starts afresh.
//! Left to others: what the job is (`examples/flights/job.yaml`), whether the results are right (`examples/flights/check.py`).

mod firehose;

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use pelton_emulator::registry;
use tokio::sync::watch;

use super::{Output, avro::AvroEncoder, kinesis::put_all};
use crate::{
    aws::Settings,
    clock::SystemClock,
    decode::instant,
    error::{Error, Kind, Result},
    job::{live::Live, run as job_run},
};

/// Run the flights example on an emulator of its own.
#[derive(Debug, Args)]
pub struct Arguments {
    /// the folder of the example
    #[arg(long, default_value = "examples/flights")]
    dir: PathBuf,
}

/// The stream that departures go to, and its shards.
const FLIGHTS: (&str, u32) = ("flights", 4);
/// The stream that results go to, and its shards.
const DELAYS: (&str, u32) = ("delays", 1);
/// Firehose takes the results too.
const ARCHIVE: &str = "delays-archive";
/// New York is so many hours behind UTC in January.
const NEW_YORK: i64 = -5;

/// Runs the command.
pub fn demo(arguments: &Arguments) -> Result<()> {
    let dir = &arguments.dir;
    let plugin = dir.join("plugins/flights_plugin.wasm");
    if !plugin.exists() {
        let words = format!("{} is not there: `cargo xtask demo` in the repository builds it first", plugin.display());
        return Err(Error::new(Kind::Config, words));
    }
    clear(dir)?;
    let runtime = super::runtime()?;
    let (emulator, registry, kinesis) = runtime.block_on(serve())?;
    let registry_url = format!("http://{}", registry.addr());
    println!("1. an emulator of Kinesis and Firehose at {kinesis}, a schema registry at {registry_url}");
    let departures = departures(&dir.join("data/flights-2013-01.csv.gz"))?;
    let put = runtime.block_on(fill(&kinesis, &registry_url, &dir.join("flight.avsc"), departures))?;
    println!(
        "2. {put} departures as Avro in stream `{}` with {} shards, in the order in which planes left",
        FLIGHTS.0, FLIGHTS.1
    );

    let variable = |name: &str| match name {
        "PELTON_KINESIS" => Some(kinesis.clone()),
        "PELTON_REGISTRY" => Some(registry_url.clone()),
        other => std::env::var(other).ok(),
    };
    let checked = super::check::load_with(&dir.join("job.yaml"), &variable, runtime.handle(), Output::Text)?;
    let options = job_run::RunOptions {
        state_dir: dir.join(STATE),
        until_caught_up: true,
        endpoint: Some(kinesis.clone()),
        ..job_run::RunOptions::default()
    };
    let live = Arc::new(Live::default());
    let around = job_run::Surroundings {
        plugins: checked.plugins,
        registry: checked.registry,
        runtime: runtime.handle().clone(),
        clock: SystemClock::shared(),
        live: live.clone(),
        running: None,
    };
    let (_stop, stopped) = watch::channel(false);
    println!("3. the job runs: drop cancelled flights, mean and worst delay per hour, airport and carrier ...");
    job_run::run(&checked.graph, &options, around, stopped)?;
    println!("   {}", super::run::line(&live, None));
    chart(&dir.join("out"))?;
    println!("{}", next(dir));
    runtime.block_on(async {
        registry.stop().await;
        emulator.stop().await;
    });
    Ok(())
}

/// Where the demo keeps state; nothing else uses it.
const STATE: &str = ".pelton/demo";

/// The last demo's state goes; its results are moved, so that one earlier run can be compared.
fn clear(dir: &Path) -> Result<()> {
    let failed =
        |what: &Path, e: std::io::Error| Error::new(Kind::State, format!("cannot clear {}: {e}", what.display()));
    let (state, out, before) = (dir.join(STATE), dir.join("out"), dir.join(".pelton/out-before"));
    for old in [&state, &before] {
        if old.exists() {
            std::fs::remove_dir_all(old).map_err(|e| failed(old, e))?;
        }
    }
    if out.exists() {
        std::fs::create_dir_all(dir.join(".pelton")).map_err(|e| failed(&before, e))?;
        std::fs::rename(&out, &before).map_err(|e| failed(&out, e))?;
    }
    Ok(())
}

/// Both servers on free ports of loopback.
async fn serve() -> Result<(pelton_emulator::Running, registry::RunningRegistry, String)> {
    let failed = |e: &dyn std::fmt::Display| Error::new(Kind::Unavailable, e.to_string());
    let named = |(name, shards): (&str, u32)| (name.to_owned(), shards);
    let options = pelton_emulator::Options {
        streams: vec![named(FLIGHTS), named(DELAYS)],
        ..pelton_emulator::Options::default()
    };
    let emulator = pelton_emulator::start(options).await.map_err(|e| failed(&e))?;
    let registry = registry::start(([127, 0, 0, 1], 0).into()).await.map_err(|e| failed(&e))?;
    let endpoint = format!("http://{}", emulator.addr());
    let aws = Settings { endpoint: Some(endpoint.clone()), ..Settings::default() };
    firehose::create(&aws.load().await?.firehose_client(), ARCHIVE).await?;
    Ok((emulator, registry, endpoint))
}

/// One flight as the stream will hold it.
struct Departure {
    /// when it was put, minutes since 1970: scheduled time and delay
    left_at: i64,
    /// its partition key
    tail: String,
    flight: serde_json::Value,
}

/// The flights of the file, in the order in which they left; the cancelled ones at their scheduled time.
fn departures(path: &Path) -> Result<Vec<Departure>> {
    let bad = |e: &dyn std::fmt::Display| Error::new(Kind::Config, format!("{}: {e}", path.display()));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| bad(&e))?;
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).map_err(|e| bad(&e))?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<BTreeMap<String, String>> =
        reader.deserialize().collect::<std::result::Result<_, _>>().map_err(|e| bad(&e))?;
    let departure = |(number, row): (usize, &BTreeMap<String, String>)| {
        departure(row).map_err(|e| e.at(format_args!("{}, line {}", path.display(), number + 2)))
    };
    let mut flights: Vec<Departure> = rows.iter().enumerate().map(departure).collect::<Result<_>>()?;
    flights.sort_by_key(|flight| flight.left_at);
    Ok(flights)
}

fn departure(row: &BTreeMap<String, String>) -> Result<Departure> {
    let cell = |name: &str| {
        row.get(name)
            .map(String::as_str)
            .ok_or_else(|| Error::new(Kind::Config, format!("there is no column `{name}`")))
    };
    let number = |name: &str| {
        let text = cell(name)?;
        text.parse::<i64>().map_err(|e| Error::new(Kind::Config, format!("`{name}` is `{text}`, no whole number: {e}")))
    };
    let hour = cell("time_hour")?;
    let hour_us = instant::parse_instant(hour)
        .ok_or_else(|| Error::new(Kind::Config, format!("`time_hour` is `{hour}`, no instant")))?;
    let scheduled = hour_us / 60_000_000 + number("minute")?;
    let delay = if cell("dep_delay")? == "NA" { None } else { Some(number("dep_delay")?) };
    let tail = Some(cell("tailnum")?).filter(|tail| *tail != "NA" && !tail.is_empty());
    let (carrier, flight) = (cell("carrier")?, number("flight")?);
    Ok(Departure {
        left_at: scheduled + delay.unwrap_or(0),
        tail: tail.map_or_else(|| format!("{carrier}{flight}"), str::to_owned),
        flight: serde_json::json!({
            "scheduled": scheduled * 60_000_000, "carrier": carrier, "flight": flight, "tail": tail,
            "origin": cell("origin")?, "dest": cell("dest")?, "dep_delay": delay, "distance": number("distance")?,
        }),
    })
}

/// Puts the departures.
async fn fill(kinesis: &str, registry: &str, schema: &Path, departures: Vec<Departure>) -> Result<usize> {
    let encoder = AvroEncoder::register(registry, &format!("{}-value", FLIGHTS.0), schema).await?;
    let encode = |Departure { tail, flight, .. }: Departure| {
        let what = format!("the flight of {tail}");
        Ok((tail, encoder.encode(&what, flight)?))
    };
    let records: Vec<(String, Vec<u8>)> = departures.into_iter().map(encode).collect::<Result<_>>()?;
    let aws = Settings { endpoint: Some(kinesis.to_owned()), ..Settings::default() };
    put_all(&aws.load().await?.kinesis_client(), FLIGHTS.0, records.into_iter()).await
}

/// Flights and minutes of delay of one hour of the day.
#[derive(Clone, Copy, Default)]
struct Hour {
    flights: f64,
    delay: f64,
    worst: f64,
}

/// Mean delay by hour of the day, from the last firing of each window in the result files.
fn chart(out: &Path) -> Result<()> {
    let mut windows: BTreeMap<String, (u64, serde_json::Value)> = BTreeMap::new();
    for file in result_files(out)? {
        for row in file.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
            let firing = row["firing_number"].as_u64().unwrap_or(0);
            let window = window_of(&row);
            let last = windows.entry(window).or_insert_with(|| (firing, row.clone()));
            if firing >= last.0 {
                *last = (firing, row);
            }
        }
    }
    let mut hours = [Hour::default(); 24];
    for (_, row) in windows.values() {
        let Some(start) = row["window_start"].as_str().and_then(instant::parse_instant) else { continue };
        let local = Duration::from_micros(start.unsigned_abs()).as_secs().cast_signed() / 3600 + NEW_YORK;
        let hour = &mut hours[usize::try_from(local.rem_euclid(24)).unwrap_or(0)];
        hour.flights += row["count"].as_f64().unwrap_or(0.0);
        hour.delay += row["sum"].as_f64().unwrap_or(0.0);
        hour.worst = hour.worst.max(row["max"].as_f64().unwrap_or(0.0));
    }
    println!("\n   {} windows in {}. Departures of New York, January 2013:\n", windows.len(), out.display());
    println!("   hour   flights   worst    mean delay, minutes");
    let longest = hours.iter().map(|hour| hour.delay / hour.flights.max(1.0)).fold(1.0, f64::max);
    for (number, hour) in hours.iter().enumerate().filter(|(_, hour)| hour.flights > 0.0) {
        let mean = hour.delay / hour.flights;
        let bar = "█".repeat(((mean / longest) * 40.0).round().max(0.0) as usize);
        println!("   {number:02}:00 {:8} {:7}   {mean:5.1} {bar}", hour.flights, hour.worst);
    }
    Ok(())
}

/// Key and start of a result's window: the fields up to `window_start`, whatever the job is keyed by.
fn window_of(row: &serde_json::Value) -> String {
    let fields = row.as_object().into_iter().flatten();
    let mut ended = false;
    let head = fields.take_while(|(name, _)| !std::mem::replace(&mut ended, name.as_str() == "window_start"));
    head.map(|(name, value)| format!("{name}={value} ")).collect()
}

fn result_files(out: &Path) -> Result<Vec<String>> {
    let bad =
        |e: std::io::Error| Error::new(Kind::Internal, format!("cannot read the results in {}: {e}", out.display()));
    let mut paths: Vec<PathBuf> = std::fs::read_dir(out)
        .map_err(bad)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<std::io::Result<_>>()
        .map_err(bad)?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "jsonl"));
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).map_err(bad)).collect()
}

fn next(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "\nWhat to try next:\n\
         - look at the results: head -3 {dir}/out/*.jsonl\n\
         - group by how late they were: set `key: [origin, delay_class]` in {dir}/job.yaml, and run again\n\
         - change the plugin: in {dir}/plugin/src/lib.rs, drop flights of less than 500 miles, say; then `cargo xtask demo` again\n\
         - compare with the run before, which is kept in {dir}/.pelton/out-before\n\
         - check every window against the CSV: python3 {dir}/check.py {dir}/data/flights-2013-01.csv.gz {dir}/out"
    )
}
