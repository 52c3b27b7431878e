//! ECR's tokens: one per principal, region and API, good for every account the principal may read there.
//!
//! A token lives twelve hours. It is renewed at about half of that behind the request that finds it due, kept while renewal
//! fails, and renewed at once, though never in a loop, when a registry refuses it.

mod api;
mod chain;
mod images;

use std::{sync::Arc, time::Duration};

use config::{EcrAuth, EcrPublicAuth, Role};
use http::HeaderValue;
use manifest_model::Digest;
use moka::sync::Cache;
use protocol::host::EcrVariant;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use self::api::Api;
pub(crate) use self::images::Place;
pub use self::images::{Pushed, Unsaid};
use super::slot::{Slot, Standing, Token, TokenError, Turn};

/// How long the API, and the chain of credentials behind it, may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Identities kept at the same time: every region there is, a few times over. Clients write the regions, so there is a bound; where
/// they write many, those that are used most are kept.
const MAX_IDENTITIES: u64 = 256;

/// How long an identity is kept that nobody uses: its token is over by then.
const IDLE: Duration = Duration::from_hours(12);

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EcrKey {
    service: Service,
    endpoint: Option<String>,
    role: Option<Role>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Service {
    /// Every private registry of a region.
    Private { region: String, variant: EcrVariant },
    /// ECR Public, whose API is in one region alone.
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
    /// Renewals behind a request. They are bounded in time, and shutdown need not wait for them.
    renewals: TaskTracker,
}

/// Somebody somewhere: the token, and the API behind it.
#[derive(Debug)]
struct Identity {
    slot: Slot,
    api: Api,
}

impl EcrTokens {
    /// The token to send. While renewal fails the old one is given: it may be good for hours yet, and the registry says when
    /// it is not.
    pub(super) async fn current(&self, key: &EcrKey) -> Result<HeaderValue, TokenError> {
        let identity = self.identity(key);
        match identity.slot.standing() {
            Standing::Good(header) => Ok(header),
            Standing::Due(header, turn) => {
                self.renewals
                    .spawn(async move { identity.renew_behind(turn).await });
                Ok(header)
            }
            Standing::Lapsed(old) => {
                let renewed = identity.slot.renew(old.as_ref(), identity.fetch()).await;
                match (renewed, old) {
                    (Err(_), Some(old)) => Ok(old),
                    (renewed, _) => renewed,
                }
            }
            Standing::Failed(error) => Err(error),
        }
    }

    /// A token other than `refused`, or `None` where a new one would not help: the refused one is fresh.
    pub(super) async fn renew(
        &self,
        key: &EcrKey,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, TokenError> {
        let identity = self.identity(key);
        identity.slot.force(refused, identity.fetch()).await
    }

    /// When images were pushed, as far as ECR says so to this identity.
    pub(crate) async fn pushed(
        &self,
        key: &EcrKey,
        place: Place<'_>,
        digests: &[Digest],
    ) -> Pushed {
        let identity = self.identity(key);
        identity.api.pushed(place, digests).await
    }

    fn identity(&self, key: &EcrKey) -> Arc<Identity> {
        self.identities.get_with_by_ref(key, || {
            Arc::new(Identity {
                slot: Slot::default(),
                api: Api::new(key.clone()),
            })
        })
    }
}

impl Default for EcrTokens {
    fn default() -> Self {
        let identities = Cache::builder()
            .max_capacity(MAX_IDENTITIES)
            .time_to_idle(IDLE);
        Self {
            identities: identities.build(),
            renewals: TaskTracker::new(),
        }
    }
}

impl Identity {
    async fn renew_behind(&self, turn: Turn) {
        // The failure is logged where it happens, and the old token is used on.
        let _ = self.slot.settle(turn, self.fetch()).await;
    }

    async fn fetch(&self) -> Result<Token, TokenError> {
        // Boxed: the SDK's futures are so large that those of every request would be, too.
        let asked = tokio::time::timeout(PATIENCE, Box::pin(self.api.token())).await;
        let outcome = asked.unwrap_or_else(|_| {
            Err(format!(
                "{} did not answer within {} seconds",
                self.api,
                PATIENCE.as_secs()
            ))
        });
        match outcome {
            Ok(token) => {
                info!(api = %self.api, "a new ECR token");
                Ok(token)
            }
            Err(reason) => {
                warn!(api = %self.api, reason, "no ECR token could be had; an old one is used on where there is one");
                Err(TokenError::Failed(reason))
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
    fn regions_that_are_merely_named_take_bounded_room_and_drive_no_token_out() {
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
