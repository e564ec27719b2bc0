//! `--fresh`: what an earlier run left is moved out of the way, never deleted.
//!
//! The rule: only what is known to be Pelton's is moved, and only this job's: a folder without the marks of a state directory
//! stays where it is, and in a folder of results the files of other jobs and sinks do.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::job::{
    build::DEAD_LETTERS,
    graph::{Files, Graph, NodeKind, SinkKind},
};
use crate::{
    clock::Clock,
    error::{Error, Kind, Result},
    sink::file,
    state::rocksdb::RocksStore,
};

/// Moves the state, then the files of every sink and the dead letters. After a crash on the way it may be called again.
pub fn set_aside(graph: &Graph, state: &Path, clock: &dyn Clock) -> Result<()> {
    let name = format!("before-{}", clock.wall_us() / 1_000);
    if let Some(aside) = set_state_aside(state, &name)? {
        tracing::info!("the old state is in {}", aside.display());
    }
    let letters = graph.dead_letters.iter().map(|files| (DEAD_LETTERS, files));
    for (sink, Files { path, .. }) in sinks(graph).chain(letters) {
        if let Some(aside) = file::set_aside(path, &graph.job, sink, &name)? {
            tracing::info!("the old files of sink `{sink}` are in {}", aside.display());
        }
    }
    Ok(())
}

fn sinks(graph: &Graph) -> impl Iterator<Item = (&str, &Files)> {
    graph.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Sink(SinkKind::File(files)) => Some((node.name.as_str(), files)),
        _ => None,
    })
}

/// Where the old state is now; none where there was none.
fn set_state_aside(state: &Path, name: &str) -> Result<Option<PathBuf>> {
    let failed = |what: String| Error::new(Kind::State, what);
    let is_empty = match state.read_dir() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(format!("the state directory {} cannot be read: {e}", state.display()))),
        Ok(mut entries) => entries.next().is_none(),
    };
    if is_empty {
        return Ok(None);
    }
    if !RocksStore::is_state(state) {
        return Err(failed(format!(
            "{} is no state directory of pelton, and --fresh moves nothing else: mend --state-dir, or `state:` in the job file",
            state.display()
        )));
    }
    RocksStore::check_free(state)?;
    let unmoved = |e: std::io::Error| failed(format!("the state directory {} cannot be moved: {e}", state.display()));
    let whole =
        if state.file_name().is_some() { state.to_owned() } else { fs::canonicalize(state).map_err(unmoved)? };
    let mut aside = whole.file_name().unwrap_or_default().to_owned();
    aside.push(format!(".{name}"));
    let aside = whole.with_file_name(aside);
    fs::rename(&whole, &aside).map_err(unmoved)?;
    Ok(Some(aside))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_state_directory_keeps_its_whole_name() {
        let home = tempfile::tempdir().unwrap();
        for name in ["state", "state.v1", "state.v2"] {
            let state = home.path().join(name);
            drop(RocksStore::open(&state).unwrap());
            let aside = set_state_aside(&state, "before-1").unwrap().unwrap();
            assert_eq!(aside, home.path().join(format!("{name}.before-1")));
            assert!(aside.join("FORMAT").exists() && !state.exists());
            assert_eq!(set_state_aside(&state, "before-2").unwrap(), None);
        }
    }

    #[test]
    fn a_folder_that_is_no_state_stays_where_it_is() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("job.yaml"), "").unwrap();
        let refused = set_state_aside(home.path(), "before-1").unwrap_err().to_string();
        assert!(refused.contains("is no state directory"), "{refused}");
        assert_eq!(home.path().read_dir().unwrap().count(), 1, "nothing was added either");
    }
}
