//! The project's own commands, run as `cargo xtask NAME`: what a fresh clone needs beyond cargo itself.
//!
//! No dependencies, so that the first command of a new machine starts at once. It installs or names what is missing, then calls
//! cargo; it computes nothing itself.

mod doctor;
mod fuzz;
mod judges;
mod run;
mod sdks;
mod sim;
mod steps;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo      build everything and run the main job on the embedded emulator
  test      format, lints, laws, all tests, the examples (what CI runs); --all adds the long campaigns
  chaos     kill a whole job again and again under load: --kills N (500), --late-kills N (100),
            --shard-kills N (100), --fleet-kills N (300), --s3-kills N (100), --swap-kills N (300),
            --seed S
  sim       whole fleets in virtual time: --seeds N (200), --from SEED, --scenario shards|one|alone, --without FAULT,...,
            --story, --shrink, --ledger FILE; --planted [NAME] plants faults of our own and sees that each is caught
  fuzz      search records and schemas that break something: TARGET|all, --seconds N (600), --corpus FOLDER, --input FILE, --keep
  lint      format and lints alone
  bench     measure speed and memory (--only ROW, --repeat N, --format json); bench fleet: what a fleet costs, the same way
  judges    fetch the programs of others that tests ask, and say where they are
  guests    build the plugins and test guests for wasm32-wasip2
  sdks      build and test the SDKs of JavaScript and Python with their own tools, and say where that is
  doctor    say what this machine lacks, and install it where that can be done";

fn main() -> ExitCode {
    if let Some(done) = fuzz::compiler() {
        return done;
    }
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let done = match command.as_str() {
        "demo" => doctor::mend().and_then(|()| steps::demo(&rest)),
        "test" => doctor::mend().and_then(|()| steps::test(&rest)),
        "chaos" => doctor::mend().and_then(|()| steps::chaos(&rest)),
        "sim" => doctor::mend().and_then(|()| sim::run(&rest)),
        "bench" => doctor::mend().and_then(|()| steps::bench(&rest)),
        "fuzz" => doctor::mend().and_then(|()| fuzz::run(&rest)),
        "lint" => doctor::mend().and_then(|()| steps::lint()),
        "judges" => {
            doctor::mend().and_then(|()| judges::fetch()).map(|folder| println!("xtask: judges: {}", folder.display()))
        }
        "sdks" => {
            doctor::mend().and_then(|()| sdks::build()).map(|folder| println!("xtask: SDKs: {}", folder.display()))
        }
        "guests" => doctor::mend().and_then(|()| steps::guests()),
        "doctor" => doctor::mend().map(|()| {
            judges::has_go();
        }),
        "" | "help" | "--help" | "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => Err(format!("`{other}` is no command of xtask\n\n{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("xtask: {words}");
            ExitCode::FAILURE
        }
    }
}
