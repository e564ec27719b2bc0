//! Many plugins in one process: what they hold in memory.
//!
//! The rule: every plugin is a component with a digest of its own and one instance that has been called, and what is measured is a process
//! of its own that finds them compiled, as a worker does that starts again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, anyhow, bail};
use pelton::plugin::{Call, Limits, Plugins};
use serde_json::json;

use super::{boundary, measure, projects::FILTERS};

/// Plugins in one process: a hundred, or fewer where compiling so many takes minutes.
const COUNTS: [(&str, usize); 5] =
    [("Rust", 100), ("C", 100), ("Go", 20), ("JavaScript, rows", 20), ("Python, rows", 4)];
/// Records of a call.
const RECORDS: usize = 500;

/// Measures every language that can be built here.
pub async fn table(folder: &Path, is_json: bool) -> Result<()> {
    if !is_json {
        println!("\nplugins in one process, each another component that has been called: resident MiB\n");
        println!("{:<20} {:>8} {:>9} {:>9} {:>9}", "", "plugins", "before", "after", "each");
    }
    for (name, count) in COUNTS {
        let project = FILTERS.iter().find(|project| project.name == name).context("no such language")?;
        let place = folder.join("crowd").join(name);
        fs::create_dir_all(&place)?;
        let Some((file, _)) = project.build(&place)? else { continue };
        let plugins = Plugins::new(Some(place.join("compiled")), Limits::default())?;
        for number in 0..count {
            plugins.load(&other(&file, &place, number)?).await?;
        }
        let done = Command::new(std::env::current_exe()?).arg("--crowd").arg(&place).arg(count.to_string()).output()?;
        if !done.status.success() {
            bail!("{count} plugins of {name}: {}", String::from_utf8_lossy(&done.stderr));
        }
        let [before, after]: [f64; 2] = serde_json::from_slice(&done.stdout)?;
        let each = (after - before) / count as f64;
        match is_json {
            true => println!("{}", json!({ "row": "crowd", "name": name, "plugins": count, "mib": [before, after] })),
            false => println!("{name:<20} {count:>8} {before:>9.1} {after:>9.1} {each:>9.2}"),
        }
    }
    Ok(())
}

fn path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.wasm"))
}

/// The same plugin with a section of its own that says nothing, so that the digest is another.
pub fn other(file: &Path, folder: &Path, number: usize) -> Result<PathBuf> {
    let (name, path) = (format!("{number:08}"), path(folder, number));
    fs::write(&path, [&fs::read(file)?, &[0, 9, 8][..], name.as_bytes()].concat())?;
    Ok(path)
}

/// Starts so many plugins, calls each, and prints what the process held before and what it holds.
pub async fn hold(folder: &Path, count: usize) -> Result<()> {
    let resident =
        || anyhow::Ok(measure::resident_kib().context("the system does not say what is resident")? as f64 / 1024.0);
    let plugins = Plugins::new(Some(folder.join("compiled")), Limits::default())?;
    let (batch, call) = (boundary::batch(RECORDS)?, Call { now_ms: 0, seed: 1, watermark_ms: Some(0) });
    let before = resident()?;
    let mut held = Vec::new();
    for number in 0..count {
        let plugin = plugins.load(&path(folder, number)).await?;
        let mut instance = boundary::started(&plugin).await?;
        instance.process(&call, &batch).await.map_err(|failure| anyhow!("{failure}"))?;
        held.push((plugin, instance));
    }
    println!("{}", json!([before, resident()?]));
    Ok(())
}
