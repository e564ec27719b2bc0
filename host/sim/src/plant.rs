//! Whether the simulator finds what it is for: faults that are planted in the host on purpose, one at a time.

use super::{Arguments, Jobs, Scenario};

/// Plants every fault, or the one of this name, and runs seeds until it is caught. True if all were.
#[cfg(feature = "planted")]
pub fn all(arguments: &Arguments, name: &str) -> anyhow::Result<bool> {
    use pelton::planted;
    let (fleet, alone) = (Jobs::new(arguments.scenario.or(Some(Scenario::Shards)))?, Jobs::new(Some(Scenario::Alone))?);
    let swapped = Jobs::new(Some(Scenario::Swap))?;
    let chosen: Vec<_> = planted::FAULTS.iter().filter(|(known, _)| name == "all" || *known == name).collect();
    anyhow::ensure!(!chosen.is_empty(), "no planted fault is called `{name}`");
    let mut caught = 0;
    for (fault, what) in &chosen {
        planted::plant(Some(fault));
        // a worker with objects of its own has nothing to sync
        let jobs = match *fault {
            "sync-skipped" => &alone,
            fault if fault.starts_with("swap-") || fault.starts_with("canary-") => &swapped,
            _ => &fleet,
        };
        let mut seeds = arguments.from..arguments.from + arguments.seeds;
        let found = seeds.find_map(|seed| Some((seed, jobs.run(seed, &arguments.without).broken.into_iter().next()?)));
        planted::plant(None);
        match found {
            Some((seed, broken)) => {
                caught += 1;
                println!("caught     {fault}: seed {seed}: {broken}");
            }
            None => println!("NOT CAUGHT {fault}: {what}"),
        }
    }
    println!("{caught}/{} planted faults caught, each within {} seeds", chosen.len(), arguments.seeds);
    Ok(caught == chosen.len())
}

/// This build has none.
#[cfg(not(feature = "planted"))]
pub fn all(_: &Arguments, _: &str) -> anyhow::Result<bool> {
    let _ = (Jobs::new, Scenario::Alone);
    anyhow::bail!(
        "this build has no planted faults: run `cargo xtask sim --planted`, which builds with the feature `planted`"
    )
}
