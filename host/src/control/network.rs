//! The API on a port, for whoever has the token.
//!
//! The rule: nothing is served without the token, and nothing beyond this machine without TLS.
//! Left to others: the handshake (`tls`).

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

use super::{Controlled, Refused, listen, routes, tls::Tls};
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
        if !token.bytes().all(|letter| letter.is_ascii_graphic()) {
            return Err(refused("a header cannot carry all of its characters: write letters and digits".to_owned()));
        }
        Ok(Self(Sha256::digest(token).into()))
    }

    fn admits(&self, request: &Request) -> bool {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer "));
        given.is_some_and(|given| <[u8; 32]>::from(Sha256::digest(given.trim())) == self.0)
    }
}

/// A port that is ours, before the job runs: one that cannot be had is a mistake of whoever starts it.
pub struct Port {
    listener: std::net::TcpListener,
    tls: Option<Tls>,
}

impl Port {
    /// This one, of this machine alone where there is no TLS; 0: a free one.
    pub fn bind(at: SocketAddr, tls: Option<Tls>) -> Result<Self> {
        if !at.ip().is_loopback() && tls.is_none() {
            let words = format!(
                "--control {at} can be reached from other machines: give --control-cert and --control-key, or 127.0.0.1 or [::1] as its address"
            );
            return Err(Error::new(Kind::Config, words));
        }
        let failed = |e: std::io::Error| {
            let words =
                format!("cannot serve control on {at}: {e}; give another port with --control, or 0 for a free one");
            Error::new(Kind::Config, words)
        };
        let listener = std::net::TcpListener::bind(at).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener, tls })
    }

    /// Serves the API here until dropped; its address.
    pub fn serve(self, runtime: &Handle, token: Token, controlled: Arc<Controlled>) -> Result<(String, Task<()>)> {
        let failed = |e: std::io::Error| Error::new(Kind::Internal, format!("cannot serve control: {e}"));
        let at = self.listener.local_addr().map_err(failed)?;
        let listener = {
            let _on = runtime.enter();
            TcpListener::from_std(self.listener).map_err(failed)?
        };
        let routes = routes::routes(controlled).layer(middleware::from_fn_with_state(token, ask));
        Ok(match self.tls {
            Some(tls) => (format!("https://{at}"), task::spawn(runtime, listen::serve(tls.over(listener), routes))),
            None => (format!("http://{at}"), task::spawn(runtime, listen::serve(listener, routes))),
        })
    }
}

async fn ask(State(token): State<Token>, request: Request, next: Next) -> Response {
    if token.admits(&request) {
        return next.run(request).await;
    }
    let error = "give the token: Authorization: Bearer TOKEN".to_owned();
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], Json(Refused { error })).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_token_that_nobody_could_give_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            Token::read(file.path()).map(drop).map_err(|e| e.to_string())
        };
        assert_eq!(read("0123456789abcdef\n"), Ok(()));
        assert!(read("short").unwrap_err().contains("at least 16"));
        assert!(read("ein-Schlüssel-für-alle").unwrap_err().contains("letters and digits"));
        assert!(read("two words are two words").unwrap_err().contains("letters and digits"));
    }

    #[test]
    fn a_port_is_had_before_the_job_runs() {
        let one = Port::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let taken = Port::bind(one.listener.local_addr().unwrap(), None).map(drop).unwrap_err();
        assert!(taken.kind() == Kind::Config && taken.to_string().contains("give another port"), "{taken}");
        let open = Port::bind("0.0.0.0:0".parse().unwrap(), None).map(drop).unwrap_err();
        assert!(open.kind() == Kind::Config && open.to_string().contains("give --control-cert"), "{open}");
    }
}
