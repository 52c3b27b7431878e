//! ECR's tokens: one per principal, region and API, valid for every account the principal may read.
//!
//! A token lives twelve hours. It is renewed in the background at about half of that, kept while
//! renewal fails, and renewed at once, though never in a loop, when a registry refuses it.

mod api;
mod credential_chain;
mod keys;
mod push_times;

use std::{sync::Arc, time::Duration};

use aws_config::meta::region::RegionProviderChain;
use config::{EcrAuth, EcrPublicAuth, Role};
use http::HeaderValue;
use manifest_model::Digest;
use moka::sync::Cache;
use protocol::{
    error_chain::ErrorChain,
    host::{EcrVariant, Host},
};
use tally::UpstreamTally;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use self::api::Api;
pub use self::keys::{AwsKey, AwsKeys, NoAwsKey};
pub(crate) use self::push_times::EcrRepository;
pub use self::push_times::{ImagePushTimes, PushTimesError};
use super::token_slot::{RenewalPermit, Token, TokenSlot, TokenState};
use crate::error::{EcrError, TokenError};

/// How long the API may take, including the credential chain behind it: less than a client waits, so
/// that the failure is remembered.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(8);

/// Identities kept at the same time: every AWS region, a few times over. Clients choose the
/// regions, so there is a bound; above it, the identities in most use are kept.
const MAX_IDENTITIES: u64 = 256;

/// How long an unused identity is kept: its token has expired by then.
const IDENTITY_IDLE_TIMEOUT: Duration = Duration::from_hours(12);

/// The scope of a token: API, region and principal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EcrKey {
    service: Service,
    endpoint: Option<String>,
    role: Option<Role>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Service {
    /// All private registries of a region.
    Private { region: String, variant: EcrVariant },
    /// ECR Public, whose API is in one region only.
    Public,
}

impl EcrKey {
    pub(super) fn of(auth: &EcrAuth) -> Self {
        Self {
            service: Service::Private {
                region: auth.region.clone(),
                variant: auth.variant,
            },
            endpoint: auth.endpoint.as_ref().map(|url| url.as_str().to_owned()),
            role: auth.role.clone(),
        }
    }

    pub(super) fn of_public(auth: &EcrPublicAuth) -> Self {
        Self {
            service: Service::Public,
            endpoint: auth.endpoint.as_ref().map(|url| url.as_str().to_owned()),
            role: auth.role.clone(),
        }
    }

    fn region(&self) -> &str {
        match &self.service {
            Service::Private { region, .. } => region,
            Service::Public => "us-east-1",
        }
    }
}

/// All ECR tokens of this process.
#[derive(Debug)]
pub struct EcrTokens {
    identities: Cache<EcrKey, Arc<Identity>>,
    /// Renewals in the background. They have a timeout, and shutdown need not wait for them.
    renewals: TaskTracker,
}

/// A principal in a region: its token, and the API that issues it.
#[derive(Debug)]
struct Identity {
    slot: TokenSlot,
    api: Api,
}

/// The region of this machine, from the environment, the profile or the instance.
pub async fn own_region() -> Option<String> {
    let region = RegionProviderChain::default_provider().region().await?;
    Some(region.as_ref().to_owned())
}

impl EcrTokens {
    /// The token to send. While renewal fails, that is the old one: it may be valid for hours yet,
    /// and the registry refuses it when it is not.
    pub(super) async fn current(
        &self,
        key: &EcrKey,
        tally: &UpstreamTally,
    ) -> Result<HeaderValue, TokenError> {
        let identity = self.identity(key);
        match identity.slot.check() {
            TokenState::Good(header) => Ok(header),
            TokenState::Due(header, permit) => {
                let tally = tally.clone();
                self.renewals
                    .spawn(async move { identity.renew_in_background(permit, &tally).await });
                Ok(header)
            }
            TokenState::Expired(old) => {
                let fetch = identity.fetch(tally);
                let renewed = identity.slot.renew(old.as_ref(), fetch).await;
                match (renewed, old) {
                    (Err(_), Some(old)) => Ok(old),
                    (renewed, _) => renewed,
                }
            }
            TokenState::Failed(error) => Err(error),
        }
    }

    /// A token other than `refused`; `None` if a new one would not help, because the refused one is
    /// new.
    pub(super) async fn renew(
        &self,
        key: &EcrKey,
        refused: Option<&HeaderValue>,
        tally: &UpstreamTally,
    ) -> Result<Option<HeaderValue>, TokenError> {
        let identity = self.identity(key);
        identity.slot.force(refused, identity.fetch(tally)).await
    }

    /// When images were pushed, as far as ECR tells this identity.
    pub(crate) async fn push_times(
        &self,
        key: &EcrKey,
        repository: EcrRepository<'_>,
        digests: &[Digest],
    ) -> ImagePushTimes {
        let identity = self.identity(key);
        identity.api.push_times(repository, digests).await
    }

    /// The registry of the account that this identity belongs to.
    pub async fn own_registry(&self, auth: &EcrAuth) -> Result<Host, TokenError> {
        let identity = self.identity(&EcrKey::of(auth));
        let asked = tokio::time::timeout(TOKEN_TIMEOUT, Box::pin(identity.api.own_registry()));
        let answer = asked.await.unwrap_or_else(|_| {
            Err(EcrError::Timeout {
                call: identity.api.to_string(),
                after: TOKEN_TIMEOUT,
            })
        });
        answer.map_err(|error| TokenError::Ecr(Arc::new(error)))
    }

    fn identity(&self, key: &EcrKey) -> Arc<Identity> {
        self.identities.get_with_by_ref(key, || {
            Arc::new(Identity {
                slot: TokenSlot::default(),
                api: Api::new(key.clone()),
            })
        })
    }
}

impl Default for EcrTokens {
    fn default() -> Self {
        let identities = Cache::builder()
            .max_capacity(MAX_IDENTITIES)
            .time_to_idle(IDENTITY_IDLE_TIMEOUT);
        Self {
            identities: identities.build(),
            renewals: TaskTracker::new(),
        }
    }
}

impl Identity {
    async fn renew_in_background(&self, permit: RenewalPermit, tally: &UpstreamTally) {
        // `fetch` logs a failure, and the old token stays in use.
        let _ = self.slot.fetch(permit, self.fetch(tally)).await;
    }

    async fn fetch(&self, tally: &UpstreamTally) -> Result<Token, TokenError> {
        // Boxed: the SDK's futures are so large that those of every request would be, too.
        let asked = tokio::time::timeout(TOKEN_TIMEOUT, Box::pin(self.api.token())).await;
        let outcome = asked.unwrap_or_else(|_| {
            Err(EcrError::Timeout {
                call: self.api.to_string(),
                after: TOKEN_TIMEOUT,
            })
        });
        tally.token(outcome.as_ref().ok().map(Token::expires_at));
        match outcome {
            Ok(token) => {
                info!(api = %self.api, "got a new ECR token");
                Ok(token)
            }
            Err(error) => {
                let reason = ErrorChain(&error);
                warn!(api = %self.api, %reason, "no ECR token obtained; the old one, if any, stays in use");
                Err(TokenError::Ecr(Arc::new(error)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(region: &str, role: Option<&str>) -> EcrKey {
        EcrKey::of(&EcrAuth {
            endpoint: None,
            region: region.to_owned(),
            variant: EcrVariant::default(),
            role: role.map(|arn| Role {
                arn: arn.to_owned(),
                external_id: None,
            }),
        })
    }

    #[test]
    fn a_token_is_for_one_principal_in_one_region() {
        let tokens = EcrTokens::default();
        let own = tokens.identity(&key("eu-west-1", None));
        assert!(Arc::ptr_eq(&own, &tokens.identity(&key("eu-west-1", None))));
        for other in [
            key("cn-north-1", None),
            key("eu-west-1", Some("arn:aws:iam::123456789012:role/pull")),
            EcrKey::of_public(&EcrPublicAuth {
                endpoint: None,
                role: None,
            }),
        ] {
            assert!(!Arc::ptr_eq(&own, &tokens.identity(&other)), "{other:?}");
        }
    }

    #[test]
    fn regions_that_are_only_named_take_bounded_memory_and_evict_no_token_in_use() {
        let tokens = EcrTokens::default();
        let own = tokens.identity(&key("eu-west-1", None));
        for number in 0..10 * MAX_IDENTITIES {
            tokens.identity(&key(&format!("eu-west-{number}"), None));
            let found = tokens.identity(&key("eu-west-1", None));
            assert!(Arc::ptr_eq(&own, &found), "after {number} regions");
        }
        tokens.identities.run_pending_tasks();
        assert!(tokens.identities.entry_count() <= MAX_IDENTITIES);
    }
}
