//! The simulator: whole fleets of workers in virtual time, with faults, from a seed.
//!
//! It runs the host's own job code (partitions, commit protocol, leases, state machine of subscriptions) over the emulator's core, an
//! object store, a lease table and sinks in memory; chance, time and scheduling follow from the seed. What it leaves out: sockets, the AWS
//! SDK, RocksDB, TLS, threads. Those are the business of the kill loops.

mod dice;
mod faults;
mod load;
mod monitor;
mod network;
mod process;
mod run;
mod scenario;
mod services;
mod sinks;
mod source;
mod verdict;
mod world;

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use clap::Parser;
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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into()))
        .with_writer(std::io::stderr)
        .init();
    match campaign(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failed) => {
            eprintln!("sim: {failed}");
            ExitCode::FAILURE
        }
    }
}

fn campaign(arguments: &Arguments) -> anyhow::Result<bool> {
    let scenarios: Vec<Scenario> = arguments.scenario.map_or_else(|| scenario::ALL.to_vec(), |one| vec![one]);
    let graphs =
        scenarios.iter().map(|scenario| Ok((*scenario, scenario.graph()?))).collect::<anyhow::Result<Vec<_>>>()?;
    let plugins = run::plugins()?;
    let mut fired: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut failed, mut time, mut manifests) = (0, Duration::ZERO, (0, 0));
    for seed in arguments.from..arguments.from + arguments.seeds {
        let (scenario, graph) = &graphs[(seed % graphs.len() as u64) as usize];
        let plan = Plan { seed, scenario: *scenario, graph, plugins: plugins.clone(), without: &arguments.without };
        let outcome = run::run(&plan);
        if arguments.twice {
            let again = run::run(&plan);
            if again.hash != outcome.hash {
                failed += 1;
                println!("seed {seed} ({scenario:?}): two runs differ: {:016x} and {:016x}", outcome.hash, again.hash);
                if let Some((one, two)) = outcome.story.iter().zip(&again.story).find(|(one, two)| one != two) {
                    println!("  first: {one}\n  then:  {two}");
                }
            }
        }
        if arguments.story {
            outcome.story.iter().for_each(|line| println!("{line}"));
        }
        for (kind, times) in &outcome.fired {
            *fired.entry(kind).or_default() += times;
        }
        time += outcome.time;
        manifests = (manifests.0 + outcome.manifests.0, manifests.1 + outcome.manifests.1);
        if !outcome.broken.is_empty() {
            failed += 1;
            tell(&plan, &outcome);
        }
    }
    println!(
        "{} seeds, {failed} failed; {:.1} hours of virtual time, {} manifests, {} claims; faults fired: {fired:?}",
        arguments.seeds,
        time.as_secs_f64() / 3600.0,
        manifests.0,
        manifests.1
    );
    Ok(failed == 0)
}

fn tell(plan: &Plan<'_>, outcome: &Outcome) {
    println!("seed {} ({:?}) FAILED; faults {:?}", plan.seed, plan.scenario, outcome.kinds);
    for broken in outcome.broken.iter().take(8) {
        println!("  {broken}");
    }
    if outcome.broken.len() > 8 {
        println!("  ... and {} more", outcome.broken.len() - 8);
    }
}
