//! Objects in a bucket of S3, or of a server that speaks its protocol and has conditional writes.
//!
//! The rule: an object is put with `If-None-Match: *`, which the service decides; a request that was sent again after its answer was lost
//! may find its own object, so "it exists" is never taken for "it is another's": the owner reads it. A bucket that is not there is a
//! failure, never a bucket without objects.
//! Credentials, region and endpoint are found as for every other service of AWS (`aws`).

use std::{ops::Range, sync::Arc};

use aws_sdk_kinesis::config::{ProvideCredentials, SharedCredentialsProvider};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{
    ClientOptions, CredentialProvider, Error as StoreError, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AwsCredential},
    path::Path,
};
use tokio::runtime::Handle;

use super::{Created, Objects, check_name};
use crate::{
    aws,
    error::{Error, Kind, Result},
    source::Pending,
    task,
};

/// Which bucket, and where in it.
#[derive(Clone, Debug)]
pub struct Options {
    /// the bucket
    pub bucket: String,
    /// what every name begins with in the bucket: empty, or parts joined by `/` without one at either end
    pub prefix: String,
    /// endpoint, region, profile, role
    pub aws: aws::Settings,
}

/// A bucket.
#[derive(Clone)]
pub struct S3Objects {
    store: AmazonS3,
    bucket: String,
    prefix: String,
    runtime: Handle,
}

impl S3Objects {
    /// Makes a client; nothing is sent yet. Requests run on `runtime`.
    pub async fn connect(options: Options, runtime: Handle) -> Result<Self> {
        let Options { bucket, prefix, aws: settings } = options;
        let loaded = settings.load().await?;
        let failed = |e: StoreError| Error::new(Kind::Config, format!("the store s3://{bucket}/{prefix}: {e}"));
        let mut builder =
            AmazonS3Builder::new().with_bucket_name(&bucket).with_region(loaded.region()).with_retry(RetryConfig {
                max_retries: 3,
                retry_timeout: std::time::Duration::from_secs(20),
                ..RetryConfig::default()
            });
        if let Some(endpoint) = loaded.endpoint("AWS_ENDPOINT_URL_S3") {
            let options = ClientOptions::new().with_allow_http(endpoint.starts_with("http://"));
            builder =
                builder.with_endpoint(endpoint).with_virtual_hosted_style_request(false).with_client_options(options);
        }
        if let Some(from) = loaded.credentials() {
            builder = builder.with_credentials(Arc::new(Credentials { bucket: bucket.clone(), from }));
        }
        let store = builder.build().map_err(failed)?;
        Ok(Self { store, bucket, prefix, runtime })
    }

    fn path(&self, name: &str) -> Path {
        if self.prefix.is_empty() { Path::from(name) } else { Path::from(format!("{}/{name}", self.prefix)) }
    }

    fn failed(&self, what: &str, name: &str, error: &StoreError) -> Error {
        let refused = matches!(error, StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. });
        let advice = match code(error).as_deref() {
            Some(NO_BUCKET) => format!("; there is no bucket `{}`: make it, or mend `store:` in the job file", self.bucket),
            Some("ExpiredToken") => "; renew the credentials".to_owned(),
            code if refused || code.is_some_and(|code| REFUSALS.contains(&code)) => {
                "; check the credentials, and that they allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket"
                    .to_owned()
            }
            _ => String::new(),
        };
        let words = format!("the store {}: `{name}` cannot be {what}: {}{advice}", self.place(), said(error));
        Error::new(Kind::Unavailable, words)
    }

    /// The request runs where the network is served; whoever asked may go away meanwhile.
    async fn request<T: Send + 'static>(
        &self,
        work: impl Future<Output = std::result::Result<T, StoreError>> + Send + 'static,
    ) -> std::result::Result<T, StoreError> {
        task::spawn(&self.runtime, work).join().await
    }
}

/// Codes of the service.
const NO_BUCKET: &str = "NoSuchBucket";
const REFUSALS: &[&str] = &["AccessDenied", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"];

/// Part of an answer in XML. It is in the words of the error, and nowhere else.
fn part_of_answer(error: &StoreError, tag: &str) -> Option<String> {
    let text = error.to_string();
    let (_, rest) = text.split_once(&format!("<{tag}>"))?;
    Some(rest.split_once('<')?.0.to_owned())
}

fn code(error: &StoreError) -> Option<String> {
    part_of_answer(error, "Code")
}

/// The code and the words of the service, or why it was not reached.
fn said(error: &StoreError) -> String {
    let text = match (code(error), part_of_answer(error, "Message")) {
        (Some(code), words) => format!("{code}: {}", words.unwrap_or_default()),
        (None, _) => {
            let cause = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source()).last();
            format!("{error}: {}", cause.unwrap_or(error))
        }
    };
    text.chars().take(LONGEST_WORDS).collect()
}

/// Of a message that a service gives.
const LONGEST_WORDS: usize = 600;

impl Objects for S3Objects {
    fn create<'a>(&'a self, name: &'a str, bytes: Bytes) -> Pending<'a, Result<Created>> {
        Box::pin(async move {
            check_name(name)?;
            let (store, path) = (self.store.clone(), self.path(name));
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            // 412 alone says that the object is there (it comes wrapped); 409 says that somebody is about to make it, perhaps in vain
            match self.request(async move { store.put_opts(&path, bytes.into(), options).await }).await {
                Ok(_) => Ok(Created::Done),
                Err(StoreError::AlreadyExists { source, .. }) if source.is::<StoreError>() => Ok(Created::Exists),
                Err(e) => Err(self.failed("created", name, &e)),
            }
        })
    }

    fn read<'a>(&'a self, name: &'a str, part: Option<Range<u64>>) -> Pending<'a, Result<Option<Bytes>>> {
        Box::pin(async move {
            let (store, path) = (self.store.clone(), self.path(name));
            let options = GetOptions { range: part.map(GetRange::Bounded), ..GetOptions::default() };
            match self.request(async move { store.get_opts(&path, options).await?.bytes().await }).await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(e @ StoreError::NotFound { .. }) if code(&e).as_deref() != Some(NO_BUCKET) => Ok(None),
                Err(e) => Err(self.failed("read", name, &e)),
            }
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, after: &'a str) -> Pending<'a, Result<Vec<String>>> {
        Box::pin(async move {
            let (store, from, after) = (self.store.clone(), self.path(prefix), after.to_owned());
            let own = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
            let listed = self.request(async move { store.list(Some(&from)).try_collect::<Vec<_>>().await });
            let objects = listed.await.map_err(|e| self.failed("listed", prefix, &e))?;
            let names = objects.into_iter().filter_map(|object| object.location.as_ref().get(own..).map(str::to_owned));
            let mut names: Vec<String> = names.filter(|name| *name > after).collect();
            names.sort_unstable();
            Ok(names)
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> Pending<'a, Result<()>> {
        Box::pin(async move {
            let (store, path) = (self.store.clone(), self.path(name));
            match self.request(async move { store.delete(&path).await }).await {
                Ok(()) => Ok(()),
                Err(e @ StoreError::NotFound { .. }) if code(&e).as_deref() != Some(NO_BUCKET) => Ok(()),
                Err(e) => Err(self.failed("deleted", name, &e)),
            }
        })
    }

    fn place(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }
}

/// The credentials that every client of the process uses; they are asked for again as they expire.
struct Credentials {
    bucket: String,
    from: SharedCredentialsProvider,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    fn get_credential<'life, 'asynch>(
        &'life self,
    ) -> std::pin::Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'asynch>>
    where
        'life: 'asynch,
        Self: 'asynch,
    {
        Box::pin(async move {
            let unauthenticated = |e| StoreError::Unauthenticated { path: self.bucket.clone(), source: Box::new(e) };
            let given = self.from.provide_credentials().await.map_err(unauthenticated)?;
            Ok(Arc::new(AwsCredential {
                key_id: given.access_key_id().to_owned(),
                secret_key: given.secret_access_key().to_owned(),
                token: given.session_token().map(str::to_owned),
            }))
        })
    }
}
