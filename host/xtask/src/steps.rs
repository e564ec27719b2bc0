//! What the commands do, as lists of cargo calls.

use std::process::Command;

use crate::{judges, run, sdks, sim};

/// Packages that are built for the WASM target.
const GUESTS: &[&str] =
    &["mask", "stats", "flights-plugin", "inference-plugin", "hostile-plugin", "bench-filter", "bench-list"];

/// The plugins of the conformance suite, by world.
const WORLDS: [&str; 5] = ["transformer", "aggregator", "stateful-transformer", "keyed-transformer", "enricher"];

/// Format and lints.
pub fn lint() -> Result<(), String> {
    run::show(run::cargo(&["fmt", "--all", "--check"]))?;
    run::show(run::cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// Builds plugins and test guests.
pub fn guests() -> Result<(), String> {
    let mut build = run::cargo(&["build", "--target", "wasm32-wasip2", "--profile", "plugin"]);
    for guest in GUESTS {
        build.args(["-p", guest]);
    }
    for world in WORLDS {
        build.args(["-p", &format!("conformance-{world}")]);
    }
    run::show(build)?;
    conformance()
}

/// Puts the plugins of the suite into one folder, by the names that its cases use.
fn conformance() -> Result<(), String> {
    let built = run::target().join("wasm32-wasip2/plugin");
    let folder = built.join("conformance/rust");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    for world in WORLDS {
        let from = built.join(format!("conformance_{}.wasm", world.replace('-', "_")));
        let to = folder.join(format!("{world}.wasm"));
        std::fs::copy(&from, &to).map_err(|e| format!("cannot copy {}: {e}", from.display()))?;
    }
    Ok(())
}

fn with_guests(mut command: Command) -> Command {
    command.env("PELTON_GUESTS", run::target().join("wasm32-wasip2/plugin"));
    command
}

/// Puts the plugins that examples name beside their job files.
fn example_plugins() -> Result<(), String> {
    let folder = run::root().join("examples/flights/plugins");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    for plugin in ["flights_plugin.wasm", "stats.wasm"] {
        let built = run::target().join("wasm32-wasip2/plugin").join(plugin);
        std::fs::copy(&built, folder.join(plugin)).map_err(|e| format!("cannot copy {}: {e}", built.display()))?;
    }
    Ok(())
}

/// Everything that must hold before a change lands.
pub fn test(rest: &[String]) -> Result<(), String> {
    let all = match rest {
        [] => false,
        [one] if one == "--all" => true,
        other => return Err(format!("test takes nothing or --all, not `{}`", other.join(" "))),
    };
    run::show(run::cargo(&["fmt", "--all", "--check"]))?;
    guests()?;
    let mut test = with_guests(run::cargo(&["test", "--workspace"]));
    test.env("PELTON_JUDGES", judges::fetch()?).env("PELTON_SDKS", sdks::build()?);
    // The build with planted faults comes first: the programs that stay are without.
    sim::build_planted()?;
    run::show(test)?;
    sim::in_tests()?;
    run::show(run::cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    if all { chaos(&[]) } else { Ok(()) }
}

/// The main job on the embedded emulator.
pub fn demo(rest: &[String]) -> Result<(), String> {
    guests()?;
    example_plugins()?;
    // The whole workspace is named, as for the tests: else cargo settles on other features, and compiles half of everything twice.
    run::show(run::cargo(&["build", "--workspace", "--bins"]))?;
    let mut demo = Command::new(run::target().join("debug/pelton"));
    demo.arg("demo").args(rest).current_dir(run::root());
    run::show(with_guests(demo))
}

/// Kill loops by hand: so many kills, or a plan again by its seed.
pub fn chaos(rest: &[String]) -> Result<(), String> {
    let mut settings = [
        ("--kills", "PELTON_KILLS", "500"),
        ("--late-kills", "PELTON_LATE_KILLS", "100"),
        ("--shard-kills", "PELTON_SHARD_KILLS", "100"),
        ("--fleet-kills", "PELTON_FLEET_KILLS", "300"),
        ("--s3-kills", "PELTON_S3_KILLS", "100"),
        ("--swap-kills", "PELTON_SWAP_KILLS", "300"),
        ("--seed", "PELTON_SEED", ""),
    ]
    .map(|(flag, variable, value)| (flag, variable, value.to_owned()));
    for pair in rest.chunks(2) {
        let known = settings.iter_mut().find(|(flag, ..)| *flag == pair[0]);
        let known = known.ok_or_else(|| {
            format!(
                "chaos has no option `{}`: it has --kills, --late-kills, --shard-kills, --fleet-kills, --s3-kills, --swap-kills and --seed",
                pair[0]
            )
        })?;
        known.2 = pair.get(1).ok_or_else(|| format!("{} needs a number", pair[0]))?.clone();
    }
    guests()?;
    let mut command = with_guests(run::cargo(&[
        "test",
        "--workspace",
        "--test",
        "main",
        "--",
        "chaos",
        "fleet",
        "--nocapture",
        "--test-threads=1",
    ]));
    command.env("PELTON_JUDGES", judges::fetch()?);
    for (_, variable, value) in settings.iter().filter(|(.., value)| !value.is_empty()) {
        command.env(variable, value);
    }
    run::show(command)
}

/// Speed and memory, or with `fleet` in front what a fleet costs, with `schemas` what schemas do, with the profile that is shipped.
pub fn bench(rest: &[String]) -> Result<(), String> {
    let bench = |target: &str, rest: &[String]| {
        let mut bench = run::cargo(&["bench", "--quiet", "--workspace", "--bench", target, "--"]);
        bench.args(rest);
        bench
    };
    match rest {
        [one, rest @ ..] if one == "fleet" => {
            let mut bench = bench("fleet", rest);
            bench.env("PELTON_JUDGES", judges::fetch_s3()?);
            run::show(bench)
        }
        [one, rest @ ..] if one == "schemas" => run::show(bench("schemas", rest)),
        [one, rest @ ..] if one == "plugins" => {
            guests()?;
            let mut bench = with_guests(bench("plugins", rest));
            bench.env("PELTON_SDKS", sdks::build()?);
            run::show(bench)
        }
        rest => {
            guests()?;
            run::show(with_guests(bench("speed", rest)))
        }
    }
}
