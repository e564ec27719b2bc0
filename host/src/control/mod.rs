//! The control API of a running worker: what runs, and changes to it.
//!
//! The rule: it listens on a socket in the worker's state folder, which the file system gives to whoever owns that folder and to nobody else;
//! nothing listens on the network. A change is checked whole before anything of it is written.
//! Left to others: what a change is (`job::swap`), asking (`client`).

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path as Named, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tokio::{net::UnixListener, runtime::Handle};

pub mod client;

use crate::{
    error::{Error, Kind, Result},
    job::{
        graph::Graph,
        live::Live,
        swap::{Deployer, store::PluginStore},
    },
    plugin::Limits,
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
pub fn serve(runtime: &Handle, folder: &Path, controlled: Controlled) -> Result<Serving> {
    let at = folder.join(SOCKET);
    let failed = |e: std::io::Error| Error::new(Kind::Config, format!("cannot serve control on {}: {e}", at.display()));
    // Whoever has the folder's state open is alone with it: a socket that is there is left from one that was killed.
    match std::fs::remove_file(&at) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let listener = {
        let _on = runtime.enter();
        UnixListener::bind(&at).map_err(failed)?
    };
    std::fs::set_permissions(&at, std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(failed)?;
    let routes = routes(Arc::new(controlled));
    let task = task::spawn(runtime, async move {
        if let Err(failed) = axum::serve(listener, routes).await {
            tracing::warn!("control is no longer served: {failed}");
        }
    });
    Ok(Serving { at, _task: task })
}

fn routes(controlled: Arc<Controlled>) -> Router {
    let most = usize::try_from(Limits::default().component).unwrap_or(usize::MAX);
    Router::new()
        .route("/v1/job", get(job))
        .route("/v1/steps/{step}/plugin", post(swap))
        .route("/v1/rollback", post(roll_back))
        .layer(DefaultBodyLimit::max(most))
        .with_state(controlled)
}

/// What runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// its name
    pub job: String,
    /// the deployed version
    pub generation: u64,
    /// by step: the digest of the plugin that runs there
    pub plugins: std::collections::BTreeMap<String, String>,
    /// what each partition of this worker runs
    pub partitions: std::collections::BTreeMap<String, Partition>,
}

/// What a partition runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Partition {
    /// the deployed version
    pub generation: u64,
    /// its last durable epoch
    pub epoch: u64,
    /// how long its last change took, milliseconds
    pub paused_ms: f64,
}

/// How a plugin is to be swapped in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Swap {
    /// check it, and change nothing
    #[serde(default)]
    pub check: bool,
    /// for how long a step that fails takes it back, seconds
    #[serde(default)]
    pub trial_s: Option<u64>,
}

/// What came of a change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changed {
    /// the generation that runs now, or would run
    pub generation: u64,
    /// the plugin, where one was given
    pub digest: Option<String>,
    /// it was only checked
    pub checked: bool,
}

/// A new plugin is on trial for so long, where nothing else is said.
const TRIAL: Duration = Duration::from_secs(60);

/// Why a change was refused.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refused {
    /// in words
    pub error: String,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match self.kind() {
            Kind::Config => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Unavailable => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(Refused { error: self.to_string() })).into_response()
    }
}

impl Controlled {
    fn deployer(&self) -> Result<Arc<Deployer>> {
        self.deployer.upgrade().ok_or_else(|| Error::new(Kind::Unavailable, "the job is ending"))
    }
}

async fn job(State(controlled): State<Arc<Controlled>>) -> Result<Json<Job>> {
    let now = controlled.deployer()?.now();
    let of_file = |node: &crate::job::graph::Node| {
        let digest = node.kind.plugin()?.interface.digest.clone();
        Some((node.name.clone(), digest))
    };
    let mut plugins: std::collections::BTreeMap<_, _> = controlled.graph.nodes.iter().filter_map(of_file).collect();
    plugins.extend(now.record.swapped.plugins.clone());
    let shown = |now: crate::job::live::Now| Partition {
        generation: now.generation,
        epoch: now.epoch,
        paused_ms: now.swap_paused.as_secs_f64() * 1e3,
    };
    let partitions = controlled.live.by_partition().into_iter().map(|(name, now)| (name, shown(now))).collect();
    Ok(Json(Job { job: controlled.graph.job.clone(), generation: now.record.generation, plugins, partitions }))
}

async fn swap(
    State(controlled): State<Arc<Controlled>>,
    Named(step): Named<String>,
    Query(wanted): Query<Swap>,
    component: Bytes,
) -> Result<Json<Changed>> {
    controlled.store.plugin_of(&step)?;
    let digest = controlled.store.keep(component).await?;
    if wanted.check {
        let generation = controlled.deployer()?.check_swap(&step, &digest).await?;
        return Ok(Json(Changed { generation, digest: Some(digest), checked: true }));
    }
    let trial = wanted.trial_s.map_or(TRIAL, Duration::from_secs);
    let generation = controlled.deployer()?.swap(&step, &digest, trial).await?;
    Ok(Json(Changed { generation, digest: Some(digest), checked: false }))
}

async fn roll_back(State(controlled): State<Arc<Controlled>>) -> Result<Json<Changed>> {
    let generation = controlled.deployer()?.roll_back().await?;
    Ok(Json(Changed { generation, digest: None, checked: false }))
}
