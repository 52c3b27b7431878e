//! The state of a realm across all its tokens: whether it answers, whether it is throttling us, and
//! whether it accepts the login.
//!
//! Each scope has a token of its own, so without this state every repository would meet an outage
//! for itself.

use std::{sync::Arc, time::Duration};

use login::Login;
use parking_lot::Mutex;
use protocol::error_chain::ErrorChain;
use reqwest::Client;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::token_request::{REALM_TIMEOUT, TokenFailure, TokenRequest};
use crate::{
    auth::token_slot::Token,
    error::{RealmError, TokenError},
    policy::{Failure, Health, Throttle, WaitTooLong, probe},
};

/// How long a refused login is not shown again: each refusal may count towards locking the account.
const VERDICT_LIFETIME: Duration = Duration::from_mins(1);

/// How long a call waits for the pause after a 429 to end.
const THROTTLE_WAIT: Duration = Duration::from_secs(1);

/// The state of one realm, as seen by the calls of one endpoint.
#[derive(Debug)]
pub(super) struct KnownRealm {
    health: Arc<Health>,
    throttle: Throttle,
    verdict: Mutex<Option<LoginVerdict>>,
}

/// The last answer about a login.
#[derive(Debug)]
struct LoginVerdict {
    login: Login,
    /// The status of the refusal; none if the login was accepted.
    refused: Option<u16>,
    at: Instant,
}

impl KnownRealm {
    pub(super) fn new() -> Self {
        Self {
            health: Health::new(),
            throttle: Throttle::default(),
            verdict: Mutex::default(),
        }
    }

    /// Fetches a token, unless it is known that the realm would not give one.
    pub(super) async fn fetch(
        &self,
        request: &TokenRequest,
        client: &Client,
        login: Option<&Login>,
        probes: &TaskTracker,
    ) -> Result<Token, TokenError> {
        if let Some(status) = login.and_then(|login| self.refusal(login)) {
            return Err(TokenError::Refused(status));
        }
        let acquired = self.throttle.acquire(Instant::now() + THROTTLE_WAIT).await;
        acquired.map_err(|WaitTooLong(wait)| TokenError::Throttled(wait))?;
        let start = |probe| {
            let url = request.realm().clone();
            probes.spawn(probe::run(probe, client.clone(), url, REALM_TIMEOUT));
        };
        let closed = self.health.closed(start).await;
        closed.map_err(TokenError::CircuitOpen)?;
        let asked = Instant::now();
        let answer = request.send(client, login).await;
        self.note(asked, answer.as_ref().err());
        if let Some(login) = login {
            self.judge(login, answer.as_ref().err());
        }
        answer.map_err(|failure| match failure {
            TokenFailure::Refused(status) => TokenError::Refused(status),
            TokenFailure::Throttled(retry_after) => {
                TokenError::Throttled(self.throttle.throttled(asked, retry_after))
            }
            TokenFailure::Failed(error) => TokenError::Realm(Arc::new(error)),
        })
    }

    /// Updates the state of the realm after an answer, or after the lack of one.
    fn note(&self, asked: Instant, failure: Option<&TokenFailure>) {
        let now = Instant::now();
        if let Some(TokenFailure::Failed(error)) = failure
            && let Some(failure) = health_failure(error)
        {
            let reason = || ErrorChain(error).to_string();
            self.health.failed(asked, now, failure, reason);
            return;
        }
        if !matches!(failure, Some(TokenFailure::Throttled(_))) {
            self.throttle.answered();
        }
        self.health.answered(now);
    }

    /// Updates the verdict on the login after an answer. If the login has just brought another
    /// token, a refusal is about the scope.
    fn judge(&self, login: &Login, failure: Option<&TokenFailure>) {
        let refused = match failure {
            None => None,
            Some(TokenFailure::Refused(401)) => Some(401),
            Some(_) => return,
        };
        let mut verdict = self.verdict.lock();
        if refused.is_none()
            || verdict
                .as_ref()
                .is_none_or(|known| !known.applies_to(login))
        {
            *verdict = Some(LoginVerdict {
                login: login.clone(),
                refused,
                at: Instant::now(),
            });
        }
    }

    fn refusal(&self, login: &Login) -> Option<u16> {
        let verdict = self.verdict.lock();
        let known = verdict.as_ref()?;
        known.refused.filter(|_| known.applies_to(login))
    }
}

impl LoginVerdict {
    fn applies_to(&self, login: &Login) -> bool {
        self.login == *login && self.at.elapsed() < VERDICT_LIFETIME
    }
}

/// How an error counts for the circuit; not at all if the realm answered, if only with nonsense.
fn health_failure(error: &RealmError) -> Option<Failure> {
    match error {
        RealmError::Timeout(_) => Some(Failure::Outage),
        RealmError::Unreachable(error) if error.is_connect() || error.is_timeout() => {
            Some(Failure::Outage)
        }
        RealmError::Unreachable(_) | RealmError::Status(500..=599) => Some(Failure::Error),
        RealmError::Status(_)
        | RealmError::TooLarge(_)
        | RealmError::NotToken
        | RealmError::Empty => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use login::basic;

    fn login(password: &str) -> Login {
        Login::Basic(basic("me", password).unwrap())
    }

    #[test]
    fn a_refused_login_is_known_and_another_is_not_taken_for_it() {
        let realm = KnownRealm::new();
        realm.judge(&login("wrong"), Some(&TokenFailure::Refused(401)));
        assert_eq!(realm.refusal(&login("wrong")), Some(401));
        assert_eq!(realm.refusal(&login("right")), None);
        realm.judge(&login("right"), None);
        assert_eq!(realm.refusal(&login("right")), None);
    }

    #[test]
    fn a_verdict_expires() {
        let realm = KnownRealm::new();
        realm.judge(&login("wrong"), Some(&TokenFailure::Refused(401)));
        realm.verdict.lock().as_mut().unwrap().at -= VERDICT_LIFETIME;
        assert_eq!(realm.refusal(&login("wrong")), None);
    }

    #[test]
    fn a_refusal_for_one_repository_is_not_about_the_login() {
        let realm = KnownRealm::new();
        realm.judge(&login("good"), Some(&TokenFailure::Refused(403)));
        assert_eq!(realm.refusal(&login("good")), None);
        realm.judge(&login("good"), None);
        realm.judge(&login("good"), Some(&TokenFailure::Refused(401)));
        assert_eq!(realm.refusal(&login("good")), None);
    }
}
