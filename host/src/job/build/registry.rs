//! From the registries that a job names to clients of them behind one cache.

use std::sync::Arc;

use crate::{
    aws::Settings as AwsSettings,
    clock::Clock,
    decode::registry::{
        FolderSource, Patience, Registry, SchemaSource,
        confluent::{ConfluentSource, Options},
    },
    error::{Error, Kind, Result},
    job::graph::{self, RegistryKind},
};

/// Clients of a job's registries, the first one first.
pub async fn connect(registry: &graph::Registry, clock: Arc<dyn Clock>) -> Result<Arc<Registry>> {
    let mut sources = Vec::new();
    let mut next = Some(registry);
    while let Some(registry) = next {
        sources.push(source(&registry.kind).await?);
        next = registry.secondary.as_deref();
    }
    Ok(Registry::of(sources, Patience::default(), clock))
}

async fn source(kind: &RegistryKind) -> Result<Box<dyn SchemaSource>> {
    Ok(match kind {
        RegistryKind::Confluent { urls, user, password, token, ca } => {
            let unread = |bad: std::io::Error| {
                let path = ca.as_ref().map_or_else(String::new, |path| path.display().to_string());
                Error::new(Kind::Config, format!("the certificates `{path}` of the registry cannot be read: {bad}"))
            };
            let options = Options {
                urls: urls.clone(),
                user: user.clone(),
                password: password.as_ref().map(|secret| secret.reveal().to_owned()),
                token: token.as_ref().map(|secret| secret.reveal().to_owned()),
                ca_pem: ca.as_ref().map(std::fs::read).transpose().map_err(unread)?,
            };
            Box::new(ConfluentSource::with(options)?)
        }
        RegistryKind::Folder { path } => Box::new(FolderSource::new(path.clone())),
        RegistryKind::Glue { registry, aws } => glue(registry, aws).await?,
    })
}

#[cfg(feature = "glue")]
async fn glue(registry: &str, aws: &graph::Aws) -> Result<Box<dyn SchemaSource>> {
    let graph::Aws { endpoint, region, profile, role } = aws.clone();
    let aws = AwsSettings { endpoint, region, profile, role, ca_pem: None }.load().await?;
    Ok(Box::new(crate::decode::registry::glue::GlueSource::new(registry, &aws)))
}

#[cfg(not(feature = "glue"))]
async fn glue(_: &str, _: &graph::Aws) -> Result<Box<dyn SchemaSource>> {
    Err(Error::new(Kind::Config, "this program was built without the registry of AWS Glue"))
}
