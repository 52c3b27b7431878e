//! One token and its renewal: one caller at a time renews, and the others wait for its result, good
//! or bad.
//!
//! At about half of its life a token is renewed in the background, behind a request; an expired one
//! is renewed before the request. A refusal forces a renewal, at most once a minute.
//!
//! A slot does not know where tokens come from: its owner passes in the future that fetches one.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::HeaderValue;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::error::TokenError;

/// The shortest time between two forced renewals: if the new token is refused too, the token is not
/// at fault.
const FORCE_PAUSE: Duration = Duration::from_mins(1);

/// How long a failed renewal is not tried again while there is an old token to send.
const RENEW_PAUSE: Duration = Duration::from_mins(1);

/// How long a failure is repeated while there is no token at all, so that callers turn elsewhere at
/// once.
const FAILURE_LIFETIME: Duration = Duration::from_secs(5);

/// How far the time of renewal is from half of a token's life, as a part of the whole: replicas
/// that started together then do not renew together.
const JITTER: f64 = 0.05;

/// A token as it is sent, with its times.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) header: HeaderValue,
    renew: Instant,
    expires: Instant,
}

impl Token {
    /// A token that was issued now and expires after `life`.
    pub(super) fn new(header: HeaderValue, life: Duration) -> Self {
        let now = Instant::now();
        let half = life.mul_f64(0.5 - JITTER + fastrand::f64() * 2.0 * JITTER);
        Self {
            header,
            renew: now + half,
            expires: now + life,
        }
    }

    /// When it expires, by the clock of this machine.
    pub(super) fn expires_at(&self) -> SystemTime {
        SystemTime::now() + self.expires.saturating_duration_since(Instant::now())
    }

    /// Its life, to the second.
    #[cfg(test)]
    pub(super) fn life(&self) -> Duration {
        let left = self.expires.saturating_duration_since(Instant::now());
        Duration::from_secs_f64(left.as_secs_f64().ceil())
    }
}

/// One token, missing at first.
#[derive(Debug, Default)]
pub(super) struct TokenSlot {
    state: Mutex<SlotState>,
    /// Locked by the caller that renews.
    renewal: Arc<AsyncMutex<()>>,
}

#[derive(Debug, Default)]
struct SlotState {
    token: Option<Token>,
    failure: Option<(Instant, TokenError)>,
    forced: Option<Instant>,
}

/// The right to renew. There is one for each slot.
pub(super) type RenewalPermit = OwnedMutexGuard<()>;

/// The next step with the token.
pub(super) enum TokenState {
    /// Send it.
    Good(HeaderValue),
    /// Send it, and renew it in the background.
    Due(HeaderValue, RenewalPermit),
    /// Renew it before sending: there is none, or it has expired. If the renewal fails, the expired
    /// one is still the best guess.
    Expired(Option<HeaderValue>),
    /// There is none, and a renewal failed a moment ago.
    Failed(TokenError),
}

impl TokenSlot {
    /// How long the token is; 0 without one.
    pub(super) fn length(&self) -> usize {
        self.state()
            .token
            .as_ref()
            .map_or(0, |token| token.header.len())
    }

    /// Decides on the next step, without waiting.
    pub(super) fn check(&self) -> TokenState {
        let now = Instant::now();
        let state = self.state();
        match &state.token {
            None => match state.failed_lately(now, lifetime) {
                Some(error) => TokenState::Failed(error.clone()),
                None => TokenState::Expired(None),
            },
            Some(token)
                if now < token.renew || state.failed_lately(now, |_| RENEW_PAUSE).is_some() =>
            {
                TokenState::Good(token.header.clone())
            }
            Some(token) if now < token.expires => {
                match Arc::clone(&self.renewal).try_lock_owned() {
                    Ok(permit) => TokenState::Due(token.header.clone(), permit),
                    Err(_) => TokenState::Good(token.header.clone()),
                }
            }
            Some(token) => TokenState::Expired(Some(token.header.clone())),
        }
    }

    /// A token other than `old`, by `fetch` unless another caller has brought one. Callers that
    /// wait for a renewal share its error.
    ///
    /// Dropping the future drops `fetch`; the next caller then starts its own.
    pub(super) async fn renew(
        &self,
        old: Option<&HeaderValue>,
        fetch: impl Future<Output = Result<Token, TokenError>>,
    ) -> Result<HeaderValue, TokenError> {
        let came = Instant::now();
        let permit = Arc::clone(&self.renewal).lock_owned().await;
        match self.result_since(came, old) {
            Some(outcome) => outcome,
            None => self.fetch(permit, fetch).await,
        }
    }

    /// As [`Self::renew`] for a token that was `refused`; `None` if the refused one was forced
    /// itself a moment ago, so that a new one would not help. A failure of a moment ago is
    /// repeated.
    pub(super) async fn force(
        &self,
        refused: Option<&HeaderValue>,
        fetch: impl Future<Output = Result<Token, TokenError>>,
    ) -> Result<Option<HeaderValue>, TokenError> {
        let came = Instant::now();
        let permit = Arc::clone(&self.renewal).lock_owned().await;
        if let Some(outcome) = self.result_since(came, refused) {
            return outcome.map(Some);
        }
        if self.was_forced(came) {
            return Ok(None);
        }
        if let Some(error) = self.state().failed_lately(came, lifetime) {
            return Err(error.clone());
        }
        let header = self.fetch(permit, fetch).await?;
        // Only now: a renewal that failed or was dropped tells nothing about the next token.
        self.state().forced = Some(Instant::now());
        Ok(Some(header))
    }

    /// Runs `fetch` and keeps its result.
    pub(super) async fn fetch(
        &self,
        _permit: RenewalPermit,
        fetch: impl Future<Output = Result<Token, TokenError>>,
    ) -> Result<HeaderValue, TokenError> {
        let outcome = fetch.await;
        let mut state = self.state();
        match outcome {
            Ok(token) => {
                let header = token.header.clone();
                (state.token, state.failure) = (Some(token), None);
                Ok(header)
            }
            Err(error) => {
                state.failure = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// The result of another caller while this one waited.
    fn result_since(
        &self,
        came: Instant,
        old: Option<&HeaderValue>,
    ) -> Option<Result<HeaderValue, TokenError>> {
        let state = self.state();
        match (&state.token, &state.failure) {
            (_, Some((at, error))) if *at >= came => Some(Err(error.clone())),
            (Some(token), _) if Some(&token.header) != old => Some(Ok(token.header.clone())),
            _ => None,
        }
    }

    fn was_forced(&self, now: Instant) -> bool {
        let state = self.state();
        let recently = |at: Instant| now.saturating_duration_since(at) < FORCE_PAUSE;
        state.token.is_some() && state.forced.is_some_and(recently)
    }

    fn state(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock()
    }
}

impl SlotState {
    /// The last failure, during its `lifetime`.
    fn failed_lately(
        &self,
        now: Instant,
        lifetime: impl FnOnce(&TokenError) -> Duration,
    ) -> Option<&TokenError> {
        let (at, error) = self.failure.as_ref()?;
        (now.saturating_duration_since(*at) < lifetime(error)).then_some(error)
    }
}

/// How long a failure is repeated while there is no token at all; not at all for an open circuit,
/// which knows itself when it is worth asking again.
fn lifetime(error: &TokenError) -> Duration {
    match error {
        TokenError::CircuitOpen(_) => Duration::ZERO,
        TokenError::Throttled(wait) => FAILURE_LIFETIME.min(*wait),
        TokenError::Refused(_)
        | TokenError::Rejected(_)
        | TokenError::Realm(_)
        | TokenError::Login(_)
        | TokenError::Ecr(_) => FAILURE_LIFETIME,
    }
}

#[cfg(test)]
mod tests;
