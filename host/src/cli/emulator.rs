//! `pelton emulator` and `pelton registry`: servers on this machine, until Ctrl-C.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use pelton_emulator::{faults::Rule, registry};
use serde_json::json;

use super::Output;
use crate::error::{Error, Kind, Result};

/// Serve Kinesis, Firehose, DynamoDB (what leases need), Glue's schema registry and one that speaks Confluent's API.
#[derive(Debug, Args)]
pub struct Arguments {
    /// where Kinesis, Firehose, DynamoDB and Glue listen
    #[arg(long, default_value = "127.0.0.1:4567")]
    listen: SocketAddr,
    /// where they listen with TLS and HTTP/2, if at all
    #[arg(long)]
    tls_listen: Option<SocketAddr>,
    /// where the registry listens
    #[arg(long, default_value = "127.0.0.1:8081")]
    registry_listen: SocketAddr,
    /// streams to make, with their number of shards
    #[arg(long = "stream", value_name = "NAME:SHARDS", value_parser = parse_stream)]
    streams: Vec<(String, u32)>,
    /// keep everything in this folder; in memory without it
    #[arg(long)]
    dir: Option<PathBuf>,
    /// keep the registry in this folder; below the other one without it
    #[arg(long, value_name = "DIR")]
    registry_dir: Option<PathBuf>,
    /// what goes wrong, as in SubscribeToShard:reset:0.1 or PutRecords@clicks:throttle:next=3
    #[arg(long = "fault", value_name = "RULE")]
    faults: Vec<Rule>,
    /// how addresses are printed
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// Serve a schema registry.
#[derive(Debug, Args)]
pub struct RegistryArguments {
    /// where it listens
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// keep everything in this folder; in memory without it
    #[arg(long)]
    dir: Option<PathBuf>,
    /// what goes wrong, as in Registry.GetSchema:fail:next=3 or GetVersion@orders-value:delay=200
    #[arg(long = "fault", value_name = "RULE")]
    faults: Vec<Rule>,
    /// how the address is printed
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// `NAME:SHARDS`; one shard where only a name is given.
fn parse_stream(text: &str) -> std::result::Result<(String, u32), String> {
    let (name, shards) = text.rsplit_once(':').unwrap_or((text, "1"));
    let shards: u32 =
        shards.parse().map_err(|_| format!("`{shards}` is no number of shards: write NAME:SHARDS, as in clicks:4"))?;
    if shards == 0 || shards > 1000 {
        return Err(format!("{shards} shards: a stream has 1 to 1000"));
    }
    Ok((name.to_owned(), shards))
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::new(Kind::Unavailable, e.to_string())
}

async fn until_interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Runs `pelton emulator`.
pub fn serve(arguments: &Arguments) -> Result<()> {
    super::runtime()?.block_on(async {
        let options = pelton_emulator::Options {
            listen: arguments.listen,
            tls_listen: arguments.tls_listen,
            dir: arguments.dir.clone(),
            streams: arguments.streams.clone(),
            faults: arguments.faults.clone(),
            ..pelton_emulator::Options::default()
        };
        let running = pelton_emulator::start(options).await.map_err(failed)?;
        let below = arguments.dir.as_ref().map(|dir| dir.join("registry"));
        let options = registry::Options {
            listen: arguments.registry_listen,
            dir: arguments.registry_dir.clone().or(below),
            faults: arguments.faults.clone(),
            ..registry::Options::default()
        };
        let registry = registry::start_with(options).await.map_err(failed)?;
        announce(arguments, &running, &format!("http://{}", registry.addr()));
        until_interrupted().await;
        registry.stop().await;
        running.stop().await;
        Ok(())
    })
}

fn announce(arguments: &Arguments, running: &pelton_emulator::Running, registry: &str) {
    if arguments.format == Output::Json {
        let tls = running.tls_addr().map(|tls| format!("https://{tls}"));
        let kinesis = format!("http://{}", running.addr());
        let certificate = running.certificate_pem();
        println!("{}", json!({ "kinesis": kinesis, "tls": tls, "certificate": certificate, "registry": registry }));
        return;
    }
    println!("kinesis, firehose, dynamodb: http://{}", running.addr());
    if let Some(tls) = running.tls_addr() {
        println!("the same with TLS:           https://{tls}");
        println!("{}", running.certificate_pem().unwrap_or_default());
    }
    println!("schema registry:             {registry}");
    for (name, shards) in &arguments.streams {
        println!("stream {name}: {shards} shards");
    }
    println!("Ctrl-C ends it");
}

/// Runs `pelton registry`.
pub fn serve_registry(arguments: &RegistryArguments) -> Result<()> {
    super::runtime()?.block_on(async {
        let options = registry::Options {
            listen: arguments.listen,
            dir: arguments.dir.clone(),
            faults: arguments.faults.clone(),
            ..registry::Options::default()
        };
        let registry = registry::start_with(options).await.map_err(failed)?;
        match arguments.format {
            Output::Json => println!("{}", json!({ "registry": format!("http://{}", registry.addr()) })),
            Output::Text => println!("schema registry: http://{}\nCtrl-C ends it", registry.addr()),
        }
        until_interrupted().await;
        registry.stop().await;
        Ok(())
    })
}
