//! The simulator: whole fleets of workers in virtual time, with faults, from a seed.
//!
//! It runs the host's own job code (partitions, commit protocol, leases, state machine of subscriptions) over the emulator's core, an
//! object store, a lease table and sinks in memory; chance, time and scheduling follow from the seed. What it leaves out: sockets, the AWS
//! SDK, RocksDB, TLS, threads. Those are the business of the kill loops.

mod dice;
mod faults;
mod ledger;
mod load;
mod monitor;
mod outside;
mod plant;
mod process;
mod run;
mod scenario;
mod verdict;
mod world;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use pelton::{job::graph::Graph, plugin::Plugins};
use run::{Outcome, Plan};
use scenario::Scenario;

/// Search for faults in whole fleets, in virtual time.
#[derive(Debug, Parser)]
struct Arguments {
    /// how many seeds
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// the first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// one kind of run; all in turn without it
    #[arg(long, value_enum)]
    scenario: Option<Scenario>,
    /// kinds of faults that are left out
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// run each seed twice and compare the hashes
    #[arg(long)]
    twice: bool,
    /// print the whole story of each run
    #[arg(long)]
    story: bool,
    /// drop faults one by one from each run that fails, as long as it fails
    #[arg(long)]
    shrink: bool,
    /// append a line for each run to this file, and go on after its last seed
    #[arg(long)]
    ledger: Option<PathBuf>,
    /// what the ledger says was run
    #[arg(long, default_value = "unknown", requires = "ledger")]
    commit: String,
    /// plant each fault of our own in turn (or the one of this name), and see that it is caught
    #[arg(long, num_args = 0..=1, default_missing_value = "all")]
    planted: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into()))
        .with_writer(std::io::stderr)
        .init();
    let done = match &arguments.planted {
        Some(name) => plant::all(&arguments, name),
        None => campaign(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failed) => {
            eprintln!("sim: {failed}");
            ExitCode::FAILURE
        }
    }
}

/// The jobs of a campaign, checked once.
struct Jobs {
    graphs: Vec<(Scenario, Graph)>,
    plugins: Arc<Plugins>,
}

impl Jobs {
    fn new(only: Option<Scenario>) -> anyhow::Result<Self> {
        let scenarios = only.map_or_else(|| scenario::ALL.to_vec(), |one| vec![one]);
        let graphs = scenarios.into_iter().map(|scenario| Ok((scenario, scenario.graph()?)));
        Ok(Self { graphs: graphs.collect::<anyhow::Result<_>>()?, plugins: run::plugins()? })
    }

    fn run(&self, seed: u64, without: &[String]) -> Outcome {
        let (scenario, graph) = &self.graphs[(seed % self.graphs.len() as u64) as usize];
        run::run(&Plan { seed, scenario: *scenario, graph, plugins: self.plugins.clone(), without })
    }
}

/// Figures of a campaign.
#[derive(Default)]
struct Sum {
    fired: BTreeMap<&'static str, u64>,
    time: Duration,
    manifests: (u64, u64),
    failed: u64,
}

fn campaign(arguments: &Arguments) -> anyhow::Result<bool> {
    let jobs = Jobs::new(arguments.scenario)?;
    let mut sum = Sum::default();
    let mut ledger = arguments.ledger.as_deref().map(ledger::Ledger::open).transpose()?;
    let first = ledger.as_ref().and_then(ledger::Ledger::next).unwrap_or(arguments.from);
    for seed in first..first + arguments.seeds {
        let outcome = jobs.run(seed, &arguments.without);
        if arguments.twice {
            let again = jobs.run(seed, &arguments.without);
            sum.failed += u64::from(differ(seed, &outcome, &again));
        }
        if arguments.story {
            outcome.story.iter().for_each(|line| println!("{line}"));
        }
        if let Some(ledger) = &mut ledger {
            ledger.add(seed, &arguments.commit, &outcome)?;
        }
        if !outcome.broken.is_empty() {
            sum.failed += 1;
            tell(&jobs, arguments, seed, &outcome);
        }
        for (kind, times) in &outcome.fired {
            *sum.fired.entry(kind).or_default() += times;
        }
        sum.time += outcome.time;
        sum.manifests = (sum.manifests.0 + outcome.manifests.0, sum.manifests.1 + outcome.manifests.1);
    }
    let silent: Vec<&str> = faults::KINDS.iter().filter(|kind| !sum.fired.contains_key(*kind)).copied().collect();
    println!(
        "seeds {first} to {}: {} failed; {:.1} hours of virtual time, {} manifests, {} claims; faults fired: {:?}",
        first + arguments.seeds - 1,
        sum.failed,
        sum.time.as_secs_f64() / 3600.0,
        sum.manifests.0,
        sum.manifests.1,
        sum.fired
    );
    let proves = arguments.seeds < 100 || arguments.scenario.is_some() || !arguments.without.is_empty();
    if !proves && !silent.is_empty() {
        println!("these faults never fired, so the campaign does not count: {silent:?}");
        return Ok(false);
    }
    Ok(sum.failed == 0)
}

fn differ(seed: u64, one: &Outcome, two: &Outcome) -> bool {
    if one.hash == two.hash {
        return false;
    }
    println!("seed {seed}: two runs differ: {:016x} and {:016x}", one.hash, two.hash);
    if let Some((one, two)) = one.story.iter().zip(&two.story).find(|(one, two)| one != two) {
        println!("  first: {one}\n  then:  {two}");
    }
    true
}

/// What was broken, how to see it again, and the end of the story.
fn tell(jobs: &Jobs, arguments: &Arguments, seed: u64, outcome: &Outcome) {
    println!("seed {seed} FAILED after {:?}; faults {:?}", outcome.time, outcome.kinds);
    outcome.broken.iter().take(8).for_each(|broken| println!("  {broken}"));
    if outcome.broken.len() > 8 {
        println!("  ... and {} more", outcome.broken.len() - 8);
    }
    let mut without = arguments.without.clone();
    if arguments.shrink {
        for kind in &outcome.kinds {
            without.push((*kind).to_owned());
            if jobs.run(seed, &without).broken.is_empty() {
                without.pop();
            }
        }
    }
    let scenario =
        arguments.scenario.map_or_else(String::new, |one| format!(" --scenario {}", format!("{one:?}").to_lowercase()));
    let less = if without.is_empty() { String::new() } else { format!(" --without {}", without.join(",")) };
    println!("  again: cargo xtask sim --seeds 1 --from {seed}{scenario}{less} --story");
    let first = outcome.story.iter().position(|line| line.contains("BROKEN")).unwrap_or(0);
    outcome.story[first.saturating_sub(12)..].iter().take(13).for_each(|line| println!("    {line}"));
}
