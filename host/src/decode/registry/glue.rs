//! AWS Glue Schema Registry: a schema of Glue is a subject here, its versions are named by UUIDs.
//!
//! The rule: a version counts only while it is `AVAILABLE`; one that is `PENDING` is no answer yet. Versions count from 1 to the
//! newest, those that were deleted are passed over.
//! Glue checks a new version against its checkpoint and not, as other registries do, against the last one: what it lets in is looked at
//! once more here, by whoever reads.

use std::{sync::Arc, time::Duration};

use aws_sdk_glue::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_schema_version::GetSchemaVersionOutput,
    types::{DataFormat, SchemaId as GlueSchema, SchemaVersionNumber, SchemaVersionStatus},
};
use pelton_schema::Mode;

use super::{Answer, Facts, Found, Outage, SchemaId, SchemaSource, Which, parsed, uuid, uuid_text};
use crate::{
    aws::{Aws, said},
    clock,
    source::Pending,
};

/// How often a version that was registered is looked at until it is available, and the pause between.
const LOOKS: (u32, Duration) = (10, Duration::from_secs(3));

/// So many versions that the mode did not let in are passed over on the way to the latest one.
const MOST_FAILED: usize = 50;

/// A client of one registry of Glue.
pub struct GlueSource {
    registry: String,
    client: Client,
}

impl GlueSource {
    /// A client. Glue's own default registry is `default-registry`.
    pub fn new(registry: &str, aws: &Aws) -> Self {
        Self { registry: registry.to_owned(), client: aws.glue_client() }
    }

    fn schema_id(&self, subject: &str) -> GlueSchema {
        GlueSchema::builder().registry_name(&self.registry).schema_name(subject).build()
    }

    async fn get(&self, subject: &str, which: Which) -> Answer {
        let mut number = match which {
            Which::Latest => SchemaVersionNumber::builder().latest_version(true).build(),
            Which::Number(number) => SchemaVersionNumber::builder().version_number(i64::from(number)).build(),
        };
        for _ in 0..MOST_FAILED {
            let ask = self.client.get_schema_version().schema_id(self.schema_id(subject));
            let version = match ask.schema_version_number(number).send().await {
                Ok(version) => version,
                Err(failed) => return unanswered(&failed).map(|()| Found::Unknown),
            };
            match (which, version.version_number()) {
                // What the mode did not let in has a number all the same.
                (Which::Latest, Some(at @ 2..)) if version.status() == Some(&SchemaVersionStatus::Failure) => {
                    number = SchemaVersionNumber::builder().version_number(at - 1).build();
                }
                _ => return found(&version, None),
            }
        }
        Ok(Found::Unusable(format!("its last {MOST_FAILED} versions are FAILUREs")))
    }

    /// The id of a definition that the schema has already.
    async fn known(&self, subject: &str, text: &str) -> Answer {
        let asked = self.client.get_schema_by_definition().schema_id(self.schema_id(subject)).schema_definition(text);
        match asked.send().await {
            Ok(known) => match known.schema_version_id() {
                Some(id) => self.by_uuid(id).await,
                None => Err(Outage::new("it knows the schema and does not say its id")),
            },
            Err(failed) => unanswered(&failed).map(|()| Found::Unknown),
        }
    }

    async fn by_uuid(&self, id: &str) -> Answer {
        match self.client.get_schema_version().schema_version_id(id).send().await {
            Ok(version) => found(&version, uuid(id)),
            Err(failed) => unanswered(&failed).map(|()| Found::Unknown),
        }
    }

    async fn registered(&self, subject: &str, text: &str) -> Answer {
        let add = self.client.register_schema_version().schema_id(self.schema_id(subject)).schema_definition(text);
        let id = match add.send().await {
            Ok(added) => added.schema_version_id().map(str::to_owned),
            Err(failed) if failed.code() == Some("EntityNotFoundException") => {
                let create = self
                    .client
                    .create_schema()
                    .registry_id(aws_sdk_glue::types::RegistryId::builder().registry_name(&self.registry).build());
                let create = create
                    .schema_name(subject)
                    .data_format(DataFormat::Avro)
                    .compatibility(aws_sdk_glue::types::Compatibility::Backward);
                match create.schema_definition(text).send().await {
                    Ok(created) => created.schema_version_id().map(str::to_owned),
                    Err(failed) => return unusable(&failed),
                }
            }
            Err(failed) => return unusable(&failed),
        };
        let id = id.ok_or_else(|| Outage::new("it took the schema and does not say its id"))?;
        for _ in 0..LOOKS.0 {
            match self.by_uuid(&id).await {
                Err(Outage { why, .. }) if why.contains("PENDING") => clock::sleep(LOOKS.1).await,
                Ok(Found::Unknown) => {
                    return Ok(Found::Unusable(
                        "it made the version, and its mode does not let it in (FAILURE)".to_owned(),
                    ));
                }
                done => return done,
            }
        }
        Err(Outage::new(format!("version {id} is not available yet")))
    }
}

/// A version as it was answered. `asked` is the id that was asked for: another one in the answer is none.
fn found(version: &GetSchemaVersionOutput, asked: Option<u128>) -> Answer {
    let id =
        version.schema_version_id().and_then(uuid).ok_or_else(|| Outage::new("it answers without a version id"))?;
    if asked.is_some_and(|asked| asked != id) {
        return Err(Outage::new(format!("it answers with version {} where another was asked for", uuid_text(id))));
    }
    match version.status() {
        Some(SchemaVersionStatus::Available) | None => {}
        Some(SchemaVersionStatus::Pending) => return Err(Outage::new("the version is PENDING")),
        Some(_) => return Ok(Found::Unknown),
    }
    if let Some(format) = version.data_format()
        && *format != DataFormat::Avro
    {
        return Ok(Found::Unusable(format!("it is of type {}, not Avro", format.as_str())));
    }
    let text = version.schema_definition().ok_or_else(|| Outage::new("it answers without a schema"))?;
    let name = version.schema_arn().and_then(|arn| arn.rsplit('/').next()).map(Arc::from);
    let number = version.version_number().and_then(|number| u32::try_from(number).ok());
    Ok(parsed(SchemaId::Glue(id), text, Vec::new(), name.zip(number).into_iter().collect()))
}

/// That there is nothing, or no answer.
fn unanswered<E: ProvideErrorMetadata + std::error::Error + 'static, R: std::fmt::Debug + 'static>(
    failed: &SdkError<E, R>,
) -> Answer<()> {
    match failed.code() {
        Some("EntityNotFoundException") => Ok(()),
        Some(code @ ("AccessDeniedException" | "UnrecognizedClientException" | "InvalidSignatureException")) => {
            Err(Outage { why: format!("it refuses who asks ({code})"), is_refusal: true })
        }
        Some(code) => Err(Outage::new(format!("{code}: {}", failed.message().unwrap_or_default()))),
        None => Err(Outage::new(said(failed))),
    }
}

/// What Glue says of a schema that it does not take, or no answer.
fn unusable<E: ProvideErrorMetadata + std::error::Error + 'static, R: std::fmt::Debug + 'static>(
    failed: &SdkError<E, R>,
) -> Answer {
    match failed.code() {
        Some("InvalidInputException" | "AlreadyExistsException" | "ResourceNumberLimitExceededException") => {
            Ok(Found::Unusable(failed.message().unwrap_or("it does not take the schema").to_owned()))
        }
        _ => unanswered(failed).map(|()| Found::Unusable("the registry is not there".to_owned())),
    }
}

impl SchemaSource for GlueSource {
    fn name(&self) -> String {
        format!("the Glue registry {}", self.registry)
    }

    fn answers(&self, id: SchemaId) -> bool {
        matches!(id, SchemaId::Glue(_))
    }

    fn by_id(&self, id: SchemaId) -> Pending<'_, Answer> {
        Box::pin(async move {
            match id {
                SchemaId::Glue(id) => self.by_uuid(&uuid_text(id)).await,
                _ => Ok(Found::Unknown),
            }
        })
    }

    fn versions<'a>(&'a self, subject: &'a str) -> Pending<'a, Answer<Vec<u32>>> {
        Box::pin(async move {
            let list = self.client.list_schema_versions().schema_id(self.schema_id(subject)).into_paginator().items();
            let listed: std::result::Result<Vec<_>, _> = list.send().collect().await;
            let mut numbers: Vec<u32> = match listed {
                Ok(versions) => versions
                    .iter()
                    .filter(|version| {
                        *version.status().unwrap_or(&SchemaVersionStatus::Available) == SchemaVersionStatus::Available
                    })
                    .filter_map(|version| u32::try_from(version.version_number()?).ok())
                    .collect(),
                Err(failed) => {
                    unanswered(&failed)?;
                    Vec::new()
                }
            };
            numbers.sort_unstable();
            Ok(numbers)
        })
    }

    fn version<'a>(&'a self, subject: &'a str, which: Which) -> Pending<'a, Answer> {
        Box::pin(self.get(subject, which))
    }

    fn mode<'a>(&'a self, subject: &'a str) -> Pending<'a, Answer<Option<Mode>>> {
        Box::pin(async move {
            match self.client.get_schema().schema_id(self.schema_id(subject)).send().await {
                Ok(schema) => Ok(schema.compatibility().and_then(|mode| Mode::parse(mode.as_str()))),
                Err(failed) => unanswered(&failed).map(|()| None),
            }
        })
    }

    fn register<'a>(&'a self, subject: &'a str, text: &'a str, may_register: bool) -> Pending<'a, Answer> {
        Box::pin(async move {
            match self.known(subject, text).await? {
                Found::Unknown if may_register => self.registered(subject, text).await,
                known => Ok(known),
            }
        })
    }

    fn facts<'a>(&'a self, subject: &'a str, version: u32) -> Pending<'a, Answer<Facts>> {
        Box::pin(async move {
            let number = SchemaVersionNumber::builder().version_number(i64::from(version)).build();
            let asked = self.client.query_schema_version_metadata().schema_id(self.schema_id(subject));
            match asked.schema_version_number(number).send().await {
                Ok(said) => {
                    let entries = said.metadata_info_map().into_iter().flatten();
                    let mut facts: Facts = entries
                        .map(|(key, info)| (key.clone(), info.metadata_value().unwrap_or_default().to_owned()))
                        .collect();
                    facts.sort();
                    Ok(facts)
                }
                Err(failed) => unanswered(&failed).map(|()| Facts::new()),
            }
        })
    }
}
