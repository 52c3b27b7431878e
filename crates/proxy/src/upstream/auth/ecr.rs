//! ECR's tokens: one per region and API endpoint, good for every account the identity may read there.
//!
//! A token lives twelve hours. It is renewed at half of that, kept while renewal fails, and renewed at once when a registry
//! refuses it, at most once in [`SHORTEST_LIFE`]: where a token so renewed is refused too, the token is not what is wrong.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_ecr::error::DisplayErrorContext;
use http::HeaderValue;
use tokio::sync::Mutex as AsyncMutex;
use tracing::{info, warn};

use super::sensitive;
use crate::config::EcrAuth;

/// How soon after a forced renewal another one may be forced.
const SHORTEST_LIFE: Duration = Duration::from_secs(5);

/// How long a token is used where the answer gives no usable expiry (stand-ins answer with one long past).
const UNKNOWN_LIFE: Duration = Duration::from_hours(1);

/// How long a failed renewal is not tried again while the old token may still be good.
const PAUSE: Duration = Duration::from_mins(1);

/// How long the API, and the credential chain behind it, may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a token is for: everything in a region, from one API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EcrKey {
    region: String,
    endpoint: Option<String>,
}

impl EcrKey {
    pub(super) fn of(auth: &EcrAuth) -> Self {
        Self {
            region: auth.region.clone(),
            endpoint: auth.endpoint.as_ref().map(|url| url.as_str().to_owned()),
        }
    }
}

/// All ECR tokens of this process.
#[derive(Debug, Default)]
pub struct EcrTokens {
    slots: Mutex<HashMap<EcrKey, Arc<Slot>>>,
}

/// The token of one key. The lock is held while a renewal runs, so there is one at a time and the others wait for its result.
#[derive(Debug, Default)]
struct Slot {
    state: AsyncMutex<State>,
}

#[derive(Debug, Default)]
struct State {
    client: Option<aws_sdk_ecr::Client>,
    token: Option<Token>,
    last_forced: Option<Instant>,
    last_failure: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Token {
    header: HeaderValue,
    renew: Instant,
}

impl EcrTokens {
    /// The token to send. While renewal fails the old one is given: it may be good for hours yet, and the registry says when not.
    pub(super) async fn current(&self, key: &EcrKey) -> Result<HeaderValue, String> {
        let slot = self.slot(key);
        let mut state = slot.state.lock().await;
        match &state.token {
            Some(token) if Instant::now() < token.renew => return Ok(token.header.clone()),
            Some(token)
                if state
                    .last_failure
                    .is_some_and(|failed| failed.elapsed() < PAUSE) =>
            {
                return Ok(token.header.clone());
            }
            _ => {}
        }
        match state.fetch(key).await {
            Ok(header) => Ok(header),
            Err(reason) => match &state.token {
                Some(token) => {
                    warn!(
                        region = key.region,
                        reason, "an ECR token could not be renewed; the old one is used on"
                    );
                    Ok(token.header.clone())
                }
                None => Err(reason),
            },
        }
    }

    /// A token other than `refused`, or `None` where a new one would not help: the refused one is fresh.
    pub(super) async fn renew(
        &self,
        key: &EcrKey,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, String> {
        let slot = self.slot(key);
        let mut state = slot.state.lock().await;
        if let Some(token) = &state.token {
            if Some(&token.header) != refused {
                return Ok(Some(token.header.clone()));
            }
            if state
                .last_forced
                .is_some_and(|forced| forced.elapsed() < SHORTEST_LIFE)
            {
                return Ok(None);
            }
            state.last_forced = Some(Instant::now());
        }
        state.fetch(key).await.map(Some)
    }

    fn slot(&self, key: &EcrKey) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(key.clone()).or_default())
    }
}

impl State {
    async fn fetch(&mut self, key: &EcrKey) -> Result<HeaderValue, String> {
        let outcome = tokio::time::timeout(PATIENCE, self.ask(key)).await;
        match outcome.unwrap_or_else(|_| {
            Err(format!(
                "GetAuthorizationToken in {} did not answer",
                key.region
            ))
        }) {
            Ok(token) => {
                info!(region = key.region, "a new ECR token");
                let header = token.header.clone();
                (self.token, self.last_failure) = (Some(token), None);
                Ok(header)
            }
            Err(reason) => {
                self.last_failure = Some(Instant::now());
                Err(reason)
            }
        }
    }

    async fn ask(&mut self, key: &EcrKey) -> Result<Token, String> {
        let client = match &self.client {
            Some(client) => client,
            None => self.client.insert(client(key).await),
        };
        let answer = client
            .get_authorization_token()
            .send()
            .await
            .map_err(|error| {
                format!(
                    "GetAuthorizationToken in {} failed: {}",
                    key.region,
                    DisplayErrorContext(&error)
                )
            })?;
        let data = answer.authorization_data().first();
        let token = data
            .and_then(|data| data.authorization_token())
            .filter(|token| !token.is_empty());
        // ECR's token is the base64 of `AWS:PASSWORD` already.
        let header = token.and_then(|token| sensitive(&format!("Basic {token}")));
        let header = header
            .ok_or_else(|| format!("GetAuthorizationToken in {} gave no token", key.region))?;
        let expires = data
            .and_then(|data| data.expires_at())
            .and_then(|time| SystemTime::try_from(*time).ok());
        let life = expires.and_then(|expires| expires.duration_since(SystemTime::now()).ok());
        Ok(Token {
            header,
            renew: Instant::now() + life.unwrap_or(UNKNOWN_LIFE) / 2,
        })
    }
}

/// The SDK's chain finds the identity: environment, profile, web identity, container, instance.
async fn client(key: &EcrKey) -> aws_sdk_ecr::Client {
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(key.region.clone()))
        .load()
        .await;
    let mut config = aws_sdk_ecr::config::Builder::from(&shared);
    if let Some(endpoint) = &key.endpoint {
        config = config.endpoint_url(endpoint);
    }
    aws_sdk_ecr::Client::from_conf(config.build())
}
