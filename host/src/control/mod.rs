//! The control API of a running worker: what runs, and changes to it.
//!
//! The rule: it listens on a socket in the worker's state folder, which the file system gives to whoever owns that folder and to nobody else;
//! on the network only where that is asked for, with a token (`network`), and beyond this machine only with TLS (`tls`). A change is checked whole before anything
//! of it is written.
//! Left to others: what a change is (`job::swap`), what each request does (`routes`), who is served (`listen`), its description (`openapi`), asking (`client`).

use std::{
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{net::UnixListener, runtime::Handle};

pub mod client;
mod listen;
pub mod network;
pub mod openapi;
mod routes;
pub mod tls;

use crate::{
    error::{Error, Kind, Result},
    job::{
        graph::Graph,
        live::{CanaryNow, Live},
        swap::{Deployer, canary::Canary, store::PluginStore},
    },
    random,
    task::{self, Task},
};

/// The socket's name in the state folder.
pub const SOCKET: &str = "control.sock";

/// What the API works on.
pub struct Controlled {
    /// the checked job
    pub graph: Arc<Graph>,
    /// who deploys
    pub deployer: Weak<Deployer>,
    /// plugins by digest
    pub store: PluginStore,
    /// figures
    pub live: Arc<Live>,
}

/// A server; it ends when dropped.
pub struct Serving {
    at: PathBuf,
    _task: Task<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.at);
    }
}

/// Serves the API in this folder until dropped.
pub fn serve(runtime: &Handle, folder: &Path, controlled: Arc<Controlled>) -> Result<Serving> {
    let at = folder.join(SOCKET);
    let failed = |e: std::io::Error| Error::new(Kind::Config, format!("cannot serve control on {}: {e}", at.display()));
    // Whoever has the folder's state open is alone with it: a socket that is there is left from one that was killed.
    match std::fs::remove_file(&at) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let listener = {
        let _on = runtime.enter();
        bind(folder, &at).map_err(failed)?
    };
    let task = task::spawn(runtime, listen::serve(listener, routes::routes(controlled)));
    Ok(Serving { at, _task: task })
}

/// A socket of this name that never was anybody else's: it is made in a folder that nobody else may enter, and moved when it is closed to all others.
fn bind(folder: &Path, at: &Path) -> std::io::Result<UnixListener> {
    let closed = folder.join(format!(".{:08x}", random::bits() as u32));
    std::fs::DirBuilder::new().mode(0o700).create(&closed)?;
    let socket = closed.join("s");
    let bound = UnixListener::bind(&socket).and_then(|listener| {
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&socket, at)?;
        Ok(listener)
    });
    let _ = std::fs::remove_dir_all(&closed);
    bound
}

/// What runs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// its name
    pub job: String,
    /// the deployed version
    pub generation: u64,
    /// by step: the digest of the plugin that runs there
    pub plugins: std::collections::BTreeMap<String, String>,
    /// partitions that try a plugin, and commit nothing of it yet
    #[serde(default)]
    pub canary: Option<Canary>,
    /// what each partition of this worker runs
    pub partitions: std::collections::BTreeMap<String, Partition>,
}

/// What a partition runs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Partition {
    /// the deployed version
    pub generation: u64,
    /// its last durable epoch
    pub epoch: u64,
    /// how long its last change took, milliseconds
    pub paused_ms: f64,
    /// what it has seen of a plugin that it tries
    #[serde(default)]
    pub canary: Option<CanaryNow>,
}

/// How a plugin is to be swapped in.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Swap {
    /// check it, and change nothing
    #[serde(default)]
    pub check: bool,
    /// for how long a step that fails takes it back, seconds
    #[serde(default)]
    pub trial_s: Option<u64>,
    /// some partitions try it first: [`Wanted`] as JSON
    #[serde(default)]
    pub canary: Option<String>,
    /// only if this generation is what is deployed
    #[serde(default)]
    pub over: Option<u64>,
    /// what it may use that the one before it does not: `log`, `metrics`, `state`, `connector:NAME`, with commas between them
    #[serde(default)]
    pub allow: Option<String>,
}

/// How a plugin is taken back.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Back {
    /// only if this generation is what is deployed
    #[serde(default)]
    pub over: Option<u64>,
}

/// What came of a change.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// the generation that runs now, or would run
    pub generation: u64,
    /// the plugin, where one was given
    pub digest: Option<String>,
    /// it was only checked
    pub checked: bool,
    /// what ran before cannot read what the plugin stores: it is not taken back once an epoch of it is durable
    pub one_way: bool,
}

/// Why a change was refused.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// in words
    pub error: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn the_socket_is_its_owners_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join(SOCKET);
        let _listener = bind(folder.path(), &at).unwrap();
        assert_eq!(at.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
        tokio::net::UnixStream::connect(&at).await.unwrap();
    }
}
