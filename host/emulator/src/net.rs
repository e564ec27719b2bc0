//! Listening: accepts connections, speaks TLS where asked, and hands requests to a handler.
//!
//! The rules: HTTP/1.1 and HTTP/2 are told apart by the first bytes, so clients with prior knowledge and clients that
//! negotiate are both served; connections and bodies are bounded; stopping ends every connection.
//! What is answered is the handler's business (`http.rs`, `registry/`).

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::StartError;

const MAX_CONNECTIONS: usize = 1024;
/// What Amazon's front ends are said to allow.
const MAX_HTTP2_STREAMS: u32 = 128;
/// Ten MiB of records in base64, and room for their keys.
pub const MAX_BODY: usize = 20 << 20;

/// The handler wants the connection to drop without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection drops: a fault was asked for")]
pub struct Dropped;

pub type Body = BoxBody<Bytes, crate::event_stream::FrameError>;

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed()
}

/// Something that listens until it is stopped.
pub struct Listening {
    pub addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Listening {
    pub async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub async fn listen<H, F>(at: SocketAddr, tls: Option<TlsAcceptor>, handler: H) -> Result<Listening, StartError>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, Dropped>> + Send + 'static,
{
    let bound = |source| StartError::Listen { at, source };
    let listener = TcpListener::bind(at).await.map_err(bound)?;
    let addr = listener.local_addr().map_err(bound)?;
    let task = tokio::spawn(accept(listener, tls, handler));
    Ok(Listening { addr, task })
}

/// The connections live in the set and end with this task.
async fn accept<H, F>(listener: TcpListener, tls: Option<TlsAcceptor>, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, Dropped>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Out of file descriptors, most likely: trying again at once would spin.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, handler) = (tls.clone(), handler.clone());
        connections.spawn(async move {
            connection(stream, tls, handler).await;
            drop(place);
        });
    }
}

async fn connection<H, F>(stream: TcpStream, tls: Option<TlsAcceptor>, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, Dropped>> + Send + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "events may be late on this connection");
    }
    match tls {
        None => serve(stream, handler).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => serve(stream, handler).await,
            Err(error) => tracing::debug!(%error, "TLS handshake failed"),
        },
    }
}

async fn serve<S, H, F>(stream: S, handler: H)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, Dropped>> + Send + 'static,
{
    let service = service_fn(handler);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(MAX_HTTP2_STREAMS);
    let served = builder.serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

/// The whole body, if it has at most so many bytes.
pub async fn read_body(body: Incoming, most: usize) -> Result<Bytes, String> {
    let collected = Limited::new(body, most).collect().await;
    collected.map(|b| b.to_bytes()).map_err(|e| e.to_string())
}
