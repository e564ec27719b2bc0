//! The only door to AWS: endpoint, region, profile and role become a configuration that clients are made from.
//!
//! The rule: **every client has connections of its own**, because a slow reader must not take the window of another one; and
//! an endpoint on this machine needs no account: without credentials, dummy ones and a default region are used.
//! Left to others: what is called, and what is tried again beyond the SDK's own retries.

use std::{net::IpAddr, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, sts::AssumeRoleProvider};
use aws_sdk_kinesis::{
    config::{
        Credentials, Intercept, ProvideCredentials, SharedCredentialsProvider, SharedHttpClient, timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};

use crate::error::{Error, Kind, Result};

/// The region where an endpoint on this machine is said to be.
const LOOPBACK_REGION: &str = "us-east-1";
/// One try of a call to DynamoDB, and all tries of it.
const ONE_TRY: Duration = Duration::from_secs(3);
const ALL_TRIES: Duration = Duration::from_secs(8);

/// What a job says about AWS. Everything left out comes from the environment, as in every tool of AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// where the services are, for an emulator or a private endpoint
    pub endpoint: Option<String>,
    /// the region
    pub region: Option<String>,
    /// a profile of the shared configuration file
    pub profile: Option<String>,
    /// the name (ARN) of a role to assume
    pub role: Option<String>,
    /// a certificate authority to trust instead of the system's, as PEM
    pub ca_pem: Option<String>,
}

/// What clients are made from.
#[derive(Clone, Debug)]
pub struct Aws {
    config: SdkConfig,
    settings: Settings,
}

impl Settings {
    /// Whether the endpoint is on this machine.
    fn is_loopback(&self) -> bool {
        let Some(endpoint) = &self.endpoint else { return false };
        let after_scheme = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, rest)| rest);
        let authority = after_scheme.split('/').next().unwrap_or_default();
        let host = match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Whether nobody has named credentials, so that dummy ones do no harm.
    fn is_anonymous(&self, variable: impl Fn(&str) -> bool) -> bool {
        let named = ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"];
        self.is_loopback() && self.profile.is_none() && self.role.is_none() && !named.into_iter().any(variable)
    }

    /// Reads the environment and the shared configuration files. Runs on the shared runtime.
    pub async fn load(self) -> Result<Aws> {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        } else if self.is_loopback() && !set("AWS_REGION") && !set("AWS_DEFAULT_REGION") && self.profile.is_none() {
            loader = loader.region(Region::from_static(LOOPBACK_REGION));
        }
        if self.is_anonymous(set) {
            loader = loader.credentials_provider(dummy());
        }
        let mut config = loader.load().await;
        if config.region().is_none() {
            let message = "no AWS region is known: set `region:` in the job file or AWS_REGION in the environment; for an emulator, \
                           give its address with --endpoint";
            return Err(Error::new(Kind::Config, message));
        }
        if let Some(role) = &self.role {
            let provider = AssumeRoleProvider::builder(role).session_name("pelton").configure(&config).build().await;
            let cached = SharedCredentialsProvider::new(provider);
            config = config.into_builder().credentials_provider(cached).build();
        }
        Ok(Aws { config, settings: self })
    }
}

impl Aws {
    /// A client of Kinesis Data Streams with connections of its own.
    pub fn kinesis_client(&self) -> aws_sdk_kinesis::Client {
        aws_sdk_kinesis::Client::from_conf(self.kinesis_config().build())
    }

    /// The same, with somebody who sees every call.
    pub fn kinesis_client_seen_by(&self, seer: impl Intercept + 'static) -> aws_sdk_kinesis::Client {
        aws_sdk_kinesis::Client::from_conf(self.kinesis_config().interceptor(seer).build())
    }

    /// The region that clients use.
    pub fn region(&self) -> String {
        self.config.region().map_or_else(|| LOOPBACK_REGION.to_owned(), ToString::to_string)
    }

    /// Where a service is that no client of the SDK is made for, if not where it is by default; `variable` is how the environment names it.
    pub fn endpoint(&self, variable: &str) -> Option<String> {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        self.settings.endpoint.clone().or_else(|| named(variable)).or_else(|| named("AWS_ENDPOINT_URL"))
    }

    /// What requests are signed with, asked for again as it expires.
    pub fn credentials(&self) -> Option<SharedCredentialsProvider> {
        self.config.credentials_provider()
    }

    /// A client of Firehose with connections of its own.
    pub fn firehose_client(&self) -> aws_sdk_firehose::Client {
        let mut config = aws_sdk_firehose::config::Builder::from(&self.one_client());
        if let Some(endpoint) = &self.settings.endpoint {
            config.set_endpoint_url(Some(endpoint.clone()));
        }
        aws_sdk_firehose::Client::from_conf(config.build())
    }

    /// A client of Glue with connections of its own.
    #[cfg(feature = "glue")]
    pub fn glue_client(&self) -> aws_sdk_glue::Client {
        let mut config = aws_sdk_glue::config::Builder::from(&self.one_client());
        if let Some(endpoint) = &self.settings.endpoint {
            config.set_endpoint_url(Some(endpoint.clone()));
        }
        aws_sdk_glue::Client::from_conf(config.build())
    }

    /// A client of DynamoDB with connections of its own. It answers within a lease or fails: a call that hangs would cost one.
    pub fn dynamodb_client(&self) -> aws_sdk_dynamodb::Client {
        let times = TimeoutConfig::builder().operation_attempt_timeout(ONE_TRY).operation_timeout(ALL_TRIES).build();
        let mut config = aws_sdk_dynamodb::config::Builder::from(&self.one_client()).timeout_config(times);
        if let Some(endpoint) = &self.settings.endpoint {
            config.set_endpoint_url(Some(endpoint.clone()));
        }
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// An endpoint that somebody named goes here, where no variable of the environment (`AWS_ENDPOINT_URL_KINESIS`) overrides it.
    fn kinesis_config(&self) -> aws_sdk_kinesis::config::Builder {
        let mut config = aws_sdk_kinesis::config::Builder::from(&self.one_client());
        if let Some(endpoint) = &self.settings.endpoint {
            config.set_endpoint_url(Some(endpoint.clone()));
        }
        config
    }

    /// The configuration of one client: the certificate authority goes here, not to the calls for credentials.
    fn one_client(&self) -> SdkConfig {
        let mut builder = self.config.clone().into_builder();
        if let Some(pem) = &self.settings.ca_pem {
            builder.set_http_client(Some(trusting(pem)));
        }
        builder.build()
    }
}

/// What a failed call says, in one line: the service's code and words, or why it was not reached.
pub fn said<E, R>(failed: &SdkError<E, R>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    let text = match (failed.code(), failed.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => {
            let chain = std::iter::successors(Some(failed as &dyn std::error::Error), |error| error.source());
            chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        }
    };
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(LONGEST_WORDS).collect()
}

/// Of a message that a service gives.
const LONGEST_WORDS: usize = 400;

fn trusting(pem: &str) -> SharedHttpClient {
    let store = TrustStore::empty().with_pem_certificate(pem.as_bytes());
    let context = TlsContext::builder().with_trust_store(store).build().expect("a trust store alone is valid");
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(context).build_https()
}

fn dummy() -> impl ProvideCredentials + 'static {
    Credentials::builder()
        .access_key_id("pelton")
        .secret_access_key("pelton")
        .provider_name("endpoint on this machine")
        .build()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn at(endpoint: &str) -> Settings {
        Settings { endpoint: Some(endpoint.to_owned()), ..Settings::default() }
    }

    #[test]
    fn knows_an_endpoint_on_this_machine() {
        for endpoint in ["http://127.0.0.1:4567", "https://localhost:1/x", "http://[::1]:9", "127.0.0.2:80"] {
            assert!(at(endpoint).is_loopback(), "{endpoint}");
        }
        for endpoint in
            ["https://kinesis.eu-west-1.amazonaws.com", "http://127.0.0.1.example.com", "http://10.0.0.1", ""]
        {
            assert!(!at(endpoint).is_loopback(), "{endpoint}");
        }
        assert!(!Settings::default().is_loopback());
    }

    #[test]
    fn dummy_credentials_only_where_nobody_named_others() {
        let local = at("http://127.0.0.1:4567");
        assert!(local.is_anonymous(|_| false));
        assert!(!local.is_anonymous(|name| name == "AWS_PROFILE"));
        assert!(!Settings { role: Some("r".into()), ..local.clone() }.is_anonymous(|_| false));
        assert!(!at("https://example.com").is_anonymous(|_| false));
    }
}
