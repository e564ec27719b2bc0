//! `--watch`: a plugin whose source or component changes is built, checked and swapped in while the job runs.
//!
//! The rule: what does not build or does not fit changes nothing: the job runs on with what it had, and says why.
//! Left to others: building (`build`), swapping (`control`).
//!
//! Files are looked at by their times, not by events of the system: that works in containers and on network folders too, where there are none.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::runtime::Handle;

use crate::{
    cli::build,
    clock::{self, SystemClock},
    control::{Swap, client::Worker},
    error::{Error, Kind, Result},
    job::Graph,
    task::{self, Task},
};

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Folders that hold what builds make.
const MADE: [&str; 6] = ["target", "node_modules", ".venv", "dist", "build", "__pycache__"];
/// More files than that are no plugin's source.
const MOST_FILES: usize = 10_000;

/// A step whose plugin is watched.
struct Watched {
    step: String,
    component: PathBuf,
    /// where it is built from, if that is known
    project: Option<PathBuf>,
    seen: Option<SystemTime>,
}

/// Watches the plugins of a job whose worker keeps its state in this folder, until dropped.
pub fn watch(runtime: &Handle, graph: &Graph, folder: PathBuf) -> Task<()> {
    let plugins = graph.nodes.iter().filter_map(|node| Some((node.name.clone(), node.kind.plugin()?.path.clone())));
    let mut watched: Vec<Watched> = plugins.map(|(step, component)| Watched::new(step, component)).collect();
    for one in &watched {
        match &one.project {
            Some(project) => tracing::info!("step {}: {} is watched and built", one.step, project.display()),
            None => tracing::info!("step {}: {} is watched", one.step, one.component.display()),
        }
    }
    task::spawn(runtime, async move {
        loop {
            clock::sleep(LOOK).await;
            let looked = task::blocking(move || {
                let changed = watched.iter_mut().map(Watched::changed).collect::<Vec<_>>();
                (watched, changed)
            });
            let changed;
            (watched, changed) = looked.await;
            // One component may be that of several steps.
            let mut built = BTreeMap::new();
            for (one, _) in watched.iter().zip(changed).filter(|(_, changed)| *changed) {
                if let Err(failed) = one.renew(&folder, &mut built).await {
                    tracing::error!("step {} runs what it did: {failed}", one.step);
                }
            }
            // What a build has written is no change.
            watched.iter_mut().filter(|one| built.contains_key(&one.component)).for_each(|one| {
                one.changed();
            });
        }
    })
}

impl Watched {
    fn new(step: String, component: PathBuf) -> Self {
        // Below a folder that is not known nothing is found: the component itself is watched.
        let component = std::path::absolute(&component).unwrap_or(component);
        let project = component.ancestors().skip(1).take(5).find(|folder| build::is_project(folder));
        let mut new = Self { step, project: project.map(Path::to_owned), component, seen: None };
        new.changed();
        new
    }

    /// Whether something was written since the last look. A file that is being written is not looked at before it is quiet.
    fn changed(&mut self) -> bool {
        let newest = match &self.project {
            Some(project) => newest(project, &mut { MOST_FILES }),
            None => written(&self.component),
        };
        let quiet = newest.is_none_or(|newest| newest.elapsed().is_ok_and(|since| since >= LOOK));
        if newest == self.seen || !quiet {
            return false;
        }
        self.seen = newest;
        true
    }

    async fn renew(&self, folder: &Path, built: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
        let clock = SystemClock::shared();
        let began = clock.elapsed();
        let component = match (built.get(&self.component), &self.project) {
            (Some(component), _) => component.clone(),
            (None, Some(project)) => {
                let project = project.clone();
                task::blocking(move || build::component(&project)).await?
            }
            (None, None) => {
                let path = self.component.clone();
                let failed = |e| Error::new(Kind::Config, format!("cannot read `{}`: {e}", self.component.display()));
                task::blocking(move || std::fs::read(path)).await.map_err(failed)?
            }
        };
        built.insert(self.component.clone(), component.clone());
        let worker = Worker::find(folder)?;
        let runs = crate::job::swap::store::digest(&component);
        if worker.job().await?.plugins.get(&self.step) == Some(&runs) {
            tracing::info!("step {}: nothing of the plugin has changed", self.step);
            return Ok(());
        }
        let took = clock.elapsed().saturating_sub(began);
        let changed = worker.swap(&self.step, component.clone(), &Swap::default()).await?;
        if self.project.is_some() {
            let (path, failed) = (self.component.clone(), |e: std::io::Error| {
                Error::new(Kind::Config, format!("cannot write `{}`: {e}", self.component.display()))
            });
            task::blocking(move || std::fs::write(path, component)).await.map_err(failed)?;
        }
        let (generation, in_all) = (changed.generation, clock.elapsed().saturating_sub(began));
        tracing::info!(
            "step {}: generation {generation} runs: built in {took:.1?}, swapped in {in_all:.1?}",
            self.step
        );
        Ok(())
    }
}

fn written(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|about| about.modified()).ok()
}

/// When the newest file of a source tree was written. Components are what is made of it.
fn newest(folder: &Path, left: &mut usize) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut newest_here = None;
    for entry in entries.flatten() {
        if *left == 0 {
            break;
        }
        *left -= 1;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let Ok(kind) = entry.file_type() else { continue };
        let is_made = MADE.contains(&&*name) || name.starts_with('.') || name.ends_with(".wasm");
        let at = match () {
            () if is_made => None,
            () if kind.is_dir() => newest(&path, left),
            () => written(&path),
        };
        newest_here = newest_here.max(at);
    }
    newest_here
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn wait_written(path: &Path, text: &str, since: Duration) {
        std::fs::write(path, text).unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let now_us = u64::try_from(SystemClock::shared().wall_us()).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_micros(now_us) - since).unwrap();
    }

    #[test]
    fn a_change_is_seen_once_and_what_a_build_makes_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("plugin");
        std::fs::create_dir_all(project.join("src")).unwrap();
        std::fs::create_dir_all(project.join("target")).unwrap();
        wait_written(&project.join("Cargo.toml"), "", Duration::from_secs(60));
        wait_written(&project.join("src/lib.rs"), "", Duration::from_secs(60));
        let mut watched = Watched::new("s".into(), project.join("target/plugin.wasm"));
        assert_eq!(watched.project.as_deref(), Some(&*project));
        assert!(!watched.changed());
        wait_written(&project.join("target/plugin.wasm"), "", Duration::from_secs(5));
        wait_written(&project.join("plugin.wasm"), "", Duration::from_secs(5));
        assert!(!watched.changed());
        wait_written(&project.join("src/lib.rs"), "x", Duration::ZERO);
        assert!(!watched.changed(), "it is still being written");
        wait_written(&project.join("src/lib.rs"), "x", Duration::from_secs(2));
        assert!(watched.changed() && !watched.changed());
    }
}
