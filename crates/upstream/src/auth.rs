//! Our credentials at an upstream: the header of a request, and a new one after a refusal.
//!
//! No credential comes from a client. A refusal leads to one renewal, never to a loop. Identities
//! are kept apart: bearer tokens belong to one endpoint, ECR's to one AWS identity and region.
//! `docs/credentials.md` has the rules for operators.

mod bearer;
mod challenge;
mod ecr;
mod login_source;
mod permission;
mod token_slot;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use config::{Auth, EndpointConfig, UpstreamConfig};
use http::{HeaderMap, HeaderValue, StatusCode};
use login::{Login, LoginError};
use manifest_model::RepoName;
use parking_lot::Mutex;
use protocol::{error_body, host::Host};
use reqwest::Client;
use tally::UpstreamTally;
use url::Url;

#[cfg(fuzzing)]
pub use self::challenge::fuzz_challenge;
pub use self::ecr::{
    AwsKey, AwsKeys, EcrTokens, ImagePushTimes, NoAwsKey, PushTimesError, own_region,
};
pub(crate) use self::ecr::{EcrKey, EcrRepository};
use self::{
    bearer::{BearerTokens, TokenRequest},
    challenge::Challenge,
    login_source::LoginSource,
};
use crate::error::{Resource, TokenError};

/// A response that another credential may turn into a good one.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    challenge: Option<Challenge>,
}

impl Refusal {
    /// 401; 403, which ECR sends for an expired token; and 400, which ECR Public sends for one.
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                Some(Self {
                    status,
                    challenge: Challenge::best(headers),
                })
            }
            _ => None,
        }
    }

    /// Whether the credential is at fault: a 403 is mostly a missing permission, a 400 mostly a bad
    /// request.
    fn means_expired(&self, body: &error_body::Read) -> bool {
        let message = body.message.to_ascii_lowercase();
        match self.status {
            // The refusal of a HEAD has no body.
            StatusCode::FORBIDDEN => message.contains("expired") || body.code.is_empty(),
            StatusCode::BAD_REQUEST => {
                message.contains("token")
                    && (message.contains("invalid") || message.contains("expired"))
            }
            _ => true,
        }
    }
}

/// How long a password that the registry accepted is sent with the first request. After that the
/// login is read again, so that a changed password is used soon.
const BASIC_LIFETIME: Duration = Duration::from_mins(1);

/// The credentials for one endpoint of an upstream. Endpoints share no token and no password, so
/// none can obtain another's.
#[derive(Debug)]
pub(crate) struct Authenticator {
    host: Host,
    endpoint: Url,
    /// Hosts in private networks that may be token realms.
    private_hosts: Vec<Host>,
    ecr: Option<(EcrKey, Arc<EcrTokens>)>,
    bearer: BearerTokens,
    tally: UpstreamTally,
    /// The password that the registry wants instead of a token, and until when to send it.
    password: Mutex<Option<(HeaderValue, Instant)>>,
}

impl Authenticator {
    pub(crate) fn new(
        host: &Host,
        config: &UpstreamConfig,
        endpoint: &EndpointConfig,
        client: Client,
        ecr: &Arc<EcrTokens>,
        tally: &UpstreamTally,
    ) -> Self {
        let source = LoginSource::of(&endpoint.auth, ecr, tally);
        Self {
            host: host.clone(),
            endpoint: endpoint.url.clone(),
            private_hosts: config.private_hosts.clone(),
            ecr: match &endpoint.auth {
                Auth::Ecr(auth) => Some((EcrKey::of(auth), Arc::clone(ecr))),
                _ => None,
            },
            bearer: BearerTokens::new(client, host.clone(), source, tally.clone()),
            tally: tally.clone(),
            password: Mutex::default(),
        }
    }

    /// The ECR tokens, and the key of those for this endpoint.
    pub(crate) fn ecr(&self) -> Option<(&EcrTokens, &EcrKey)> {
        let (key, tokens) = self.ecr.as_ref()?;
        Some((tokens, key))
    }

    /// The header for the first try, if there is one; without a repository, for the registry
    /// itself.
    pub(crate) async fn credential(
        &self,
        repository: Option<&RepoName>,
    ) -> Result<Option<HeaderValue>, TokenError> {
        if let Some((key, tokens)) = &self.ecr {
            return tokens.current(key, &self.tally).await.map(Some);
        }
        let bearer = repository.and_then(|repository| self.bearer.known(repository));
        Ok(bearer.or_else(|| self.known_password()))
    }

    /// The header for the second try; `None` if a second try cannot help.
    pub(crate) async fn renew(
        &self,
        repository: Option<&RepoName>,
        refusal: &Refusal,
        body: &error_body::Read,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, TokenError> {
        if !refusal.means_expired(body) {
            return Ok(None);
        }
        let renewed = match &self.ecr {
            Some((key, tokens)) => tokens.renew(key, refused, &self.tally).await,
            None => self.answer(repository, refusal, refused).await,
        }?;
        Ok(renewed.filter(|renewed| Some(renewed) != refused))
    }

    /// The reason of a final refusal, for messages: the upstream's words without the credential
    /// `sent`, and the permission to add.
    pub(crate) fn reason(
        &self,
        refusal: StatusCode,
        body: &error_body::Read,
        resource: Resource,
        sent: Option<&HeaderValue>,
    ) -> String {
        permission::reason(body, self.ecr.is_some(), refusal, resource, sent)
    }

    async fn answer(
        &self,
        repository: Option<&RepoName>,
        refusal: &Refusal,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, TokenError> {
        let request = match &refusal.challenge {
            Some(Challenge::Bearer(challenge)) => {
                let (endpoint, private) = (&self.endpoint, &self.private_hosts);
                let request = TokenRequest::new(challenge, endpoint, repository, private);
                Some(request.map_err(TokenError::Rejected)?)
            }
            Some(Challenge::Basic) => return self.fetch_password().await,
            // An expired token may be refused without a challenge (ECR Public's 400): the last
            // challenge still holds.
            None if refused.is_some() => {
                repository.and_then(|repository| self.bearer.last_request(repository))
            }
            None => None,
        };
        match request {
            Some(request) => self.bearer.token(repository, &request, refused).await,
            None => Ok(None),
        }
    }

    async fn fetch_password(&self) -> Result<Option<HeaderValue>, TokenError> {
        let header = match self.bearer.source().login(&self.host).await? {
            None => return Ok(None),
            Some(Login::Basic(header)) => header,
            Some(Login::IdentityToken(_)) => return Err(LoginError::PasswordWanted.into()),
        };
        *self.password.lock() = Some((header.clone(), Instant::now() + BASIC_LIFETIME));
        Ok(Some(header))
    }

    fn known_password(&self) -> Option<HeaderValue> {
        let password = self.password.lock();
        let (header, until) = password.as_ref()?;
        (Instant::now() < *until).then(|| header.clone())
    }
}
