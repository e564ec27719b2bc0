//! What the commands do, as lists of cargo calls.

use std::process::Command;

use crate::run;

/// Packages that are built for the WASM target.
const GUESTS: &[&str] = &["mask", "stats", "flights-plugin", "hostile-plugin", "bench-filter"];

/// Format and lints.
pub fn lint() -> Result<(), String> {
    run::show(run::cargo(&["fmt", "--all", "--check"]))?;
    run::show(run::cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// Builds plugins and test guests.
pub fn guests() -> Result<(), String> {
    if GUESTS.is_empty() {
        return Ok(());
    }
    let mut build = run::cargo(&["build", "--target", "wasm32-wasip2", "--profile", "plugin"]);
    for guest in GUESTS {
        build.args(["-p", guest]);
    }
    run::show(build)
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
pub fn test() -> Result<(), String> {
    run::show(run::cargo(&["fmt", "--all", "--check"]))?;
    guests()?;
    run::show(with_guests(run::cargo(&["test", "--workspace"])))?;
    run::show(run::cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// The main job on the embedded emulator.
pub fn demo(rest: &[String]) -> Result<(), String> {
    guests()?;
    example_plugins()?;
    let mut demo = run::cargo(&["run", "--quiet", "--package", "pelton", "--", "demo"]);
    demo.args(rest);
    run::show(with_guests(demo))
}

/// Speed and memory, with the profile that is shipped.
pub fn bench(rest: &[String]) -> Result<(), String> {
    guests()?;
    let mut bench = run::cargo(&["bench", "--quiet", "--package", "pelton", "--bench", "speed", "--"]);
    bench.args(rest);
    run::show(with_guests(bench))
}
