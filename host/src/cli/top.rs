//! `pelton top`: the workers of a job as they run: who holds what, how far it is, what an epoch takes, and what keeps it from going on.
//!
//! The rule: a worker that does not answer is a row that says so; the others are shown. Nothing is changed.
//! Left to others: what a worker says of itself (`job::live::status`), how it is laid out (`page`).

use std::{collections::BTreeMap, io::IsTerminal, net::SocketAddr, time::Duration};

use clap::Args;
use futures::future::join_all;
use reqwest::Client;
use serde_json::json;

use super::{Output, line};
use crate::{
    clock,
    error::{Error, Kind, Result},
    job::live::status::Status,
};

mod page;

/// A worker that does not answer for so long does not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Look at running workers.
#[derive(Debug, Args)]
pub struct Arguments {
    /// where workers serve their figures, as `pelton run --metrics` says
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:9464")]
    workers: Vec<SocketAddr>,
    /// look once; a second after the first look, so that there are rates
    #[arg(long)]
    once: bool,
    /// a row for each shard too
    #[arg(long)]
    shards: bool,
    /// seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// how to print; as JSON: a line for each look
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// What was heard of each worker.
type Heard = Vec<(SocketAddr, std::result::Result<Status, String>)>;

/// Records by worker, to tell rates.
type Counts = BTreeMap<SocketAddr, u64>;

/// Runs the command.
pub fn top(arguments: &Arguments) -> Result<()> {
    let runtime = super::runtime()?;
    let client = Client::builder().no_proxy().timeout(PATIENCE).build();
    let client = client.map_err(|e| Error::new(Kind::Internal, format!("cannot make an HTTP client: {e}")))?;
    runtime.block_on(look(arguments, &client))
}

async fn look(arguments: &Arguments, client: &Client) -> Result<()> {
    let terminal = std::io::stdout().is_terminal() && arguments.format == Output::Text;
    let once = arguments.once || (arguments.format == Output::Text && !terminal);
    let (mut heard, mut every) = (ask(client, &arguments.workers).await, Duration::from_secs(1));
    loop {
        let before: Counts = heard.iter().filter_map(|(at, said)| Some((*at, said.as_ref().ok()?.records))).collect();
        if once && before.is_empty() {
            return Err(silent(&heard));
        }
        clock::sleep(every).await;
        heard = ask(client, &arguments.workers).await;
        if terminal && !once {
            line("\x1b[H\x1b[J");
        }
        match arguments.format {
            Output::Json => line(document(&heard)),
            Output::Text => page::lines(&heard, &before, every, arguments.shards).into_iter().for_each(line),
        }
        if once {
            return Ok(());
        }
        every = Duration::from_secs(arguments.every);
    }
}

async fn ask(client: &Client, workers: &[SocketAddr]) -> Heard {
    let one = async |at: &SocketAddr| (*at, status(client, *at).await);
    join_all(workers.iter().map(one)).await
}

async fn status(client: &Client, at: SocketAddr) -> std::result::Result<Status, String> {
    let said = |e: reqwest::Error| match () {
        () if e.is_timeout() => "it does not answer".to_owned(),
        () if e.is_connect() => "nothing listens there".to_owned(),
        () => e.to_string(),
    };
    let answer = client.get(format!("http://{at}/status")).send().await.map_err(said)?;
    let answer = answer.error_for_status().map_err(said)?;
    let bytes = answer.bytes().await.map_err(said)?;
    serde_json::from_slice(&bytes).map_err(|e| format!("what it says is no status of a worker of this version: {e}"))
}

fn silent(heard: &Heard) -> Error {
    let one = |(at, said): &(SocketAddr, std::result::Result<Status, String>)| {
        format!("{at}: {}", said.as_ref().err().map_or("", String::as_str))
    };
    let all: Vec<String> = heard.iter().map(one).collect();
    let words = format!(
        "no worker answers ({}): start each with `pelton run JOB --metrics=ADDR`, and give the addresses",
        all.join("; ")
    );
    Error::new(Kind::Unavailable, words)
}

fn document(heard: &Heard) -> serde_json::Value {
    let one = |(at, said): &(SocketAddr, std::result::Result<Status, String>)| match said {
        Ok(status) => json!({ "at": at.to_string(), "status": status }),
        Err(failed) => json!({ "at": at.to_string(), "failed": failed }),
    };
    json!({ "workers": heard.iter().map(one).collect::<Vec<_>>() })
}
