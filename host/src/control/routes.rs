//! What each request does.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{self, Bytes},
    extract::{DefaultBodyLimit, Path as Named, Query, State},
    http::{StatusCode, header},
    middleware,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures::{Stream, stream};

use super::{Back, Changed, Controlled, Job, Partition, Refused, Swap, openapi};
use crate::{
    clock,
    error::{Error, Kind, Result},
    job::{
        graph::Graph,
        swap::{
            Deployer, How,
            canary::{Wanted, breaks},
        },
    },
    plugin::{Capability, Limits},
};

/// A new plugin is on trial for so long, where nothing else is said.
const TRIAL: Duration = Duration::from_secs(60);
/// The most bytes of words of a refusal.
const MOST_WORDS: usize = 4 << 10;
/// How often it is looked whether there is something new to tell.
const LOOK: Duration = Duration::from_millis(250);

/// The whole API.
pub(super) fn routes(controlled: Arc<Controlled>) -> Router {
    let most = usize::try_from(Limits::default().component).unwrap_or(usize::MAX);
    Router::new()
        .route("/v1/job", get(job))
        .route("/v1/graph", get(graph))
        .route("/v1/events", get(events))
        .route("/v1/openapi.json", get(async || Json(openapi::document())))
        .route("/v1/steps/{step}/plugin", post(swap))
        .route("/v1/rollback", post(roll_back))
        .layer(DefaultBodyLimit::max(most))
        .layer(middleware::map_response(refused))
        .with_state(controlled)
}

/// What is refused before any of this is asked is refused in the same form.
async fn refused(response: Response) -> Response {
    let status = response.status();
    let is_ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !status.is_client_error() || is_ours {
        return response;
    }
    let words = body::to_bytes(response.into_body(), MOST_WORDS).await.unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    let error = if words.is_empty() { status.to_string() } else { words.into_owned() };
    (status, Json(Refused { error })).into_response()
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
    now(&controlled).map(Json)
}

/// What runs, whenever that is something else than before, as events of the server. The stream ends with the job.
async fn events(
    State(controlled): State<Arc<Controlled>>,
) -> Sse<impl Stream<Item = std::result::Result<Event, Infallible>>> {
    let told = stream::unfold((controlled, String::new()), async |(controlled, last)| {
        loop {
            let text = serde_json::to_string(&now(&controlled).ok()?).ok()?;
            if text != last {
                return Some((Ok(Event::default().event("job").data(&text)), (controlled, text)));
            }
            clock::sleep(LOOK).await;
        }
    });
    Sse::new(told).keep_alive(KeepAlive::default())
}

fn now(controlled: &Controlled) -> Result<Job> {
    let now = controlled.deployer()?.now();
    let canary = now.record.swapped.canary.clone();
    // what is tried is no more than tried
    let runs = |step: &str| match &canary {
        Some(_) => now.record.deployed_before(step),
        None => now.record.deployed(step),
    };
    let steps = controlled.graph.nodes.iter().filter(|node| node.kind.plugin().is_some());
    let plugins = steps.filter_map(|node| Some((node.name.clone(), runs(&node.name)?.clone()))).collect();
    let shown = |now: crate::job::live::Now| Partition {
        generation: now.generation,
        epoch: now.epoch,
        paused_ms: now.swap_paused.as_secs_f64() * 1e3,
        canary: now.canary,
    };
    let partitions = controlled.live.by_partition().into_iter().map(|(name, now)| (name, shown(now))).collect();
    Ok(Job { job: controlled.graph.job.clone(), generation: now.record.generation, plugins, canary, partitions })
}

/// The job as it was checked, in canonical form.
async fn graph(State(controlled): State<Arc<Controlled>>) -> Json<serde_json::Value> {
    Json(controlled.graph.canonical())
}

async fn swap(
    State(controlled): State<Arc<Controlled>>,
    Named(step): Named<String>,
    Query(wanted): Query<Swap>,
    component: Bytes,
) -> Result<Json<Changed>> {
    controlled.store.plugin_of(&step)?;
    let allow = allowed(wanted.allow.as_deref())?;
    let canary = wanted.canary.as_deref().map(|text| canary(&controlled.graph, &step, text)).transpose()?;
    let digest = controlled.store.keep(component).await?;
    if wanted.check {
        let would_be = controlled.deployer()?.check_swap(&step, &digest, &allow).await?;
        let (generation, one_way) = (would_be.generation, would_be.swapped.one_way);
        return Ok(Json(Changed { generation, digest: Some(digest), checked: true, one_way }));
    }
    let trial = wanted.trial_s.map_or(TRIAL, Duration::from_secs);
    let deployer = controlled.deployer()?;
    let generation = deployer.swap(&step, &digest, &How { trial, canary, over: wanted.over, allow }).await?;
    let one_way = deployer.now().record.swapped.one_way;
    Ok(Json(Changed { generation, digest: Some(digest), checked: false, one_way }))
}

/// What the plugin may use beyond the one before it: names with commas between them.
fn allowed(text: Option<&str>) -> Result<BTreeSet<Capability>> {
    let names = text.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| name.parse().map_err(|why: String| Error::new(Kind::Config, format!("`allow`: {why}")))).collect()
}

/// How a canary is wanted; its assertion is one that can be asked of the step's rows.
fn canary(graph: &Graph, step: &str, text: &str) -> Result<Wanted> {
    let wanted: Wanted =
        serde_json::from_str(text).map_err(|e| Error::new(Kind::Config, format!("`canary` is not understood: {e}")))?;
    if let Some(assertion) = &wanted.guards.assertion {
        breaks(graph, step, assertion)?;
    }
    Ok(wanted)
}

async fn roll_back(State(controlled): State<Arc<Controlled>>, Query(wanted): Query<Back>) -> Result<Json<Changed>> {
    let generation = controlled.deployer()?.roll_back(wanted.over).await?;
    Ok(Json(Changed { generation, digest: None, checked: false, one_way: false }))
}
