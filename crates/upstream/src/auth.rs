//! Who we are towards an upstream: the header for a request, and a new one when the old is refused.
//!
//! Credentials are never taken from a client. A refusal leads to one renewal, never to a loop.

mod bearer;
mod challenge;
mod docker_config;
pub(super) mod ecr;
mod login;
mod permission;
mod secret;
mod slot;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use config::{Auth, EndpointConfig, UpstreamConfig};
use http::{HeaderMap, HeaderValue, StatusCode};
use manifest_model::RepoName;
use protocol::{error_body, host::Host};
use reqwest::Client;
use url::Url;

use self::{
    bearer::{Bearer, Wanted},
    challenge::Challenge,
    ecr::{EcrKey, EcrTokens},
    login::{Login, Source},
    slot::TokenError,
};
use super::error::{FetchError, Trouble};

/// An answer that a better credential may turn into a good one.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    challenge: Option<Challenge>,
}

impl Refusal {
    /// 401; 403, which is ECR's word for an expired token; and 400, which is ECR Public's.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
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

    /// Whether the credential is what is wrong: a 403 is mostly a missing permission, a 400 mostly a bad request.
    fn means_expired(&self, body: &error_body::Read) -> bool {
        let message = body.message.to_ascii_lowercase();
        match self.status {
            // A HEAD is refused without a word.
            StatusCode::FORBIDDEN => message.contains("expired") || body.code.is_empty(),
            StatusCode::BAD_REQUEST => {
                message.contains("token")
                    && (message.contains("invalid") || message.contains("expired"))
            }
            _ => true,
        }
    }
}

/// How long a registry that wants a password is sent it without asking first; then the login is read anew.
const BASIC_HOLDS: Duration = Duration::from_mins(1);

/// Who we are at one endpoint of an upstream. Nothing that one endpoint brought out of us, or out of a realm, is known at another.
#[derive(Debug)]
pub(super) struct Authenticator {
    host: Host,
    endpoint: Url,
    /// Hosts in private networks that may be realms all the same.
    private_hosts: Vec<Host>,
    ecr: Option<(EcrKey, Arc<EcrTokens>)>,
    bearer: Bearer,
    /// What the registry took instead of a token, and until when it is sent unasked.
    basic: Mutex<Option<(HeaderValue, Instant)>>,
}

impl Authenticator {
    pub(super) fn new(
        host: &Host,
        config: &UpstreamConfig,
        endpoint: &EndpointConfig,
        client: Client,
        ecr: &Arc<EcrTokens>,
    ) -> Self {
        let source = Source::of(&endpoint.auth, ecr);
        Self {
            host: host.clone(),
            endpoint: endpoint.url.clone(),
            private_hosts: config.private_hosts.clone(),
            ecr: match &endpoint.auth {
                Auth::Ecr(auth) => Some((EcrKey::of(auth), Arc::clone(ecr))),
                _ => None,
            },
            bearer: Bearer::new(client, host.clone(), source),
            basic: Mutex::default(),
        }
    }

    /// The ECR tokens it has, and which of them are its own.
    pub(super) fn ecr(&self) -> Option<(&EcrTokens, &EcrKey)> {
        let (key, tokens) = self.ecr.as_ref()?;
        Some((tokens, key))
    }

    /// The header to send before anything was refused, if there is one. Without a repository the registry itself is meant.
    pub(super) async fn credential(
        &self,
        repository: Option<&RepoName>,
    ) -> Result<Option<HeaderValue>, FetchError> {
        if let Some((key, tokens)) = &self.ecr {
            let token = tokens.current(key).await;
            return token.map(Some).map_err(|error| self.no_token(&error));
        }
        let bearer = repository.and_then(|repository| self.bearer.known(repository));
        Ok(bearer.or_else(|| self.remembered()))
    }

    /// The header to try once more with; `None` where trying again cannot help.
    pub(super) async fn renew(
        &self,
        repository: Option<&RepoName>,
        refusal: &Refusal,
        body: &error_body::Read,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, FetchError> {
        if !refusal.means_expired(body) {
            return Ok(None);
        }
        let renewed = match &self.ecr {
            Some((key, tokens)) => tokens.renew(key, refused).await,
            None => self.answer(repository, refusal, refused).await,
        };
        renewed
            .map(|renewed| renewed.filter(|renewed| Some(renewed) != refused))
            .map_err(|error| self.no_token(&error))
    }

    /// Why a refusal stands, for messages: in the upstream's words, without the credential `sent`, and with what is lacking.
    pub(super) fn reason(
        &self,
        refusal: StatusCode,
        body: &error_body::Read,
        path: &str,
        sent: Option<&HeaderValue>,
    ) -> String {
        permission::reason(body, self.ecr.is_some(), refusal, path, sent)
    }

    async fn answer(
        &self,
        repository: Option<&RepoName>,
        refusal: &Refusal,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, TokenError> {
        let wanted = match &refusal.challenge {
            Some(Challenge::Bearer(demand)) => {
                let wanted = Wanted::of(demand, &self.endpoint, repository, &self.private_hosts);
                Some(wanted.map_err(TokenError::Failed)?)
            }
            Some(Challenge::Basic) => return self.password().await,
            // A dead token may be refused without a challenge (ECR Public's 400): the last one still holds.
            None if refused.is_some() => {
                repository.and_then(|repository| self.bearer.last_demand(repository))
            }
            None => None,
        };
        match wanted {
            Some(wanted) => self.bearer.token(repository, &wanted, refused).await,
            None => Ok(None),
        }
    }

    async fn password(&self) -> Result<Option<HeaderValue>, TokenError> {
        let header = match self.bearer.source().login(&self.host).await? {
            None => return Ok(None),
            Some(Login::Basic(header)) => header,
            Some(Login::IdentityToken(_)) => {
                let reason = "docker's config holds an identity token, but the registry wants a password: log in with one";
                return Err(TokenError::Failed(reason.to_owned()));
            }
        };
        *self.basic() = Some((header.clone(), Instant::now() + BASIC_HOLDS));
        Ok(Some(header))
    }

    fn remembered(&self) -> Option<HeaderValue> {
        let basic = self.basic();
        let (header, until) = basic.as_ref()?;
        (Instant::now() < *until).then(|| header.clone())
    }

    fn basic(&self) -> MutexGuard<'_, Option<(HeaderValue, Instant)>> {
        self.basic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn no_token(&self, error: &TokenError) -> FetchError {
        let upstream = self.host.clone();
        let source = match error {
            TokenError::Refused(status) => {
                return FetchError::Refused {
                    upstream,
                    status: *status,
                    reason: error.to_string(),
                };
            }
            TokenError::Throttled(wait) => {
                return FetchError::Throttled {
                    upstream,
                    retry_after: Some(*wait),
                };
            }
            TokenError::Resting(outage) => outage.trouble(),
            TokenError::Failed(reason) => Trouble::Token(reason.clone()),
        };
        FetchError::Unreachable { upstream, source }
    }
}

/// `Basic` with its secret marked, so that no log prints it.
fn basic(username: &str, password: &str) -> Option<HeaderValue> {
    sensitive(&format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{username}:{password}"))
    ))
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}
