//! From the configuration to the library's clients: one that gives up at once, for reads that a
//! client waits for, and one that tries again, for writes.

use std::{env, pin::Pin, sync::Arc, time::Duration};

use config::{BucketProvider, TierConfig};
use object_store::{
    BackoffConfig, CredentialProvider, ObjectStore, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AwsCredential, Checksum},
    azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder,
    signer::Signer,
};
use protocol::error_chain::ErrorChain;
use reqwest::redirect::Policy;
use upstream::AwsKeys;
use url::Url;

use super::wire::Wire;
use crate::{error::TierError, metrics::TierMetrics};

/// How long a connection may take: the bucket is near, or of no use.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// How long a request may move nothing. Reads have stricter bounds of their own.
const IDLE_TIMEOUT: Duration = Duration::from_mins(2);

/// How often a write is tried again, and for how long.
const WRITE_RETRIES: usize = 4;
const WRITE_RETRY_TIME: Duration = Duration::from_secs(30);

/// The region of a bucket, where nothing says another one.
const DEFAULT_REGION: &str = "us-east-1";

/// The library's clients for one bucket.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    /// Gives up at the first failure.
    pub(super) impatient: Arc<dyn ObjectStore>,
    /// Tries again.
    pub(super) patient: Arc<dyn ObjectStore>,
    /// Makes URLs that clients may use.
    pub(super) signer: Option<Arc<dyn Signer>>,
    /// The keys of AWS, for a bucket of S3.
    pub(super) keys: Option<Arc<AwsKeys>>,
}

impl Clients {
    /// The keys of AWS, for a bucket of S3.
    pub(crate) fn keys(&self) -> Option<&AwsKeys> {
        self.keys.as_deref()
    }

    /// A bucket in memory.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self::slow(Duration::ZERO)
    }

    /// The same, which takes so long for each object that is read.
    #[cfg(test)]
    pub(crate) fn slow(wait_get_per_call: Duration) -> Self {
        use object_store::throttle::{ThrottleConfig, ThrottledStore};
        let config = ThrottleConfig {
            wait_get_per_call,
            ..ThrottleConfig::default()
        };
        let memory = object_store::memory::InMemory::new();
        let store = Arc::new(ThrottledStore::new(memory, config));
        Self {
            impatient: store.clone(),
            patient: store,
            signer: None,
            keys: None,
        }
    }

    /// Asks nobody.
    pub(crate) fn open(config: &TierConfig, metrics: &TierMetrics) -> Result<Self, TierError> {
        let wire = Wire::new(client()?, metrics.clone());
        let opened = match config.url.provider {
            BucketProvider::S3 => s3(config, &wire),
            BucketProvider::Gcs => gcs(config, &wire),
            BucketProvider::Azure => azure(config, &wire),
        };
        opened.map_err(|error| TierError::of(&error))
    }
}

/// The region that a bucket of S3 is asked in.
pub(crate) fn region(config: &TierConfig) -> String {
    let from_environment = || {
        ["AWS_REGION", "AWS_DEFAULT_REGION"]
            .iter()
            .find_map(|name| env::var(name).ok())
            .filter(|region| !region.is_empty())
    };
    let region = config.region.clone().or_else(from_environment);
    region.unwrap_or_else(|| DEFAULT_REGION.to_owned())
}

fn client() -> Result<reqwest::Client, TierError> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        TierError::Failed(ErrorChain(error).to_string())
    };
    let mut tls = trust::client(None, None).map_err(|error| failed(&error))?;
    // Many connections are faster than many streams on one.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .user_agent(concat!("archway/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(IDLE_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(20))
        .tcp_nodelay(true)
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| failed(&error))
}

fn no_retries() -> RetryConfig {
    RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    }
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: WRITE_RETRIES,
        retry_timeout: WRITE_RETRY_TIME,
    }
}

fn s3(config: &TierConfig, wire: &Wire) -> object_store::Result<Clients> {
    let region = region(config);
    let keys = Arc::new(AwsKeys::new(&region));
    let build = |retry: RetryConfig, endpoint: Option<&Url>| -> object_store::Result<AmazonS3> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&config.url.bucket)
            .with_region(&region)
            .with_virtual_hosted_style_request(!config.path_style)
            .with_credentials(Arc::new(Chain(Arc::clone(&keys))))
            // The store compares what it got with what was sent.
            .with_checksum_algorithm(Checksum::SHA256)
            .with_http_connector(wire.clone())
            .with_retry(retry);
        if let Some(endpoint) = endpoint {
            let allow_http = endpoint.scheme() == "http";
            builder = builder
                .with_endpoint(address(endpoint, config))
                .with_allow_http(allow_http);
        }
        if let Some(key) = &config.kms_key {
            builder = builder.with_sse_kms_encryption(key).with_bucket_key(true);
        }
        builder.build()
    };
    let endpoint = config.endpoint.as_ref();
    let for_clients = config.redirect_endpoint.as_ref().or(endpoint);
    Ok(Clients {
        impatient: Arc::new(build(no_retries(), endpoint)?),
        patient: Arc::new(build(retries(), endpoint)?),
        signer: Some(Arc::new(build(no_retries(), for_clients)?)),
        keys: Some(keys),
    })
}

/// The address of a server as the library wants it: with the bucket in the host, unless that is in the
/// path.
fn address(endpoint: &Url, config: &TierConfig) -> String {
    let origin = endpoint.origin().ascii_serialization();
    match origin.split_once("://") {
        Some((scheme, host)) if !config.path_style => {
            format!("{scheme}://{}.{host}", config.url.bucket)
        }
        _ => origin,
    }
}

fn gcs(config: &TierConfig, wire: &Wire) -> object_store::Result<Clients> {
    let build = |retry: RetryConfig| {
        let builder = GoogleCloudStorageBuilder::from_env()
            .with_bucket_name(&config.url.bucket)
            .with_http_connector(wire.clone())
            .with_retry(retry);
        match &config.endpoint {
            Some(endpoint) => builder.with_base_url(&endpoint.origin().ascii_serialization()),
            None => builder,
        }
        .build()
    };
    Ok(Clients {
        impatient: Arc::new(build(no_retries())?),
        patient: Arc::new(build(retries())?),
        signer: Some(Arc::new(build(no_retries())?)),
        keys: None,
    })
}

fn azure(config: &TierConfig, wire: &Wire) -> object_store::Result<Clients> {
    let build = |retry: RetryConfig| {
        let builder = MicrosoftAzureBuilder::from_env()
            .with_container_name(&config.url.bucket)
            .with_http_connector(wire.clone())
            .with_retry(retry);
        match &config.endpoint {
            Some(endpoint) => builder
                .with_endpoint(endpoint.origin().ascii_serialization())
                .with_allow_http(endpoint.scheme() == "http"),
            None => builder,
        }
        .build()
    };
    Ok(Clients {
        impatient: Arc::new(build(no_retries())?),
        patient: Arc::new(build(retries())?),
        signer: Some(Arc::new(build(no_retries())?)),
        keys: None,
    })
}

/// Gives the library the keys of the one chain.
#[derive(Debug)]
struct Chain(Arc<AwsKeys>);

impl CredentialProvider for Chain {
    type Credential = AwsCredential;

    fn get_credential<'provider, 'call>(
        &'provider self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'call>>
    where
        'provider: 'call,
        Self: 'call,
    {
        Box::pin(async move {
            let key = self.0.current().await;
            let key = key.map_err(|error| object_store::Error::Unauthenticated {
                path: String::new(),
                source: Box::new(error),
            })?;
            Ok(Arc::new(AwsCredential {
                key_id: key.id.clone(),
                secret_key: key.secret.clone(),
                token: key.session.clone(),
            }))
        })
    }
}
