//! The API on a port of this machine, for whoever has the token.
//!
//! The rule: nothing is served without the token, and nothing beyond this machine: what encrypts and lets others in stands in front of it.

use std::{net::SocketAddr, path::Path, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, runtime::Handle};

use super::{Controlled, Refused, routes};
use crate::{
    error::{Error, Kind, Result},
    task::{self, Task},
};

/// A shorter token could be guessed.
const SHORTEST: usize = 16;

/// Who may ask: the digest of the token, so that comparing takes the same time whatever is given.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// The first line of a file.
    pub fn read(file: &Path) -> Result<Self> {
        let refused = |what: String| Error::new(Kind::Config, format!("the token in {}: {what}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|e| refused(e.to_string()))?;
        let token = text.lines().next().unwrap_or_default().trim();
        if token.len() < SHORTEST {
            return Err(refused(format!("it has {} characters; write at least {SHORTEST}", token.len())));
        }
        Ok(Self(Sha256::digest(token).into()))
    }

    fn admits(&self, request: &Request) -> bool {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer "));
        given.is_some_and(|given| <[u8; 32]>::from(Sha256::digest(given.trim())) == self.0)
    }
}

/// Serves the API on this port until dropped; where it listens.
pub async fn serve(
    runtime: &Handle,
    at: SocketAddr,
    token: Token,
    controlled: Arc<Controlled>,
) -> Result<(SocketAddr, Task<()>)> {
    if !at.ip().is_loopback() {
        let words = format!(
            "--control {at} is not on this machine: give 127.0.0.1 or [::1], and put a proxy with TLS in front of it"
        );
        return Err(Error::new(Kind::Config, words));
    }
    let failed = |e: std::io::Error| Error::new(Kind::Config, format!("cannot serve control on {at}: {e}"));
    let listener = TcpListener::bind(at).await.map_err(failed)?;
    let at = listener.local_addr().map_err(failed)?;
    let routes = routes::routes(controlled).layer(middleware::from_fn_with_state(token, ask));
    let task = task::spawn(runtime, async move {
        if let Err(failed) = axum::serve(listener, routes).await {
            tracing::warn!("control is no longer served: {failed}");
        }
    });
    Ok((at, task))
}

async fn ask(State(token): State<Token>, request: Request, next: Next) -> Response {
    if token.admits(&request) {
        return next.run(request).await;
    }
    let error = "give the token: Authorization: Bearer TOKEN".to_owned();
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], Json(Refused { error })).into_response()
}
