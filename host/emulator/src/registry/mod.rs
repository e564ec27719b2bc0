//! A schema registry that other people's clients use as Confluent's: in memory, or in a directory that outlives the process.
//!
//! A request goes: `http` (who asks, faults) → `request` (which call) → `answers` → `register`, `delete` or `settings` (what it means) →
//! `store` (locks) → `journal` (if there is a directory) → `state`. A schema is `content`; its text is made `bare` or `normal`.
//! The rules: the same schema has the same id under every subject, and no other schema ever has it; a new version must suit the level;
//! what something refers to stays; what this registry has not is refused with words.
//! It leaves out: contexts but the default one, rule sets, groups of compatibility, aliases, and comparing other schemas than Avro's.

mod answers;
mod content;
mod delete;
mod http;
mod journal;
mod normal;
mod refusal;
mod register;
mod request;
mod settings;
mod state;
mod store;

#[cfg(test)]
mod tests;

pub(crate) use normal::bare;
pub(crate) use store::parse;

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc};

use crate::{
    StartError,
    faults::{Faults, Rule},
    net::{self, Listening},
    tls::{self, Tls},
};
use http::Server;
use store::Store;

/// How to serve a registry.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// With TLS alone; the certificate is of our own making.
    pub tls: bool,
    /// Where to keep everything; in memory if absent.
    pub dir: Option<PathBuf>,
    /// Who may ask; everybody if absent.
    pub auth: Option<Auth>,
    /// What goes wrong from the start, as in `Registry.GetSchema:fail:next=2`; `/_pelton/faults` changes it.
    pub faults: Vec<Rule>,
}

/// How clients name themselves.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    Basic { user: String, password: String },
    Bearer(String),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { user, .. } => f.debug_struct("Basic").field("user", user).finish_non_exhaustive(),
            Self::Bearer(_) => f.write_str("Bearer(..)"),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), tls: false, dir: None, auth: None, faults: Vec::new() }
    }
}

/// A running registry; it stops when told to, or when its runtime ends.
pub struct RunningRegistry {
    listening: Listening,
    certificate_pem: Option<String>,
    store: Arc<Store>,
    faults: Arc<Faults>,
}

impl RunningRegistry {
    pub fn addr(&self) -> SocketAddr {
        self.listening.addr
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        let scheme = if self.certificate_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr())
    }

    /// The CA to trust, where there is TLS.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate_pem.as_deref()
    }

    /// What goes wrong with calls.
    pub fn faults(&self) -> Arc<Faults> {
        Arc::clone(&self.faults)
    }

    /// Ends every connection, and gives the directory free.
    pub async fn stop(self) {
        self.listening.stop().await;
        // Waits for a call that is being written.
        let store = self.store;
        let _ = tokio::task::spawn_blocking(move || store.stop()).await;
    }
}

/// Starts an empty registry in memory.
pub async fn start(listen: SocketAddr) -> Result<RunningRegistry, StartError> {
    start_with(Options { listen, ..Options::default() }).await
}

/// Starts a registry.
pub async fn start_with(options: Options) -> Result<RunningRegistry, StartError> {
    let store = Arc::new(match &options.dir {
        Some(dir) => Store::on_disk(dir)?,
        None => Store::in_memory(),
    });
    let faults = Arc::new(Faults::new(options.faults));
    let server = Arc::new(Server { store: Arc::clone(&store), faults: Arc::clone(&faults), auth: options.auth });
    let handler = move |request| http::handle(Arc::clone(&server), request);
    let (acceptor, certificate_pem) = match options.tls {
        true => {
            let Tls { acceptor, certificate_pem } = tls::make(options.listen)?;
            (Some(acceptor), Some(certificate_pem))
        }
        false => (None, None),
    };
    let listening = net::listen(options.listen, acceptor, handler).await?;
    Ok(RunningRegistry { listening, certificate_pem, store, faults })
}
