//! `/metrics`, `/status`, `/livez` and `/readyz` of a running job, on this machine only.
//!
//! Left to others: what the figures are (`job::live::metrics`).

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    http::{StatusCode, header},
    routing::get,
};
use tokio::{net::TcpListener, runtime::Handle};

use crate::{
    clock::SystemClock,
    error::{Error, Kind, Result},
    job::live::{Live, metrics::Metrics, status::Status},
    task::{self, Task},
};

/// Text as Prometheus expects it from this library.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A server; it ends when dropped.
pub struct Serving {
    /// where it listens
    pub at: SocketAddr,
    _task: Task<()>,
}

/// Serves the figures of a job until dropped.
pub fn serve(runtime: &Handle, at: SocketAddr, job: &str, live: Arc<Live>) -> Result<Serving> {
    if !at.ip().is_loopback() {
        return Err(Error::new(
            Kind::Config,
            format!(
                "--metrics {at} is not on this machine: it is served without a password, so give 127.0.0.1 or [::1]"
            ),
        ));
    }
    let listener = runtime.block_on(TcpListener::bind(at)).map_err(|e| {
        let message =
            format!("cannot serve metrics on {at}: {e}; give another port with --metrics, or 0 for a free one");
        Error::new(Kind::Config, message)
    })?;
    let at = listener.local_addr().map_err(|e| Error::new(Kind::Internal, format!("a socket has no address: {e}")))?;
    let routes = routes(job, live);
    let task = task::spawn(runtime, async move {
        if let Err(failed) = axum::serve(listener, routes).await {
            tracing::warn!("metrics are no longer served: {failed}");
        }
    });
    Ok(Serving { at, _task: task })
}

fn routes(job: &str, live: Arc<Live>) -> Router {
    let metrics = Arc::new(Metrics::new(job, live.clone()));
    let (job, up, told) = (job.to_owned(), SystemClock::shared(), live.clone());
    let status = move || async move { Json(Status::of(&job, &told, up.elapsed())) };
    let text = move || async move { ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.text()) };
    let ready = move || async move {
        match live.now().shards {
            0 => (StatusCode::SERVICE_UNAVAILABLE, "no shard is being read\n"),
            _ => (StatusCode::OK, "ready\n"),
        }
    };
    let live = || async { "alive\n" };
    Router::new()
        .route("/metrics", get(text))
        .route("/status", get(status))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
}
