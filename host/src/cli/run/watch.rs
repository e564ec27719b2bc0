//! `--watch`: a plugin whose source or component changes is built, checked and swapped in while the job runs.
//!
//! The rules: what does not build or does not fit changes nothing: the job runs on with what it had, and says why. What was written while a
//! build ran is built after it. No build outlives the job.
//! Left to others: building (`build`), swapping (`control`), what has changed (`look`).

use std::{
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use tokio::runtime::Handle;

use super::look::Look;
use crate::{
    cli::build::{self, Leash},
    clock::{self, SystemClock},
    control::{Swap, client::Worker},
    error::{Error, Kind, Result},
    job::{Graph, swap::store::digest},
    task::{self, Task},
};

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// So many looks after a swap that could not be done then, it is tried again.
const AGAIN: u32 = 25;
/// A build that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// A component that is watched, for all steps that run it.
struct Watched {
    steps: Vec<String>,
    component: PathBuf,
    /// where it is built from, if that is known
    project: Option<PathBuf>,
    /// as it was before the last build began
    seen: Look,
    /// as it was when it was last looked at
    last: Look,
    /// what the last build made, and whether something was written while it ran
    built: Option<(String, bool)>,
    /// a component that could not be swapped in when it was built, and how many looks ago that was
    waits: Option<(Vec<u8>, u32)>,
}

/// Watches the plugins of a job whose worker keeps its state in this folder, until dropped. Builds are held by the leash.
pub fn watch(runtime: &Handle, graph: &Graph, folder: PathBuf, leash: Leash) -> Task<()> {
    let mut watched: Vec<Watched> = Vec::new();
    for node in &graph.nodes {
        let Some(plugin) = node.kind.plugin() else { continue };
        let component = whole(&plugin.path);
        match watched.iter_mut().find(|one| one.component == component) {
            Some(one) => one.steps.push(node.name.clone()),
            None => watched.push(Watched::new(node.name.clone(), component)),
        }
    }
    for one in &watched {
        match &one.project {
            Some(project) => tracing::info!("{}: {} is watched and built", one.shown(), project.display()),
            None => tracing::info!("{}: {} is watched", one.shown(), one.component.display()),
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
            for (one, changed) in watched.iter_mut().zip(changed) {
                if let Err(failed) = one.renew(changed, &folder, &leash).await {
                    tracing::error!("{} runs what it did: {failed}", one.shown());
                }
            }
        }
    })
}

/// As the file system knows it.
fn whole(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

impl Watched {
    fn new(step: String, component: PathBuf) -> Self {
        let project = build::project_of(&component).map(Path::to_owned);
        let (seen, last, steps) = (Look::default(), Look::default(), vec![step]);
        let mut new = Self { steps, component, project, seen, last, built: None, waits: None };
        new.seen = new.look();
        new.last = new.seen;
        new
    }

    fn shown(&self) -> String {
        format!("step {}", self.steps.join(", "))
    }

    /// What is looked at.
    fn place(&self) -> &Path {
        self.project.as_deref().unwrap_or(&self.component)
    }

    fn look(&self) -> Look {
        Look::at(self.place())
    }

    /// Whether something was written since the last build began. What is being written is left alone until two looks see the same.
    fn changed(&mut self) -> bool {
        let now = self.look();
        let is_quiet = now == std::mem::replace(&mut self.last, now);
        let changed = is_quiet && now != self.seen;
        if changed {
            self.seen = now;
        }
        changed
    }

    /// Builds what has changed and swaps it in, or tries again to swap in what was built.
    async fn renew(&mut self, changed: bool, folder: &Path, leash: &Leash) -> Result<()> {
        if changed {
            self.waits = None;
            let component = self.build(leash).await?;
            let done = self.put_in(&component, folder).await;
            return done.map_err(|failed| match failed.kind() {
                Kind::Unavailable => {
                    self.waits = Some((component, 0));
                    Error::new(Kind::Unavailable, format!("{failed}; it is tried again"))
                }
                _ => failed,
            });
        }
        if let Some((_, looks)) = &mut self.waits {
            *looks += 1;
        }
        let Some((component, _)) = self.waits.take_if(|(_, looks)| *looks >= AGAIN) else { return Ok(()) };
        match self.put_in(&component, folder).await {
            Err(failed) if failed.kind() == Kind::Unavailable => self.waits = Some((component, 0)),
            done => done?,
        }
        Ok(())
    }

    async fn build(&mut self, leash: &Leash) -> Result<Vec<u8>> {
        let (path, held) = (self.component.clone(), leash.clone());
        let Some(project) = self.project.clone() else {
            let failed = |e| Error::new(Kind::Config, format!("cannot read `{}`: {e}", self.component.display()));
            return task::blocking(move || std::fs::read(path)).await.map_err(failed);
        };
        let mut building = pin!(task::blocking(move || build::component(&project, &path, &held)));
        let built = match clock::timeout(LONGEST, building.as_mut()).await {
            Some(built) => built?,
            None => {
                leash.pull();
                building.await.and(Err(Error::new(Kind::Config, format!("the build took longer than {LONGEST:?}"))))?
            }
        };
        let place = self.place().to_owned();
        let after = task::blocking(move || Look::at(&place)).await;
        self.note(digest(&built), after);
        Ok(built)
    }

    /// What was written while the build ran is built next, unless the build before this one did the same and nothing came of it: then each
    /// build writes it.
    fn note(&mut self, made: String, after: Look) {
        let wrote = after != self.seen;
        if wrote && self.built.as_ref().is_some_and(|(before, wrote)| *wrote && *before == made) {
            self.seen = after;
            self.last = after;
        }
        self.built = Some((made, wrote));
    }

    async fn put_in(&self, component: &[u8], folder: &Path) -> Result<()> {
        let clock = SystemClock::shared();
        let worker = Worker::find(folder)?;
        let digest = digest(component);
        let runs = worker.job().await?.plugins;
        let old: Vec<&String> = self.steps.iter().filter(|step| runs.get(*step) != Some(&digest)).collect();
        if old.is_empty() {
            tracing::info!("{}: nothing of the plugin has changed", self.shown());
            return Ok(());
        }
        for step in old {
            let began = clock.elapsed();
            // who writes the plugin decides what it uses
            let how = Swap { allow: Some("log,metrics,state".to_owned()), ..Swap::default() };
            let changed = worker.swap(step, component.to_vec(), &how).await?;
            let (generation, took) = (changed.generation, clock.elapsed().saturating_sub(began));
            tracing::info!("step {step}: generation {generation} runs: built, and swapped in within {took:.1?}");
        }
        self.keep(component.to_vec()).await
    }

    /// What was built and runs is where the job file looks for it.
    async fn keep(&self, component: Vec<u8>) -> Result<()> {
        if self.project.is_none() {
            return Ok(());
        }
        let path = self.component.clone();
        let failed = |e| Error::new(Kind::Config, format!("cannot write `{}`: {e}", self.component.display()));
        let write = move || match std::fs::read(&path) {
            Ok(there) if there == component => Ok(()),
            _ => std::fs::write(&path, component),
        };
        task::blocking(write).await.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn project(folder: &Path) -> Watched {
        std::fs::create_dir_all(folder.join("src")).unwrap();
        std::fs::create_dir_all(folder.join("target/wasm32-wasip2/release")).unwrap();
        std::fs::write(folder.join("Cargo.toml"), "").unwrap();
        std::fs::write(folder.join("src/lib.rs"), "").unwrap();
        Watched::new("s".into(), folder.join("target/wasm32-wasip2/release/plugin.wasm"))
    }

    /// Two looks, the second of which acts.
    fn changed(watched: &mut Watched) -> bool {
        !watched.changed() && watched.changed()
    }

    #[test]
    fn a_change_is_seen_once_it_is_quiet_and_what_a_build_makes_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut watched = project(folder);
        assert_eq!(watched.project.as_deref(), Some(folder));
        std::fs::write(folder.join("target/wasm32-wasip2/release/plugin.wasm"), "made").unwrap();
        std::fs::write(folder.join("plugin.wasm"), "made").unwrap();
        assert!(!changed(&mut watched));
        std::fs::write(folder.join("src/lib.rs"), "x").unwrap();
        assert!(!watched.changed(), "it may still be being written");
        assert!(watched.changed() && !watched.changed());
        let late = std::fs::File::options().write(true).open(folder.join("src/lib.rs")).unwrap();
        late.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)).unwrap();
        assert!(changed(&mut watched), "its time lies in the future");
        std::fs::rename(folder.join("src/lib.rs"), folder.join("src/main.rs")).unwrap();
        assert!(changed(&mut watched), "it was moved");
        std::fs::remove_file(folder.join("src/main.rs")).unwrap();
        assert!(changed(&mut watched), "it was removed");
    }

    #[test]
    fn what_is_written_while_a_build_runs_is_built_next_and_what_each_build_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut watched = project(folder);
        std::fs::write(folder.join("src/lib.rs"), "1").unwrap();
        assert!(changed(&mut watched));
        std::fs::write(folder.join("src/lib.rs"), "saved during the build").unwrap();
        watched.note("made of 1".into(), watched.look());
        assert!(changed(&mut watched));
        watched.note("made of what was saved".into(), watched.look());
        assert!(!changed(&mut watched));

        let write = |text: &str| std::fs::write(folder.join("src/made.rs"), text).unwrap();
        write("by hand");
        for build in ["the first build", "the second build"] {
            assert!(changed(&mut watched), "{build}");
            write(build);
            watched.note("the same".into(), watched.look());
        }
        assert!(!changed(&mut watched));
    }

    #[test]
    fn what_no_project_makes_is_watched_itself() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::fs::create_dir_all(folder.join("plugins/sales")).unwrap();
        for file in ["package.json", "Cargo.toml", "go.mod", "plugins/sales/plugin.c"] {
            std::fs::write(folder.join(file), "").unwrap();
        }
        let mut other = Watched::new("s".into(), folder.join("plugins/x.wasm"));
        assert_eq!(other.project, None);
        std::fs::write(folder.join("plugins/x.wasm"), "x").unwrap();
        assert!(changed(&mut other));
        let sales = Watched::new("s".into(), folder.join("plugins/sales/sales.wasm"));
        assert_eq!(sales.project, Some(folder.join("plugins/sales")));
    }
}
