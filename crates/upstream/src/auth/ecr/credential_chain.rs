//! AWS credentials: environment, profile, web identity, container, instance, and a role assumed on
//! top.
//!
//! The order and the providers are the SDK's own. The chain around them is ours, because the SDK's
//! does not report which providers it tried and why each of them failed.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region, SdkConfig,
    default_provider::{use_dual_stack::use_dual_stack_provider, use_fips::use_fips_provider},
    ecs::EcsCredentialsProvider,
    environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider},
    imds,
    imds::credentials::ImdsCredentialsProvider,
    meta::region::ProvideRegion,
    profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig,
    retry::RetryConfig,
    sts::AssumeRoleProvider,
    timeout::TimeoutConfig,
    web_identity_token::WebIdentityTokenCredentialsProvider,
};
use aws_credential_types::provider::{
    self, ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future,
};
use aws_sdk_ecr::config::{IdentityCache, SharedHttpClient};
use aws_smithy_http_client::{
    Builder as HttpClient,
    tls::{self, rustls_provider::CryptoMode},
};
use config::Role;
use protocol::error_chain::ErrorChain;

/// How long one provider may take; packets to a metadata service that is not there get lost.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the whole chain may take, including a role on top of it. It is part of a client's wait.
const CHAIN_TIMEOUT: Duration = Duration::from_secs(7);

/// How long one attempt of a call may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long the instance metadata service, which is on this machine, may take to connect or answer.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// The advice for a container that cannot reach the metadata service.
const HOP_LIMIT_ADVICE: &str = "in a container the instance's metadata hop limit has to be 2 or more: \
    `aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 2`";

/// The name of the role's sessions in `CloudTrail`.
const ROLE_SESSION_NAME: &str = "archway";

/// Settings for calls in `region` with the credentials that the chain finds, or with `role`,
/// assumed with these.
pub(super) async fn config(region: &str, role: Option<&Role>) -> SdkConfig {
    let region = Region::new(region.to_owned());
    let ours = EnvironmentVariableRegionProvider::new().region().await;
    let home = home(ours, &region);
    let chain = SharedCredentialsProvider::new(CredentialChain::new(&provider_config(&home).await));
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    let own = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(chain.clone())
        .identity_cache(IdentityCache::lazy().load_timeout(CHAIN_TIMEOUT).build())
        .timeout_config(timeouts)
        .load()
        .await;
    let Some(role) = role else {
        return own;
    };
    let mut taken = AssumeRoleProvider::builder(&role.arn)
        .session_name(ROLE_SESSION_NAME)
        .region(home)
        .configure(&own);
    if let Some(id) = &role.external_id {
        taken = taken.external_id(id);
    }
    let taken = taken.build_from_provider(chain).await;
    own.into_builder()
        .credentials_provider(SharedCredentialsProvider::new(taken))
        .build()
}

/// The region whose STS is asked: `ours` from `AWS_REGION`, since clients choose the registry's.
/// STS knows only its own partition, so for a registry in another one it is the registry's.
fn home(ours: Option<Region>, registrys: &Region) -> Region {
    ours.filter(|ours| partition(ours) == partition(registrys))
        .unwrap_or_else(|| registrys.clone())
}

/// Settings for the providers that ask STS in `region`, at the kind of endpoint that the
/// environment or the profile names.
async fn provider_config(region: &Region) -> ProviderConfig {
    let config = ProviderConfig::without_region();
    let fips = use_fips_provider(&config).await;
    let dual_stack = use_dual_stack_provider(&config).await;
    config
        .with_region(Some(region.clone()))
        .with_use_fips(fips)
        .with_use_dual_stack(dual_stack)
        .with_retry_config(RetryConfig::standard().with_max_attempts(2))
}

/// A client for the metadata services on this machine. It ignores the proxy of the environment: a
/// proxy cannot reach these addresses, and must not see the token that goes there.
fn direct() -> SharedHttpClient {
    HttpClient::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
        .build_https()
}

/// The prefixes of region names by which partitions differ.
const PARTITION_PREFIXES: [&str; 7] = [
    "cn-", "us-gov-", "eusc-", "us-iso-", "us-isob-", "eu-isoe-", "us-isof-",
];

/// The partition of a region; `None` is the commercial one.
fn partition(region: &Region) -> Option<&'static str> {
    let is_its = |prefix: &&str| region.as_ref().starts_with(*prefix);
    PARTITION_PREFIXES.into_iter().find(is_its)
}

/// The providers in their order. One that is not configured is skipped; one that is configured and
/// fails ends the chain, so that the node's identity never replaces a broken pod identity.
#[derive(Debug)]
struct CredentialChain {
    providers: Vec<NamedProvider>,
}

#[derive(Debug)]
struct NamedProvider {
    name: &'static str,
    provider: SharedCredentialsProvider,
}

/// The name of the provider that a container cannot reach without a setting.
const INSTANCE_PROVIDER: &str = "instance metadata (IMDSv2)";

impl CredentialChain {
    fn new(config: &ProviderConfig) -> Self {
        let nearby = config.clone().with_http_client(direct());
        let metadata = imds::Client::builder()
            .configure(&nearby)
            .max_attempts(2)
            .connect_timeout(METADATA_TIMEOUT)
            .read_timeout(METADATA_TIMEOUT)
            .build();
        let profile = ProfileFileCredentialsProvider::builder().configure(config);
        let web_identity = WebIdentityTokenCredentialsProvider::builder().configure(config);
        let container = EcsCredentialsProvider::builder().configure(&nearby);
        let instance = ImdsCredentialsProvider::builder()
            .configure(&nearby)
            .imds_client(metadata);
        let providers = vec![
            NamedProvider::new("environment", EnvironmentVariableCredentialsProvider::new()),
            NamedProvider::new("profile", profile.build()),
            NamedProvider::new("web identity (IRSA)", web_identity.build()),
            NamedProvider::new("container (ECS, EKS Pod Identity)", container.build()),
            NamedProvider::new(INSTANCE_PROVIDER, instance.build()),
        ];
        Self { providers }
    }

    async fn credentials(&self) -> provider::Result {
        let mut tried = Vec::new();
        for named in &self.providers {
            let asked = named.provider.provide_credentials();
            let (reason, is_configured) = match tokio::time::timeout(PROVIDER_TIMEOUT, asked).await
            {
                Ok(Ok(credentials)) => return Ok(credentials),
                Ok(Err(error)) => {
                    let is_configured = !matches!(error, CredentialsError::CredentialsNotLoaded(_));
                    (ErrorChain(&error).to_string(), is_configured)
                }
                Err(_) => ("no answer".to_owned(), true),
            };
            tried.push(named.describe(&reason));
            if is_configured {
                break;
            }
        }
        Err(CredentialsError::not_loaded(format!(
            "no AWS credentials; tried {}",
            tried.join("; ")
        )))
    }
}

impl NamedProvider {
    fn new(name: &'static str, provider: impl ProvideCredentials + 'static) -> Self {
        Self {
            name,
            provider: SharedCredentialsProvider::new(provider),
        }
    }

    fn describe(&self, reason: &str) -> String {
        // The hop limit is not at fault if the service is disabled or answers that there is no
        // role.
        let reached = reason.contains("disabled") || reason.contains("404");
        if self.name == INSTANCE_PROVIDER && !reached {
            format!("{}: {reason} ({HOP_LIMIT_ADVICE})", self.name)
        } else {
            format!("{}: {reason}", self.name)
        }
    }
}

impl ProvideCredentials for CredentialChain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sts_is_asked_in_our_own_region_unless_the_registry_is_in_another_partition() {
        let region = Region::from_static;
        for (ours, registrys, asked) in [
            (Some("eu-west-1"), "us-east-1", "eu-west-1"),
            (Some("eu-west-1"), "ap-south-2", "eu-west-1"),
            (Some("cn-north-1"), "cn-northwest-1", "cn-north-1"),
            (Some("eu-west-1"), "cn-north-1", "cn-north-1"),
            (Some("us-east-1"), "us-gov-west-1", "us-gov-west-1"),
            (Some("us-iso-east-1"), "us-isob-east-1", "us-isob-east-1"),
            (None, "us-east-1", "us-east-1"),
        ] {
            let found = home(ours.map(region), &region(registrys));
            assert_eq!(found, region(asked), "{ours:?}, {registrys}");
        }
    }
}
