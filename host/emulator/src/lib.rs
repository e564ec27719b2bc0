//! Kinesis, Firehose, DynamoDB (what leases need), the schema registry of Glue and one as Confluent's on loopback, for development,
//! tests and demos.
//!
//! A request goes: `net` (sockets, TLS) → `http` (headers, errors; `form`: CBOR) → `api` (JSON of one call) → `store` (the service
//! itself, synchronous, told the time) → `disk` (if there is a directory). For DynamoDB and Glue, `dynamodb` and `glue`
//! stand in the place of `api` and `store`. `faults` says what goes wrong on request. `registry` is a second server of its own.
//! The rule: what a client of the real service relies on holds here too, or is refused with words. Accepted and then
//! ignored are credentials, tags, the mode of a stream (it never scales by itself), and destinations of delivery streams.
//! It leaves out: changing retention, encryption, enhanced monitoring.

mod net;
mod tls;

mod form;
mod http;
mod services;

mod api;
pub mod event_stream;

mod clock;
pub mod store;

pub mod dynamodb;

pub mod glue;

pub mod disk;

pub mod faults;

pub mod registry;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dynamodb::Tables;
use glue::Glue;
use net::Listening;
use services::Services;
use store::{ApiError, ErrorKind, Rules, Store};
use tls::Tls;

#[derive(Clone, Debug)]
pub struct Options {
    /// Plain HTTP/1.1 and HTTP/2; port 0 takes a free one.
    pub listen: SocketAddr,
    pub tls_listen: Option<SocketAddr>,
    /// Where to keep everything; in memory if absent.
    pub dir: Option<PathBuf>,
    /// Made at the start, with so many shards, unless they exist.
    pub streams: Vec<(String, u32)>,
    /// How long a subscription lasts.
    pub subscription: Duration,
    /// A second SubscribeToShard sooner than this is refused, later it takes over.
    pub takeover_after: Duration,
    /// At most one SubscribeToShard in this time, per consumer and shard.
    pub call_interval: Duration,
    /// How often a stream may be scaled by UpdateShardCount in 24 hours; None is without limit.
    pub scalings_a_day: Option<u32>,
    /// What goes wrong from the start; `/_pelton/faults` changes it.
    pub faults: Vec<faults::Rule>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls_listen: None,
            dir: None,
            streams: Vec::new(),
            subscription: Duration::from_secs(300),
            takeover_after: Duration::from_secs(5),
            call_interval: Duration::from_secs(1),
            scalings_a_day: Some(10),
            faults: Vec::new(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {at}: {source}")]
    Listen { at: SocketAddr, source: std::io::Error },
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
    #[error(transparent)]
    Disk(#[from] disk::DiskError),
    #[error("cannot make stream {name}: {source}")]
    Stream { name: String, source: ApiError },
}

/// A running emulator; it stops when told to, or when its runtime ends.
pub struct Running {
    services: Services,
    plain: Listening,
    tls: Option<(Listening, String)>,
}

/// Starts Kinesis, Firehose, DynamoDB and Glue on one port.
pub async fn start(options: Options) -> Result<Running, StartError> {
    let store = Arc::new(open_store(&options)?);
    // After the store, which holds the directory's lock.
    let (tables, glue) = match &options.dir {
        Some(dir) => (Tables::on_disk(dir)?, Glue::on_disk(dir)?),
        None => (Tables::in_memory(), Glue::in_memory()),
    };
    let faults = store.faults();
    faults.replace(options.faults.clone());
    let services = Services { store, tables: Arc::new(tables), glue: Arc::new(glue), faults };
    let handler = {
        let services = services.clone();
        move |request| http::handle(services.clone(), request)
    };
    let tls = match options.tls_listen {
        None => None,
        Some(at) => {
            let Tls { acceptor, certificate_pem } = tls::make(at)?;
            Some((net::listen(at, Some(acceptor), handler.clone()).await?, certificate_pem))
        }
    };
    let plain = net::listen(options.listen, None, handler).await?;
    Ok(Running { services, plain, tls })
}

fn open_store(options: &Options) -> Result<Store, StartError> {
    let rules = Rules {
        subscription: options.subscription,
        takeover_after: options.takeover_after,
        call_interval: options.call_interval,
        scalings_a_day: options.scalings_a_day,
    };
    let store = match &options.dir {
        Some(dir) => Store::on_disk(dir, rules, clock::now())?,
        None => Store::in_memory(rules),
    };
    for (name, shards) in &options.streams {
        match store.create_stream(clock::now(), name, *shards) {
            Ok(()) => {}
            // Left by an earlier run on the same directory.
            Err(error) if error.kind == ErrorKind::ResourceInUse && options.dir.is_some() => {}
            Err(source) => {
                return Err(StartError::Stream { name: name.clone(), source });
            }
        }
    }
    Ok(store)
}

impl Running {
    pub fn addr(&self) -> SocketAddr {
        self.plain.addr
    }

    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(|(listening, _)| listening.addr)
    }

    /// The CA to trust for the TLS port.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.tls.as_ref().map(|(_, pem)| pem.as_str())
    }

    /// Kinesis and Firehose behind the ports.
    pub fn store(&self) -> Arc<Store> {
        Arc::clone(&self.services.store)
    }

    /// What goes wrong with calls.
    pub fn faults(&self) -> Arc<faults::Faults> {
        Arc::clone(&self.services.faults)
    }

    /// DynamoDB behind the ports.
    pub fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.services.tables)
    }

    /// The schema registry of Glue behind the ports.
    pub fn glue(&self) -> Arc<Glue> {
        Arc::clone(&self.services.glue)
    }

    pub async fn stop(self) {
        self.plain.stop().await;
        if let Some((listening, _)) = self.tls {
            listening.stop().await;
        }
    }
}
