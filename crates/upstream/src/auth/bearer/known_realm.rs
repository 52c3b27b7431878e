//! What is remembered of a realm from call to call, whatever each was about: that it does not answer, that it wants a pause, and
//! that it does not take the login.
//!
//! Each scope has a token of its own, so without this memory every repository would find out for itself.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::Client;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::realm::{self, NoToken, Wanted};
use crate::{
    auth::{
        login::Login,
        slot::{Token, TokenError},
    },
    budget::{Throttle, TooLong},
    health::{Failure, Health},
    probe,
};

/// How long a realm's word on a login holds: each refusal may count towards locking the account.
const VERDICT_HOLDS: Duration = Duration::from_mins(1);

/// How long a call waits for its turn after a 429.
const PATIENCE: Duration = Duration::from_secs(1);

/// One realm, as the calls of one endpoint have found it.
#[derive(Debug)]
pub(super) struct KnownRealm {
    health: Arc<Health>,
    throttle: Throttle,
    verdict: Mutex<Option<Verdict>>,
}

/// What it last said of a login.
#[derive(Debug)]
struct Verdict {
    login: Login,
    /// The status it was refused with.
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

    /// Asks it, unless it is known what would come of that.
    pub(super) async fn ask(
        &self,
        wanted: &Wanted,
        client: &Client,
        login: Option<&Login>,
        probes: &TaskTracker,
    ) -> Result<Token, TokenError> {
        if let Some(status) = login.and_then(|login| self.refusal(login)) {
            return Err(TokenError::Refused(status));
        }
        let turn = self.throttle.pass(Instant::now() + PATIENCE).await;
        turn.map_err(|TooLong(wait)| TokenError::Throttled(wait))?;
        let start = |probe| {
            let url = wanted.realm().clone();
            probes.spawn(probe::run(probe, client.clone(), url, realm::PATIENCE));
        };
        let awake = self.health.awake(start).await;
        awake.map_err(TokenError::Resting)?;
        let asked = Instant::now();
        let answer = wanted.ask(client, login).await;
        self.note(asked, answer.as_ref().err());
        if let Some(login) = login {
            self.judge(login, answer.as_ref().err());
        }
        answer.map_err(|why| match why {
            NoToken::Refused(status) => TokenError::Refused(status),
            NoToken::Throttled(retry_after) => {
                TokenError::Throttled(self.throttle.throttled(asked, retry_after))
            }
            NoToken::Outage(reason) | NoToken::Error(reason) | NoToken::Wrong(reason) => {
                TokenError::Failed(reason)
            }
        })
    }

    /// Remembers what an answer, or its lack, says about the realm.
    fn note(&self, asked: Instant, why: Option<&NoToken>) {
        let now = Instant::now();
        let (failure, reason) = match why {
            Some(NoToken::Outage(reason)) => (Failure::Outage, reason),
            Some(NoToken::Error(reason)) => (Failure::Error, reason),
            Some(NoToken::Throttled(_)) => return self.health.answered(now),
            Some(NoToken::Refused(_) | NoToken::Wrong(_)) | None => {
                self.throttle.answered();
                return self.health.answered(now);
            }
        };
        self.health.failed(asked, now, failure, || reason.clone());
    }

    /// Remembers what an answer says about the login. Where it has just brought another token, a refusal is about the scope.
    fn judge(&self, login: &Login, why: Option<&NoToken>) {
        let refused = match why {
            None => None,
            Some(NoToken::Refused(401)) => Some(401),
            Some(_) => return,
        };
        let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.is_none() || verdict.as_ref().is_none_or(|known| !known.holds_for(login)) {
            *verdict = Some(Verdict {
                login: login.clone(),
                refused,
                at: Instant::now(),
            });
        }
    }

    fn refusal(&self, login: &Login) -> Option<u16> {
        let verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        let known = verdict.as_ref()?;
        known.refused.filter(|_| known.holds_for(login))
    }
}

impl Verdict {
    fn holds_for(&self, login: &Login) -> bool {
        self.login == *login && self.at.elapsed() < VERDICT_HOLDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::basic;

    fn login(password: &str) -> Login {
        Login::Basic(basic("me", password).unwrap())
    }

    #[test]
    fn a_refused_login_is_known_and_another_is_not_taken_for_it() {
        let realm = KnownRealm::new();
        realm.judge(&login("wrong"), Some(&NoToken::Refused(401)));
        assert_eq!(realm.refusal(&login("wrong")), Some(401));
        assert_eq!(realm.refusal(&login("right")), None);
        realm.judge(&login("right"), None);
        assert_eq!(realm.refusal(&login("right")), None);
    }

    #[test]
    fn a_verdict_does_not_hold_for_ever() {
        let realm = KnownRealm::new();
        realm.judge(&login("wrong"), Some(&NoToken::Refused(401)));
        realm.verdict.lock().unwrap().as_mut().unwrap().at -= VERDICT_HOLDS;
        assert_eq!(realm.refusal(&login("wrong")), None);
    }

    #[test]
    fn a_refusal_of_one_repository_is_none_of_the_login() {
        let realm = KnownRealm::new();
        realm.judge(&login("good"), Some(&NoToken::Refused(403)));
        assert_eq!(realm.refusal(&login("good")), None);
        realm.judge(&login("good"), None);
        realm.judge(&login("good"), Some(&NoToken::Refused(401)));
        assert_eq!(realm.refusal(&login("good")), None);
    }
}
