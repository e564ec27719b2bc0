//! Plugins by digest, beside the job's records.
//!
//! The rule: what is stored under a digest has that digest, whoever stored it; a plugin is durable before a record names it.
//! Left to others: what a record means (`swap`).

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Deployed, Deployment, fit};
use crate::{
    checkpoint::manifest::JobRecord,
    error::{Error, Kind, Result},
    job::graph::{self, Graph},
    objects::Objects,
    plugin::{Capability, Plugin, Plugins},
    source::Pending,
};

/// The deployed plugins of one job.
#[derive(Clone)]
pub struct PluginStore {
    graph: Arc<Graph>,
    objects: Arc<dyn Objects>,
    plugins: Arc<Plugins>,
    /// where files are put to be loaded
    scratch: PathBuf,
}

impl PluginStore {
    /// The plugins of this job in these objects; `scratch` is a folder of this worker's own.
    pub fn new(graph: Arc<Graph>, objects: Arc<dyn Objects>, plugins: Arc<Plugins>, scratch: PathBuf) -> Self {
        Self { graph, objects, plugins, scratch }
    }

    fn name(&self, digest: &str) -> String {
        format!("{}/plugins/{digest}", self.graph.job)
    }

    /// Stores a component; its digest.
    pub async fn keep(&self, component: Bytes) -> Result<String> {
        let digest = digest(&component);
        // There already, by whoever: what has a name has the digest, or is refused when it is read.
        self.objects.create(&self.name(&digest), component).await?;
        Ok(digest)
    }

    /// Stores the plugins that the job file names, as they were when the job was checked.
    pub async fn keep_files(&self) -> Result<()> {
        for node in &self.graph.nodes {
            let Some(plugin) = node.kind.plugin() else { continue };
            let (path, digest) = (plugin.path.clone(), &plugin.interface.digest);
            if self.objects.read(&self.name(digest), Some(0..1)).await?.is_some() {
                continue;
            }
            let failed =
                |e: std::io::Error| Error::new(Kind::Config, format!("plugin `{}`: {e}", plugin.path.display()));
            let component = crate::task::blocking(move || std::fs::read(&path)).await.map_err(failed)?;
            if self.keep(component.into()).await? != *digest {
                let words =
                    format!("the file {} was changed while the job started: start it again", plugin.path.display());
                return Err(Error::new(Kind::Config, words));
            }
        }
        Ok(())
    }

    /// Loads a stored component.
    pub async fn load(&self, digest: &str) -> Result<Plugin> {
        let name = self.name(digest);
        let found = self.objects.read(&name, None).await?;
        let place = || format!("the plugin {digest} at {}", self.objects.place());
        let bytes = found.ok_or_else(|| Error::new(Kind::State, format!("{} is gone: deploy it again", place())))?;
        if self::digest(&bytes) != digest {
            return Err(Error::new(Kind::State, format!("{} is damaged: deploy it again", place())));
        }
        let path = self.scratch.join(format!("{digest}.wasm"));
        let (file, scratch) = (path.clone(), self.scratch.clone());
        let written = crate::task::blocking(move || {
            std::fs::create_dir_all(&scratch).and_then(|()| std::fs::write(&file, &bytes))
        });
        written.await.map_err(|e| Error::new(Kind::State, format!("cannot write {}: {e}", path.display())))?;
        self.plugins.load(&path).await
    }
}

impl PluginStore {
    /// The plugin of a step in the job file.
    pub fn plugin_of(&self, step: &str) -> Result<&graph::Plugin> {
        let node = self.graph.nodes.iter().find(|node| node.name == step);
        let plugin = node.and_then(|node| node.kind.plugin());
        plugin.ok_or_else(|| {
            let with = self.graph.nodes.iter().filter(|node| node.kind.plugin().is_some());
            let with: Vec<&str> = with.map(|node| node.name.as_str()).collect();
            let has = match with.as_slice() {
                [] => "no step with one".to_owned(),
                steps => format!("the steps {}", steps.join(", ")),
            };
            Error::new(Kind::Config, format!("`{step}` is no step with a plugin: the job has {has}"))
        })
    }

    async fn fits(
        &self,
        step: &str,
        (from, to): (&Deployment, &Deployment),
        allow: Option<&BTreeSet<Capability>>,
    ) -> Result<()> {
        let of_job = self.plugin_of(step)?;
        let config = of_job.config.to_string();
        let missing = || Error::new(Kind::Internal, format!("the plugin of step `{step}` is not loaded"));
        let old = from.plugin(step).ok_or_else(missing)?;
        let new = to.plugin(step).ok_or_else(missing)?;
        let (old_says, new_says) = (old.describe(&config).await?, new.describe(&config).await?);
        let mut wrong = fit::differences((old.world(), &old_says), (new.world(), &new_says));
        wrong.extend(fit::unnamed(&new_says, self.graph.connectors.keys().map(String::as_str)));
        fit::refuse_unfit(step, &old_says, &new_says, &wrong)?;
        let Some(allow) = allow else { return Ok(()) };
        let may = of_job.allow.clone().unwrap_or_else(|| old.uses(&old_says));
        let beyond: Vec<_> = new.uses(&new_says).into_iter().filter(|use_| !may.contains(use_)).collect();
        fit::refuse_beyond(step, &new_says.name, &beyond, allow)
    }
}

/// SHA-256 in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Deployed for PluginStore {
    fn load<'a>(&'a self, record: &'a JobRecord, known: &'a Deployment) -> Pending<'a, Result<Deployment>> {
        Box::pin(async move {
            let mut deployment = Deployment::of(record.clone());
            for node in self.graph.nodes.iter().filter(|node| node.kind.plugin().is_some()) {
                for digest in record.needs(&node.name) {
                    if deployment.plugins.contains_key(digest) {
                        continue;
                    }
                    let plugin = match known.plugins.get(digest) {
                        Some(plugin) => plugin.clone(),
                        None => Self::load(self, digest).await.map_err(|e| e.at(format_args!("step {}", node.name)))?,
                    };
                    deployment.plugins.insert(digest.clone(), plugin);
                }
            }
            Ok(deployment)
        })
    }

    fn check<'a>(
        &'a self,
        from: &'a Deployment,
        to: &'a Deployment,
        allow: Option<&'a BTreeSet<Capability>>,
    ) -> Pending<'a, Result<()>> {
        Box::pin(async move {
            for step in to.differs(&from.record) {
                self.fits(step, (from, to), allow).await?;
            }
            Ok(())
        })
    }

    fn reaches(&self, partition: &str, step: &str) -> bool {
        // the one partition has every source
        let Some((source, _)) = partition.split_once('/') else { return true };
        self.graph.leads(source, step)
    }
}

/// Where steps run programs of the process instead of plugins, and nobody loads or checks those: nothing is loaded.
#[derive(Debug, Default)]
pub struct Nothing;

impl Deployed for Nothing {
    fn load<'a>(&'a self, record: &'a JobRecord, _: &'a Deployment) -> Pending<'a, Result<Deployment>> {
        Box::pin(std::future::ready(Ok(Deployment::of(record.clone()))))
    }

    fn check<'a>(
        &'a self,
        _: &'a Deployment,
        _: &'a Deployment,
        _: Option<&'a BTreeSet<Capability>>,
    ) -> Pending<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
