//! Serves whoever connects, a bounded number of them at a time.
//!
//! The rule: who connects and says nothing is left after a while, and who comes when all places are taken waits outside.
//! Left to others: what is served (`routes`), where (`mod`, `network`).

use std::{io, time::Duration};

use axum::Router;
use futures::{
    future::{BoxFuture, FutureExt, ready},
    stream::{FuturesUnordered, StreamExt},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};

use crate::clock;

/// So many are served at a time.
const MOST: usize = 64;
/// The head of a request comes within this time, also that of the next on the same connection.
const HEAD: Duration = Duration::from_secs(10);
/// After a connection could not be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// What has to happen before a connection can be used, a handshake for one. Others do not wait for it.
pub(super) type Opening<C> = BoxFuture<'static, io::Result<C>>;

/// Where connections come from.
pub(super) trait Listen {
    /// One of them.
    type Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next one.
    fn next(&self) -> BoxFuture<'_, io::Result<Opening<Self::Connection>>>;
}

impl Listen for TcpListener {
    type Connection = tokio::net::TcpStream;

    fn next(&self) -> BoxFuture<'_, io::Result<Opening<Self::Connection>>> {
        Box::pin(async { self.accept().await.map(|(connection, _)| ready(Ok(connection)).boxed()) })
    }
}

impl Listen for UnixListener {
    type Connection = tokio::net::UnixStream;

    fn next(&self) -> BoxFuture<'_, io::Result<Opening<Self::Connection>>> {
        Box::pin(async { self.accept().await.map(|(connection, _)| ready(Ok(connection)).boxed()) })
    }
}

/// Serves until dropped.
pub(super) async fn serve(listener: impl Listen, routes: Router) {
    within(listener, routes, (MOST, HEAD)).await;
}

async fn within(listener: impl Listen, routes: Router, (most, head): (usize, Duration)) {
    let mut served = FuturesUnordered::new();
    loop {
        tokio::select! {
            connected = listener.next(), if served.len() < most => match connected {
                Ok(opening) => served.push(one(opening, routes.clone(), head)),
                Err(failed) => {
                    tracing::debug!("control: a connection cannot be taken: {failed}");
                    clock::sleep(PAUSE).await;
                }
            },
            Some(()) = served.next() => {}
        }
    }
}

async fn one<C>(opening: Opening<C>, routes: Router, head: Duration)
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = match clock::timeout(head, opening).await {
        Some(Ok(connection)) => connection,
        Some(Err(failed)) => return tracing::debug!("control: a connection cannot be opened: {failed}"),
        None => return,
    };
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head);
    let served = http.serve_connection(TokioIo::new(connection), TowerToHyperService::new(routes));
    if let Err(failed) = served.await {
        tracing::debug!("control: a connection has failed: {failed}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        runtime::Handle,
    };

    use super::*;
    use crate::task;

    #[tokio::test]
    async fn whoever_says_nothing_takes_a_place_and_is_left() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let routes = Router::new().route("/", get(async || "here"));
        let _served = task::spawn(&Handle::current(), within(listener, routes, (2, Duration::from_secs(1))));
        let silent = [TcpStream::connect(at).await.unwrap(), TcpStream::connect(at).await.unwrap()];
        let mut late = TcpStream::connect(at).await.unwrap();
        late.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        let waits = clock::timeout(Duration::from_millis(200), late.read_to_string(&mut text)).await;
        assert!(waits.is_none(), "all places are taken: {text}");
        let answered = clock::timeout(Duration::from_secs(60), late.read_to_string(&mut text)).await;
        assert!(answered.is_some() && text.ends_with("here"), "{text}");
        drop(silent);
    }
}
