//! Bearer tokens (Docker's token protocol): had from a realm, kept by realm, service and scope, one request at a time for each.
//!
//! They belong to one endpoint of one upstream and so to one identity: what another is or asks never brings a token of this one out.

mod known_realm;
mod realm;

use std::sync::Arc;

use http::HeaderValue;
use manifest_model::RepoName;
use moka::sync::Cache;
use protocol::host::Host;
use reqwest::Client;
use tokio_util::task::TaskTracker;
use tracing::warn;

use self::known_realm::KnownRealm;
pub(super) use self::realm::Wanted;
use super::{
    login::{Login, Source},
    slot::{Slot, Standing, Token, TokenError},
};

/// Realms that are known. A registry names one, hardly ever two.
const MAX_REALMS: u64 = 100;

/// Repositories whose demands, and scopes whose tokens, are kept.
const MAX_TOKENS: u64 = 10_000;

/// The tokens of one endpoint. A clone is a handle to the same ones.
#[derive(Clone, Debug)]
pub(super) struct Bearer {
    asker: Arc<Asker>,
    tokens: Cache<Wanted, Arc<Slot>>,
    /// What a repository asked for when it last asked.
    demands: Cache<RepoName, Wanted>,
    /// Renewals behind a request. They are bounded in time, and shutdown need not wait for them.
    renewals: TaskTracker,
}

/// Who asks realms, and as whom.
#[derive(Debug)]
struct Asker {
    client: Client,
    host: Host,
    source: Source,
    /// By origin.
    realms: Cache<String, Arc<KnownRealm>>,
    /// Nobody waits for these at the end: what they find out concerns nobody then.
    probes: TaskTracker,
}

impl Bearer {
    pub(super) fn new(client: Client, host: Host, source: Source) -> Self {
        Self {
            asker: Arc::new(Asker {
                client,
                host,
                source,
                realms: Cache::new(MAX_REALMS),
                probes: TaskTracker::new(),
            }),
            tokens: Cache::new(MAX_TOKENS),
            demands: Cache::new(MAX_TOKENS),
            renewals: TaskTracker::new(),
        }
    }

    /// As whom realms are asked.
    pub(super) fn source(&self) -> &Source {
        &self.asker.source
    }

    /// The repository's token, if it has asked for one before and that is still good. One past half of its life is renewed
    /// behind the request.
    pub(super) fn known(&self, repository: &RepoName) -> Option<HeaderValue> {
        let wanted = self.demands.get(repository)?;
        let slot = self.tokens.get(&wanted)?;
        match slot.standing() {
            Standing::Good(header) => Some(header),
            Standing::Due(header, turn) => {
                let asker = Arc::clone(&self.asker);
                self.renewals.spawn(async move {
                    // The failure is logged where it happens, and the old token is used on.
                    let _ = slot.settle(turn, asker.ask(&wanted)).await;
                });
                Some(header)
            }
            // The registry is asked without: its answer says what token it wants now.
            Standing::Lapsed(_) | Standing::Failed(_) => None,
        }
    }

    /// What the repository last asked for.
    pub(super) fn last_demand(&self, repository: &RepoName) -> Option<Wanted> {
        self.demands.get(repository)
    }

    /// A token other than `refused`, or `None` where a new one would not help. Of several callers one asks the realm.
    pub(super) async fn token(
        &self,
        repository: Option<&RepoName>,
        wanted: &Wanted,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, TokenError> {
        if let Some(repository) = repository {
            self.demands.insert(repository.clone(), wanted.clone());
        }
        let slot = self.tokens.get_with(wanted.clone(), Arc::default);
        let ask = self.asker.ask(wanted);
        let known = match slot.standing() {
            // The turn is given back: whoever sends the token next takes it.
            Standing::Good(header) | Standing::Due(header, _) => header,
            Standing::Lapsed(old) => return slot.renew(old.as_ref(), ask).await.map(Some),
            Standing::Failed(error) => return Err(error),
        };
        if Some(&known) == refused {
            slot.force(refused, ask).await
        } else {
            Ok(Some(known))
        }
    }
}

impl Asker {
    async fn ask(&self, wanted: &Wanted) -> Result<Token, TokenError> {
        let outcome = self.try_ask(wanted).await;
        if let Err(error) = &outcome {
            warn!(upstream = %self.host, %error, "no token could be had; an old one is used on where there is one");
        }
        outcome
    }

    async fn try_ask(&self, wanted: &Wanted) -> Result<Token, TokenError> {
        let login = self.source.login(&self.host).await?;
        let outcome = self.ask_as(login.as_ref(), wanted).await;
        if let (Err(TokenError::Refused(_)), Some(login)) = (&outcome, &login)
            && let Some(another) = self.source.another(login).await?
        {
            return self.ask_as(Some(&another), wanted).await;
        }
        outcome
    }

    async fn ask_as(&self, login: Option<&Login>, wanted: &Wanted) -> Result<Token, TokenError> {
        let origin = wanted.realm().origin().ascii_serialization();
        let realm = self.realms.get_with(origin, || Arc::new(KnownRealm::new()));
        realm.ask(wanted, &self.client, login, &self.probes).await
    }
}
