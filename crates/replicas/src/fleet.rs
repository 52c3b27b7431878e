//! The state that everything here shares: the view, the connections, this replica itself.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, StatusCode};
use manifest_model::{Algorithm, Digest};
use parking_lot::Mutex;
use protocol::{
    error_chain::ErrorChain,
    headers::{DOCKER_CONTENT_DIGEST, header_string},
};
use reqwest::Response;
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::{
    error::PeerError,
    hello::{HELLO_PATH, Hello, PROTOCOL},
    link::{ARCHWAY_FROM, ARCHWAY_LEAVING, Link, Question},
    metrics::{PeerRequest, ReplicaMetrics},
    pauses::Pauses,
    view::{Heard, MemberName, Moment, Ownership, View},
};

/// How long another replica may say nothing before it is greeted: it has to answer that at once,
/// however long its upstream takes. So one that hangs is told from one that waits.
const QUIET: Duration = Duration::from_millis(500);

/// How long a greeting may take.
const GREETING: Duration = Duration::from_millis(500);

/// The largest answer to a greeting.
const MAX_HELLO_BYTES: usize = 16 << 10;

/// This replica among the others.
#[derive(Debug)]
pub(crate) struct Fleet {
    view: Mutex<View>,
    pub(crate) link: Link,
    pub(crate) metrics: ReplicaMetrics,
    pub(crate) pauses: Pauses,
    started: Instant,
    instance: String,
    zone: Option<String>,
    is_leaving: AtomicBool,
}

impl Fleet {
    pub(crate) fn new(
        link: Link,
        metrics: ReplicaMetrics,
        instance: String,
        zone: Option<String>,
    ) -> Self {
        Self {
            view: Mutex::default(),
            link,
            metrics,
            pauses: Pauses::default(),
            started: Instant::now(),
            instance,
            zone,
            is_leaving: AtomicBool::new(false),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.started.elapsed()
    }

    pub(crate) fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// What this replica says of itself.
    pub(crate) fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL,
            instance: self.instance.clone(),
            age_ms: u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX),
            zone: self.zone.clone(),
            leaving: self.is_leaving(),
            pauses: self.pauses.told(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Looks at the view, or changes it. Short: a lock is held.
    pub(crate) fn view<T>(&self, look: impl FnOnce(&mut View, Moment) -> T) -> T {
        let now = self.now();
        look(&mut self.view.lock(), now)
    }

    pub(crate) fn owner(&self, key: &str) -> Ownership {
        self.view(|view, now| view.owner(key, now))
    }

    /// A question to a member, which names this replica once that has found itself in the list.
    pub(crate) fn question(
        &self,
        member: &MemberName,
        target: &str,
        mut headers: HeaderMap,
    ) -> Question {
        if let Some(me) = self.view(|view, _| view.me().cloned()) {
            headers.insert(ARCHWAY_FROM, header_string(me.to_string()));
        }
        self.link.get(member, target, headers)
    }

    /// Asks a member how it is, and notes its answer in the view.
    pub(crate) async fn greet(&self, member: &MemberName) -> Result<Hello, PeerError> {
        let greeted = in_time(GREETING, self.hello_of(member)).await;
        let greeted = greeted.unwrap_or_else(|| {
            Err(PeerError::Hung {
                member: member.to_string(),
            })
        });
        self.metrics.asked(PeerRequest::Hello, &greeted);
        match &greeted {
            Ok(hello) => {
                let heard = self.heard(hello);
                if !heard.is_me {
                    self.pauses.hear(hello.pauses.clone());
                }
                self.view(|view, now| view.heard(member, heard, now));
            }
            Err(error) => self.note(member, error),
        }
        greeted
    }

    async fn hello_of(&self, member: &MemberName) -> Result<Hello, PeerError> {
        let question = self.question(member, HELLO_PATH, HeaderMap::new());
        let answer = self.link.send(question).await;
        let answer = accepted(member, answer.map_err(|error| unreached(member, error))?)?;
        let said = answer.headers().get(DOCKER_CONTENT_DIGEST).cloned();
        let read = body(member, answer, MAX_HELLO_BYTES);
        let body = read.await?;
        // The proof of the head is for these bytes.
        let digest = Digest::of(Algorithm::Sha256, &body).to_string();
        let is_proved = said.is_some_and(|said| said == digest.as_str());
        let hello = serde_json::from_slice(&body).ok().filter(|_| is_proved);
        hello.ok_or_else(|| PeerError::Wrong {
            member: member.to_string(),
            what: "its greeting is none",
        })
    }

    fn heard(&self, hello: &Hello) -> Heard {
        Heard {
            age: hello.age(),
            at: self.now(),
            zone: hello.zone.as_deref().map(Arc::from),
            is_leaving: hello.leaving,
            is_understood: hello.protocol == PROTOCOL,
            is_me: hello.instance == self.instance,
        }
    }

    /// One that refused, or hung, is not asked for a while.
    pub(crate) fn note(&self, member: &MemberName, error: &PeerError) {
        if error.is_of_the_member() {
            debug!(%member, error = %ErrorChain(error), "a replica is not asked for a while");
            self.view(|view, now| view.failed(member, now));
        }
    }

    /// The answer of a member, which has `limit` for it and must show meanwhile that it lives. Its head
    /// is proved.
    pub(crate) async fn ask(
        &self,
        member: &MemberName,
        kind: PeerRequest,
        question: Question,
        limit: Duration,
    ) -> Result<Response, PeerError> {
        let sent = self.link.send(question);
        let answer = match self.patiently(member, limit, sent).await {
            Ok(Ok(answer)) => accepted(member, answer),
            Ok(Err(error)) => Err(unreached(member, error)),
            Err(error) => Err(error),
        };
        self.metrics.asked(kind, &answer);
        if let Err(error) = &answer {
            self.note(member, error);
        }
        answer
    }

    /// The output of `work`, for which a member is waited for up to `limit`, as long as it answers
    /// greetings.
    pub(crate) async fn patiently<F: Future>(
        &self,
        member: &MemberName,
        limit: Duration,
        work: F,
    ) -> Result<F::Output, PeerError> {
        let begun = Instant::now();
        let mut work = pin!(work);
        loop {
            if let Ok(output) = timeout(QUIET.min(limit), &mut work).await {
                return Ok(output);
            }
            if begun.elapsed() >= limit {
                let (member, waited) = (member.to_string(), limit);
                return Err(PeerError::Slow { member, waited });
            }
            tokio::select! {
                biased;
                output = &mut work => return Ok(output),
                greeted = self.greet(member) => {
                    greeted?;
                }
            }
        }
    }
}

/// The output of `work` within `limit`. A process that was held up itself has not listened meanwhile, and
/// would take all others for dead: then the limit begins anew, once.
async fn in_time<F: Future>(limit: Duration, work: F) -> Option<F::Output> {
    let (begun, mut work) = (Instant::now(), pin!(work));
    if let Ok(output) = timeout(limit, &mut work).await {
        return Some(output);
    }
    if begun.elapsed() < 2 * limit {
        return None;
    }
    timeout(limit, work).await.ok()
}

/// The transport's error, without the URL.
pub(crate) fn unreached(member: &MemberName, error: reqwest::Error) -> PeerError {
    PeerError::Unreached {
        member: member.to_string(),
        source: error.without_url(),
    }
}

/// All of a body of at most `max` bytes.
pub(crate) async fn body(
    member: &MemberName,
    mut answer: Response,
    max: usize,
) -> Result<Vec<u8>, PeerError> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer
        .chunk()
        .await
        .map_err(|error| unreached(member, error))?
    {
        if bytes.len() + piece.len() > max {
            return Err(PeerError::Wrong {
                member: member.to_string(),
                what: "its answer is too large",
            });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// An answer of use: proved, not an error, and not a replica's farewell. "Not modified" is one; "not found"
/// and the name of another replica are left to who asked.
fn accepted(
    member: &MemberName,
    (answer, is_proved): (Response, bool),
) -> Result<Response, PeerError> {
    let (status, member) = (answer.status(), member.to_string());
    // Who does not know our secret cannot prove that it refuses us.
    if !is_proved && status == StatusCode::FORBIDDEN {
        return Err(PeerError::Stranger { member });
    }
    if !is_proved {
        let what = "its proof is missing or wrong";
        return Err(PeerError::Wrong { member, what });
    }
    let is_answer = matches!(
        status,
        StatusCode::NOT_MODIFIED | StatusCode::NOT_FOUND | StatusCode::SEE_OTHER
    );
    if status.is_success() || is_answer {
        return Ok(answer);
    }
    if answer.headers().contains_key(ARCHWAY_LEAVING) {
        return Err(PeerError::Leaving { member });
    }
    Err(PeerError::Refused { member, status })
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::{sync::oneshot, time::advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_was_held_up_itself_listens_once_more() {
        let begun = Instant::now();
        assert_eq!(in_time(GREETING, pending::<()>()).await, None);
        assert_eq!(begun.elapsed(), GREETING, "it was not");

        let (answer, answered) = oneshot::channel();
        let mut waiting = pin!(in_time(GREETING, answered));
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("nothing has come yet"),
            () = std::future::ready(()) => {}
        }
        advance(10 * GREETING).await;
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("it listens once more"),
            () = std::future::ready(()) => {}
        }
        answer.send(7).unwrap();
        assert_eq!(waiting.await, Some(Ok(7)));
    }
}
