//! Bearer tokens (Docker's token protocol), by realm, service and scope. Each is fetched from its
//! realm by one request at a time.
//!
//! The tokens belong to one endpoint of one upstream, and so to one identity. No other endpoint can
//! obtain them.

mod known_realm;
mod token_request;

use std::{hash::Hash, panic, sync::Arc, time::Instant};

use http::HeaderValue;
use login::Login;
use manifest_model::RepoName;
use moka::sync::Cache;
use protocol::{error_chain::ErrorChain, host::Host};
use reqwest::Client;
use tally::{Asked, UpstreamTally};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, warn};

use self::known_realm::KnownRealm;
pub(super) use self::token_request::TokenRequest;
use super::{
    login_source::LoginSource,
    token_slot::{Token, TokenSlot, TokenState},
};
use crate::error::TokenError;

/// The realms to remember. A registry names one, hardly ever two.
const MAX_REALMS: u64 = 100;

/// What the tokens of one endpoint may weigh, and what its repositories asked for: the registry chooses how
/// long they are, clients how many.
const MAX_WEIGHT: u64 = 4 * 1024 * 1024;

/// What an entry weighs beside its texts.
const ENTRY_WEIGHT: usize = 512;

/// The tokens of one endpoint. A clone is a handle to the same ones.
#[derive(Clone, Debug)]
pub(super) struct BearerTokens {
    realms: Arc<RealmClient>,
    tokens: Cache<TokenRequest, Arc<TokenSlot>>,
    /// The token that each repository last asked for.
    requests: Cache<RepoName, TokenRequest>,
    /// Renewals in the background. They have a timeout, and shutdown need not wait for them.
    renewals: TaskTracker,
}

/// Asks realms with the login of the endpoint.
#[derive(Debug)]
struct RealmClient {
    client: Client,
    host: Host,
    source: LoginSource,
    tally: UpstreamTally,
    /// By origin.
    realms: Cache<String, Arc<KnownRealm>>,
    /// Shutdown does not wait for probes: their results are of no use then.
    probes: TaskTracker,
}

impl BearerTokens {
    pub(super) fn new(
        client: Client,
        host: Host,
        source: LoginSource,
        tally: UpstreamTally,
    ) -> Self {
        Self {
            realms: Arc::new(RealmClient {
                client,
                host,
                source,
                tally,
                realms: Cache::new(MAX_REALMS),
                probes: TaskTracker::new(),
            }),
            tokens: bounded(token_length),
            requests: bounded(|_, request: &TokenRequest| request.length()),
            renewals: TaskTracker::new(),
        }
    }

    /// The login that realms are asked with.
    pub(super) fn source(&self) -> &LoginSource {
        &self.realms.source
    }

    /// The repository's token, if there is one that has not expired. One past half of its life is
    /// renewed in the background.
    pub(super) fn known(&self, repository: &RepoName) -> Option<HeaderValue> {
        let request = self.requests.get(repository)?;
        let slot = self.tokens.get(&request)?;
        match slot.check() {
            TokenState::Good(header) => Some(header),
            TokenState::Due(header, permit) => {
                let (realms, tokens) = (Arc::clone(&self.realms), self.tokens.clone());
                let renewal = async move {
                    // The realm client logs a failure, and the old token stays in use.
                    let _ = slot.fetch(permit, realms.fetch(&request)).await;
                    // As heavy as it is now.
                    tokens.insert(request, slot);
                };
                self.renewals.spawn(renewal.in_current_span());
                Some(header)
            }
            // The request goes out without a token: the registry answers with a challenge.
            TokenState::Expired(_) | TokenState::Failed(_) => None,
        }
    }

    /// The token that the repository last asked for.
    pub(super) fn last_request(&self, repository: &RepoName) -> Option<TokenRequest> {
        self.requests.get(repository)
    }

    /// A token other than `refused`; `None` if a new one would not help. Of several callers one
    /// asks the realm. Dropping the future does not end that: a token that comes later than this call
    /// can wait is there for the next one.
    pub(super) async fn token(
        &self,
        repository: Option<&RepoName>,
        request: &TokenRequest,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, TokenError> {
        if let Some(repository) = repository {
            self.requests.insert(repository.clone(), request.clone());
        }
        let slot = self.tokens.get_with(request.clone(), Arc::default);
        let old = match slot.check() {
            // The permit is given back: the next caller that sends the token renews it.
            TokenState::Good(header) | TokenState::Due(header, _) if Some(&header) != refused => {
                return Ok(Some(header));
            }
            TokenState::Good(_) | TokenState::Due(..) => None,
            TokenState::Expired(old) => Some(old),
            TokenState::Failed(error) => return Err(error),
        };
        let (realms, tokens) = (Arc::clone(&self.realms), self.tokens.clone());
        let (request, refused) = (request.clone(), refused.cloned());
        let renewal = async move {
            let fetch = realms.fetch(&request);
            let renewed = match old {
                Some(old) => slot.renew(old.as_ref(), fetch).await.map(Some),
                None => slot.force(refused.as_ref(), fetch).await,
            };
            // As heavy as it is now.
            tokens.insert(request, slot);
            renewed
        };
        let renewal = self.renewals.spawn(renewal.in_current_span());
        let renewed = renewal.await;
        renewed.unwrap_or_else(|ended| panic::resume_unwind(ended.into_panic()))
    }
}

/// A cache of entries with texts of this `length`.
fn bounded<K, V>(length: fn(&K, &V) -> usize) -> Cache<K, V>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let weigh = move |key: &K, value: &V| {
        u32::try_from(ENTRY_WEIGHT + length(key, value)).unwrap_or(u32::MAX)
    };
    Cache::builder()
        .max_capacity(MAX_WEIGHT)
        .weigher(weigh)
        .build()
}

fn token_length(request: &TokenRequest, slot: &Arc<TokenSlot>) -> usize {
    request.length() + slot.length()
}

impl RealmClient {
    async fn fetch(&self, request: &TokenRequest) -> Result<Token, TokenError> {
        let began = Instant::now();
        let outcome = self.try_fetch(request).await;
        let expires = outcome.as_ref().ok().map(Token::expires_at);
        if expires.is_some() {
            self.tally.asked(Asked::Token, began.elapsed());
        }
        self.tally.token(expires);
        if let Err(error) = &outcome {
            let error = ErrorChain(error);
            warn!(upstream = %self.host, %error, "no token obtained; the old one, if any, stays in use");
        }
        outcome
    }

    async fn try_fetch(&self, request: &TokenRequest) -> Result<Token, TokenError> {
        let login = self.source.login(&self.host).await?;
        let outcome = self.fetch_as(login.as_ref(), request).await;
        if let (Err(TokenError::Refused(_)), Some(login)) = (&outcome, &login)
            && let Some(another) = self.source.another(login).await?
        {
            return self.fetch_as(Some(&another), request).await;
        }
        outcome
    }

    async fn fetch_as(
        &self,
        login: Option<&Login>,
        request: &TokenRequest,
    ) -> Result<Token, TokenError> {
        let origin = request.realm().origin().ascii_serialization();
        let realm = self.realms.get_with(origin, || Arc::new(KnownRealm::new()));
        realm
            .fetch(request, &self.client, login, &self.probes)
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::challenge::BearerChallenge;

    fn request(repository: &str) -> TokenRequest {
        let challenge = BearerChallenge {
            realm: "https://registry.test/token".to_owned(),
            service: None,
            scope: None,
        };
        let endpoint = "https://registry.test/".parse().unwrap();
        let repository = repository.parse().unwrap();
        TokenRequest::new(&challenge, &endpoint, Some(&repository), &[]).unwrap()
    }

    #[tokio::test]
    async fn tokens_as_long_as_a_registry_may_send_them_have_a_bound_in_all() {
        let tokens = bounded(token_length);
        for at in 0..200 {
            let (request, slot) = (
                request(&format!("team/app-{at}")),
                Arc::<TokenSlot>::default(),
            );
            tokens.insert(request.clone(), Arc::clone(&slot));
            let header = HeaderValue::from_str(&"x".repeat(64 * 1024)).unwrap();
            let fetch = async { Ok(Token::new(header, Duration::from_mins(1))) };
            slot.renew(None, fetch).await.unwrap();
            tokens.insert(request, slot);
        }
        tokens.run_pending_tasks();
        let length: usize = tokens.iter().map(|(_, slot)| slot.length()).sum();
        assert!(length as u64 <= MAX_WEIGHT, "{length}");
        assert!(tokens.entry_count() > 0);
    }
}
