//! One token and its renewal: one caller at a time renews, the others wait for what it brings, good or bad.
//!
//! Knows nothing of where tokens come from: whoever owns a slot hands in the future that fetches one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::HeaderValue;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::health::Outage;

/// How soon after a forced renewal another one may be forced: where a token so renewed is refused too, the token is not
/// what is wrong.
const FORCE_PAUSE: Duration = Duration::from_mins(1);

/// How long a failed renewal is not tried again while there is an old token to use.
const RENEW_PAUSE: Duration = Duration::from_mins(1);

/// How long a failure is repeated to whoever asks while there is no token at all, so that they turn elsewhere at once.
const FAILURE_HOLDS: Duration = Duration::from_secs(5);

/// How far the moment of renewal strays from half of a token's life, as a part of the whole: replicas that started together
/// then do not renew together.
const JITTER: f64 = 0.05;

/// Why no token could be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    /// Who gives tokens refused the login it was shown, with this status.
    #[error("the token realm does not take the login")]
    Refused(u16),
    /// Who gives tokens is asked too often; how long it wants to be left alone.
    #[error("the token realm is limiting our requests")]
    Throttled(Duration),
    /// Who gives tokens does not answer, and is not asked for now.
    #[error("{}", .0.trouble())]
    Resting(Outage),
    /// Anything else; a sentence for the log.
    #[error("{0}")]
    Failed(String),
}

impl TokenError {
    /// How long it is repeated while there is no token at all; zero where others know better when it is worth asking again.
    fn holds(&self) -> Duration {
        match self {
            Self::Refused(_) | Self::Failed(_) => FAILURE_HOLDS,
            Self::Throttled(wait) => FAILURE_HOLDS.min(*wait),
            Self::Resting(_) => Duration::ZERO,
        }
    }
}

/// A token as it is sent, and its life.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) header: HeaderValue,
    renew: Instant,
    expires: Instant,
}

impl Token {
    /// A token that was just handed out and lives for `life`.
    pub(super) fn living(header: HeaderValue, life: Duration) -> Self {
        let now = Instant::now();
        let half = life.mul_f64(0.5 - JITTER + fastrand::f64() * 2.0 * JITTER);
        Self {
            header,
            renew: now + half,
            expires: now + life,
        }
    }
}

/// The place of one token.
#[derive(Debug, Default)]
pub(super) struct Slot {
    state: Mutex<State>,
    /// Held by whoever renews.
    turn: Arc<AsyncMutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    failure: Option<(Instant, TokenError)>,
    forced: Option<Instant>,
}

/// The right to renew; nobody else does while it is held.
pub(super) type Turn = OwnedMutexGuard<()>;

/// How things stand with the token.
pub(super) enum Standing {
    /// Send it.
    Good(HeaderValue),
    /// Send it, and renew it behind the request.
    Due(HeaderValue, Turn),
    /// There is none, or its time is over: renew before sending. A token past its time is still the best guess where renewal
    /// fails.
    Lapsed(Option<HeaderValue>),
    /// There is none, and a moment ago none could be had.
    Failed(TokenError),
}

impl Slot {
    /// Decides what to do; waits for nothing.
    pub(super) fn standing(&self) -> Standing {
        let now = Instant::now();
        let state = self.state();
        match &state.token {
            None => match state.failed_lately(now, TokenError::holds) {
                Some(error) => Standing::Failed(error.clone()),
                None => Standing::Lapsed(None),
            },
            Some(token)
                if now < token.renew || state.failed_lately(now, |_| RENEW_PAUSE).is_some() =>
            {
                Standing::Good(token.header.clone())
            }
            Some(token) if now < token.expires => match Arc::clone(&self.turn).try_lock_owned() {
                Ok(turn) => Standing::Due(token.header.clone(), turn),
                Err(_) => Standing::Good(token.header.clone()),
            },
            Some(token) => Standing::Lapsed(Some(token.header.clone())),
        }
    }

    /// A token other than `old`, by `fetch` unless somebody was faster. Who waits shares the failure of whom it waited for.
    ///
    /// Dropping the future drops `fetch`; the next in turn then starts its own.
    pub(super) async fn renew(
        &self,
        old: Option<&HeaderValue>,
        fetch: impl Future<Output = Result<Token, TokenError>>,
    ) -> Result<HeaderValue, TokenError> {
        let came = Instant::now();
        let turn = Arc::clone(&self.turn).lock_owned().await;
        match self.since(came, old) {
            Some(outcome) => outcome,
            None => self.settle(turn, fetch).await,
        }
    }

    /// As [`Self::renew`] for a token that was `refused`; `None` where the one before was brought by force a moment ago, so that a
    /// new one would not help. A failure of a moment ago is repeated.
    pub(super) async fn force(
        &self,
        refused: Option<&HeaderValue>,
        fetch: impl Future<Output = Result<Token, TokenError>>,
    ) -> Result<Option<HeaderValue>, TokenError> {
        let came = Instant::now();
        let turn = Arc::clone(&self.turn).lock_owned().await;
        if let Some(outcome) = self.since(came, refused) {
            return outcome.map(Some);
        }
        if self.was_forced(came) {
            return Ok(None);
        }
        if let Some(error) = self.state().failed_lately(came, TokenError::holds) {
            return Err(error.clone());
        }
        let brought = self.settle(turn, fetch).await?;
        // Only now: what was tried in vain, or given up half-way, says nothing of the next token.
        self.state().forced = Some(Instant::now());
        Ok(Some(brought))
    }

    /// Runs `fetch` in one's turn and keeps what it brings.
    pub(super) async fn settle(
        &self,
        _turn: Turn,
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

    /// What others brought while we waited.
    fn since(
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The last failure, for as long as `holds` says.
    fn failed_lately(
        &self,
        now: Instant,
        holds: impl FnOnce(&TokenError) -> Duration,
    ) -> Option<&TokenError> {
        let (at, error) = self.failure.as_ref()?;
        (now.saturating_duration_since(*at) < holds(error)).then_some(error)
    }
}

#[cfg(test)]
mod tests;
