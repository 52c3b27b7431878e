//! Who we are towards AWS: environment, profile, web identity, container, instance, and a role taken on top of that.
//!
//! The order and the parts are the SDK's own. The chain around them is ours, because the SDK's keeps to itself what it has
//! tried and why each part had nothing.

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

/// How long one part of the chain may take; a metadata service that is not there swallows what is sent to it.
const PART_PATIENCE: Duration = Duration::from_secs(5);

/// How long the whole chain may take, a role on top of it included.
const CHAIN_PATIENCE: Duration = Duration::from_secs(12);

/// One try of a call.
const ATTEMPT: Duration = Duration::from_secs(4);

/// How long the instance metadata service, which is on this machine, may take for anything.
const METADATA_PATIENCE: Duration = Duration::from_secs(1);

const HOP_LIMIT: &str = "in a container the instance's metadata hop limit has to be 2 or more: \
    `aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 2`";

/// How the role's sessions are called in `CloudTrail`.
const SESSION: &str = "archway";

/// Settings for calls in `region` as whom the chain finds, or as `role` by way of that.
pub(super) async fn config(region: &str, role: Option<&Role>) -> SdkConfig {
    let region = Region::new(region.to_owned());
    let ours = EnvironmentVariableRegionProvider::new().region().await;
    let home = home(ours, &region);
    let chain = SharedCredentialsProvider::new(CredentialChain::new(&provider_config(&home).await));
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT)
        .build();
    let own = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(chain.clone())
        .identity_cache(IdentityCache::lazy().load_timeout(CHAIN_PATIENCE).build())
        .timeout_config(timeouts)
        .load()
        .await;
    let Some(role) = role else {
        return own;
    };
    let mut taken = AssumeRoleProvider::builder(&role.arn)
        .session_name(SESSION)
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

/// The region whose STS is asked who we are: `ours`, as `AWS_REGION` has it, since the other is named by whoever pulls. STS knows
/// nothing of other partitions, so there it is the registry's.
fn home(ours: Option<Region>, registrys: &Region) -> Region {
    ours.filter(|ours| partition(ours) == partition(registrys))
        .unwrap_or_else(|| registrys.clone())
}

/// How the parts of the chain ask STS in `region`: at the kind of endpoint that the environment or the profile wants.
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

/// A client for what hands out identities on this machine. It uses no proxy, whatever the environment says: a proxy cannot reach
/// these addresses, and is not to see the token that goes there.
fn direct() -> SharedHttpClient {
    HttpClient::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
        .build_https()
}

/// What the names of a partition's regions begin with.
const PARTITIONS: [&str; 7] = [
    "cn-", "us-gov-", "eusc-", "us-iso-", "us-isob-", "eu-isoe-", "us-isof-",
];

/// The partition of a region; `None` is the commercial one.
fn partition(region: &Region) -> Option<&'static str> {
    let is_its = |prefix: &&str| region.as_ref().starts_with(*prefix);
    PARTITIONS.into_iter().find(is_its)
}

/// The parts, asked in order. One that is not set up is passed over; one that is set up and fails is an error, so that a broken
/// pod identity is never replaced by the node's.
#[derive(Debug)]
struct CredentialChain {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: &'static str,
    provider: SharedCredentialsProvider,
}

/// The name of the part that a container cannot reach without a setting.
const INSTANCE: &str = "instance metadata (IMDSv2)";

impl CredentialChain {
    fn new(config: &ProviderConfig) -> Self {
        let nearby = config.clone().with_http_client(direct());
        let metadata = imds::Client::builder()
            .configure(&nearby)
            .max_attempts(2)
            .connect_timeout(METADATA_PATIENCE)
            .read_timeout(METADATA_PATIENCE)
            .build();
        let profile = ProfileFileCredentialsProvider::builder().configure(config);
        let web_identity = WebIdentityTokenCredentialsProvider::builder().configure(config);
        let container = EcsCredentialsProvider::builder().configure(&nearby);
        let instance = ImdsCredentialsProvider::builder()
            .configure(&nearby)
            .imds_client(metadata);
        let parts = vec![
            Part::new("environment", EnvironmentVariableCredentialsProvider::new()),
            Part::new("profile", profile.build()),
            Part::new("web identity (IRSA)", web_identity.build()),
            Part::new("container (ECS, EKS Pod Identity)", container.build()),
            Part::new(INSTANCE, instance.build()),
        ];
        Self { parts }
    }

    async fn credentials(&self) -> provider::Result {
        let mut tried = Vec::new();
        for part in &self.parts {
            let asked = part.provider.provide_credentials();
            let (reason, is_set_up) = match tokio::time::timeout(PART_PATIENCE, asked).await {
                Ok(Ok(credentials)) => return Ok(credentials),
                Ok(Err(error)) => {
                    let is_set_up = !matches!(error, CredentialsError::CredentialsNotLoaded(_));
                    (ErrorChain(&error).to_string(), is_set_up)
                }
                Err(_) => ("it did not answer".to_owned(), true),
            };
            tried.push(part.why(&reason));
            if is_set_up {
                break;
            }
        }
        Err(CredentialsError::not_loaded(format!(
            "no AWS credentials; tried {}",
            tried.join("; ")
        )))
    }
}

impl Part {
    fn new(name: &'static str, provider: impl ProvideCredentials + 'static) -> Self {
        Self {
            name,
            provider: SharedCredentialsProvider::new(provider),
        }
    }

    fn why(&self, reason: &str) -> String {
        // With the metadata service switched off, or answering that there is no role, hops are not what is wrong.
        let reached = reason.contains("disabled") || reason.contains("404");
        if self.name == INSTANCE && !reached {
            format!("{}: {reason} ({HOP_LIMIT})", self.name)
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
