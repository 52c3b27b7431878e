//! When images were pushed, for listings. No pull asks for it or waits for it.
//!
//! What a listing lacks is asked for on a task of its own, repository by repository, and kept. The listing waits a little and is
//! shown without what has not come by then; the next one has it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use cache::RepoKey;
use manifest_model::{Digest, RepoName};
use moka::sync::Cache;
use protocol::{error_chain::ErrorChain, host::Host};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use upstream::{ImagePushTimes, PushTimesError, Upstream};

use super::{Pull, repository_key};
use crate::inventory::{Image, Listing, seconds};

/// How long a listing waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the asking for one listing may go on.
const LONGEST: Duration = Duration::from_mins(1);

/// Listings that ask at the same time; others are shown what is known once their patience ends.
const MOST_ASKING: usize = 4;

/// Images whose time is kept: about 200 bytes each.
const MOST_KNOWN: u64 = 100_000;

/// How long a time is kept, or that there is none: an image that is deleted and pushed again has another.
const KNOWN_FOR: Duration = Duration::from_hours(24);

/// How long it is not asked again for what could not be found out.
const UNKNOWN_FOR: Duration = Duration::from_mins(5);

type Key = (RepoKey, Digest);

/// What was found out.
#[derive(Debug)]
pub(super) struct PushTimes {
    /// None is for what the upstream does not have.
    known: Cache<Key, Option<SystemTime>>,
    unknown: Cache<Key, ()>,
    asking: Arc<Semaphore>,
    stop: CancellationToken,
}

/// The images of a repository whose time is to be found out.
struct Question {
    upstream: Arc<Upstream>,
    name: RepoName,
    key: RepoKey,
    digests: Vec<Digest>,
}

impl PushTimes {
    pub(super) fn new() -> Self {
        Self {
            known: Cache::builder()
                .max_capacity(MOST_KNOWN)
                .time_to_live(KNOWN_FOR)
                .build(),
            unknown: Cache::builder()
                .max_capacity(MOST_KNOWN)
                .time_to_live(UNKNOWN_FOR)
                .build(),
            asking: Arc::new(Semaphore::new(MOST_ASKING)),
            stop: CancellationToken::new(),
        }
    }

    /// Ends what is under way.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}

impl Pull {
    /// Notes in a listing when its images were pushed, as far as an upstream that may be asked says so in time.
    pub async fn tell_pushed(&self, listing: &mut Listing) {
        let questions = self.unanswered(listing);
        if !questions.is_empty() {
            // What it has found out by then is shown either way.
            let _ = timeout(PATIENCE, self.find_out(questions)).await;
        }
        let times = &self.inner.pushed;
        for image in &mut listing.images {
            let (_, _, key) = parts(image);
            image.pushed = times.known.get(&key).flatten().map(seconds);
        }
    }

    fn unanswered(&self, listing: &Listing) -> Vec<Question> {
        let times = &self.inner.pushed;
        let mut questions = HashMap::new();
        for image in &listing.images {
            let (host, name, key) = parts(image);
            if times.known.contains_key(&key) || times.unknown.contains_key(&key) {
                continue;
            }
            let upstream = match self.inner.upstreams.find(&host) {
                Ok(Some(upstream)) if upstream.reports_push_times() => upstream,
                _ => continue,
            };
            let (repository, digest) = key;
            let question = questions.entry(repository.clone()).or_insert(Question {
                upstream,
                name,
                key: repository,
                digests: Vec::new(),
            });
            if !question.digests.contains(&digest) {
                question.digests.push(digest);
            }
        }
        questions.into_values().collect()
    }

    /// Asks on a task that goes on when nobody waits any more.
    async fn find_out(&self, questions: Vec<Question>) {
        let asking = Arc::clone(&self.inner.pushed.asking);
        let Ok(place) = asking.acquire_owned().await else {
            return;
        };
        let (pull, stop) = (self.clone(), self.inner.pushed.stop.clone());
        let work = async move {
            let mut down = HashSet::new();
            for question in questions {
                let host = question.upstream.host().clone();
                let pushed = if down.contains(&host) {
                    ImagePushTimes::default()
                } else {
                    question
                        .upstream
                        .push_times(&question.name, &question.digests)
                        .await
                };
                if matches!(pushed.error, Some(PushTimesError::Failed(_))) {
                    down.insert(host);
                }
                pull.note_pushed(question, pushed);
            }
        };
        let task = self.inner.tasks.spawn(async move {
            // Boxed: the SDK's futures are large.
            let work = timeout(LONGEST, Box::pin(work));
            stop.run_until_cancelled(work).await;
            drop(place);
        });
        let _ = task.await;
    }

    fn note_pushed(&self, question: Question, pushed: ImagePushTimes) {
        let Question { key, digests, .. } = question;
        if let Some(error) = pushed.error {
            let reason = ErrorChain(&error);
            debug!(repository = %key, %reason, "when its images were pushed is unknown");
        }
        let times = &self.inner.pushed;
        let lacking = pushed.missing.into_iter().map(|digest| (digest, None));
        let had = pushed.times.into_iter();
        let found: HashMap<_, _> = had
            .map(|(digest, time)| (digest, Some(time)))
            .chain(lacking)
            .collect();
        for digest in digests {
            let key = (key.clone(), digest);
            match found.get(&digest) {
                Some(time) => times.known.insert(key, *time),
                None => times.unknown.insert(key, ()),
            }
        }
    }
}

/// Where a listed image is.
fn parts(image: &Image) -> (Host, RepoName, Key) {
    let (host, name) = (image.upstream.clone(), image.repository.clone());
    let key = repository_key(&host, &name);
    (host, name, (key, image.digest))
}
