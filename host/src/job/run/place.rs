//! What the workers of a fleet share: the store of manifests and state, and the lease tables. Alone, the worker's own store is all.

use std::{path::PathBuf, sync::Arc};

use tokio::runtime::Handle;

use super::{Place, RunOptions, Surroundings, Tables};
use crate::job::{
    graph::{self, Graph, NodeKind, Partitioning, Store},
    swap::store::PluginStore,
    worker::ONE,
};
use crate::{
    aws,
    checkpoint::{
        committer::Committer,
        ledger::{LocalLedger, RemoteLedger},
        upkeep::Upkeep,
    },
    error::Result,
    lease::{dynamodb::DynamoDbLeases, keeper},
    objects::{Objects, folder::FolderObjects, s3},
    random,
    state::StateStore,
};

/// Reaches what the job names.
pub async fn reach(
    graph: &Graph,
    options: &RunOptions,
    around: &Surroundings,
    store: Arc<dyn StateStore>,
    committer: Committer,
    folder: PathBuf,
) -> Result<Place> {
    let letters = options.state_dir.clone();
    let Some(remote) = &graph.store else {
        let ledger = Arc::new(LocalLedger::new(store.clone(), committer));
        let plugins = plugins(graph, around, Arc::new(FolderObjects::open(&folder.join("plugins"))?), folder);
        return Ok(Place { store, ledger: ledger.clone(), records: ledger, leases: None, letters, plugins });
    };
    let objects = objects(remote, &around.runtime).await?;
    let plugins = plugins(graph, around, objects.clone(), folder);
    let upkeep = Upkeep::new(graph.job.as_str(), objects.clone(), around.runtime.clone());
    let ledger = Arc::new(RemoteLedger::new(graph.job.as_str(), objects, store.clone(), committer, upkeep));
    let leases = match &graph.leases {
        None => None,
        Some(leases) => Some((tables(graph, leases, options.endpoint.as_deref(), true).await?, keep(leases))),
    };
    Ok(Place { store, ledger: ledger.clone(), records: ledger, leases, letters, plugins })
}

fn plugins(
    graph: &Graph,
    around: &Surroundings,
    objects: Arc<dyn Objects>,
    folder: PathBuf,
) -> Option<(PluginStore, PathBuf)> {
    let store = PluginStore::new(Arc::new(graph.clone()), objects, around.plugins.clone(), folder.join("plugins"));
    Some((store, folder))
}

fn keep(leases: &graph::Leases) -> keeper::Options {
    let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let host = host.unwrap_or_else(|| "worker".to_owned());
    let worker = format!("{host}-{}-{:08x}", std::process::id(), random::bits() as u32);
    tracing::info!("in the lease table this worker is called {worker}");
    keeper::Options { worker, duration: leases.duration }
}

/// The store of a job.
pub async fn objects(store: &Store, runtime: &Handle) -> Result<Arc<dyn Objects>> {
    Ok(match store {
        Store::Folder(folder) => Arc::new(FolderObjects::open(folder)?),
        Store::S3 { bucket, prefix, aws } => {
            // the emulator of a run has no S3: its endpoint says nothing here
            let options = s3::Options { bucket: bucket.clone(), prefix: prefix.clone(), aws: settings(aws, None) };
            Arc::new(s3::S3Objects::connect(options, runtime.clone()).await?)
        }
    })
}

fn settings(aws: &graph::Aws, endpoint: Option<&str>) -> aws::Settings {
    aws::Settings {
        endpoint: aws.endpoint.clone().or_else(|| endpoint.map(str::to_owned)),
        region: aws.region.clone(),
        profile: aws.profile.clone(),
        role: aws.role.clone(),
        ca_pem: None,
    }
}

/// The lease tables of a job, by source; made where they are missing, if `create` says so.
pub async fn tables(graph: &Graph, leases: &graph::Leases, endpoint: Option<&str>, create: bool) -> Result<Tables> {
    let aws = settings(&leases.aws, endpoint).load().await?;
    let table = leases.table.clone().unwrap_or_else(|| graph.job.clone());
    let sources: Vec<&str> = match graph.partitioning {
        Partitioning::One { .. } => vec![ONE],
        Partitioning::PerShard { .. } => {
            let is_source = |node: &&graph::Node| matches!(node.kind, NodeKind::Source(_));
            graph.nodes.iter().filter(is_source).map(|node| node.name.as_str()).collect()
        }
    };
    let mut tables: Tables = Vec::new();
    for source in &sources {
        let name = if sources.len() == 1 { table.clone() } else { format!("{table}-{source}") };
        let reached = DynamoDbLeases::connect(aws.dynamodb_client(), &name, create).await?;
        tables.push(((*source).to_owned(), Arc::new(reached)));
    }
    Ok(tables)
}
