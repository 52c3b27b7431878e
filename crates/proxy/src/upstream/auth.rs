//! Who we are towards an upstream: the header for a request, and a new one when the old is refused.
//!
//! Credentials are never taken from a client. A refusal leads to one renewal, never to a loop.

mod bearer;
mod challenge;
mod docker_config;
pub(super) mod ecr;

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, StatusCode};
use manifest_model::RepoName;
use reqwest::Client;
use url::Url;

use self::{
    bearer::{Bearer, Login},
    challenge::Challenge,
    ecr::{EcrKey, EcrTokens},
};
use super::error::{FetchError, Trouble};
use crate::{
    config::{Auth, UpstreamConfig},
    protocol::{error_body, host::Host},
};

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

/// The credentials of one upstream.
#[derive(Debug)]
pub(super) struct Authenticator {
    host: Host,
    identity: Identity,
    bearer: Bearer,
}

#[derive(Debug)]
enum Identity {
    Nobody,
    Login(Auth),
    Ecr { key: EcrKey, tokens: Arc<EcrTokens> },
}

impl Authenticator {
    pub(super) fn new(
        host: &Host,
        config: &UpstreamConfig,
        client: Client,
        ecr: &Arc<EcrTokens>,
    ) -> Self {
        let identity = match &config.auth {
            // ECR Public's own sign-in changes only its rate limit; what it asks of everyone is an anonymous token.
            Auth::Anonymous | Auth::EcrPublic => Identity::Nobody,
            Auth::Ecr(auth) => Identity::Ecr {
                key: EcrKey::of(auth),
                tokens: Arc::clone(ecr),
            },
            login @ (Auth::DockerConfig | Auth::Password { .. }) => Identity::Login(login.clone()),
        };
        Self {
            host: host.clone(),
            identity,
            bearer: Bearer::new(client),
        }
    }

    /// The header to send before anything was refused, if there is one.
    pub(super) async fn credential(
        &self,
        repository: &RepoName,
    ) -> Result<Option<HeaderValue>, FetchError> {
        match &self.identity {
            Identity::Ecr { key, tokens } => tokens
                .current(key)
                .await
                .map(Some)
                .map_err(|reason| self.no_token(reason)),
            Identity::Nobody | Identity::Login(_) => Ok(self.bearer.known(repository).await),
        }
    }

    /// The header to try once more with; `None` where trying again cannot help.
    pub(super) async fn renew(
        &self,
        repository: &RepoName,
        endpoint: &Url,
        refusal: &Refusal,
        body: &error_body::Read,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, FetchError> {
        if !refusal.means_expired(body) {
            return Ok(None);
        }
        if let Identity::Ecr { key, tokens } = &self.identity {
            let renewed = tokens
                .renew(key, refused)
                .await
                .map_err(|reason| self.no_token(reason))?;
            return Ok(renewed.filter(|renewed| Some(renewed) != refused));
        }
        // A dead token may be refused without a challenge (ECR Public's 400): the last one still holds.
        let challenge = match &refusal.challenge {
            None if refused.is_some() => self.bearer.last_demand(repository).map(Challenge::Bearer),
            challenge => challenge.clone(),
        };
        match &challenge {
            Some(Challenge::Bearer(demand)) => {
                let login = self.login().await?;
                let token = self
                    .bearer
                    .token(repository, endpoint, demand, login.as_ref(), refused)
                    .await;
                token.map(Some).map_err(|reason| self.no_token(reason))
            }
            Some(Challenge::Basic) => Ok(self
                .login()
                .await?
                .and_then(|login| login.basic())
                .filter(|new| Some(new) != refused)),
            None => Ok(None),
        }
    }

    async fn login(&self) -> Result<Option<Login>, FetchError> {
        match &self.identity {
            Identity::Nobody | Identity::Ecr { .. } => Ok(None),
            Identity::Login(Auth::Password { username, password }) => Ok(Some(Login {
                username: username.clone(),
                password: password.reveal(),
            })),
            Identity::Login(_) => docker_config::login(&self.host)
                .await
                .map_err(|reason| self.no_token(reason)),
        }
    }

    fn no_token(&self, reason: String) -> FetchError {
        FetchError::Unreachable {
            upstream: self.host.clone(),
            source: Trouble::Token(reason),
        }
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
