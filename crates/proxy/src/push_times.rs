//! When images were pushed, for listings; private ECR alone reports it. No pull asks for it or
//! waits for it.
//!
//! Owns the times found out so far. Times that a listing lacks are asked for on a task of its own,
//! repository by repository, and kept for a day. The listing waits a little and is shown without
//! the times that have not come by then; the next one has them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use cache::RepoKey;
use manifest_model::{Digest, RepoName};
use moka::sync::Cache;
use protocol::error_chain::ErrorChain;
use pull::{Pull, Tasks, repository_key};
use tokio::{sync::Semaphore, time::timeout};
use tracing::debug;
use upstream::{ImagePushTimes, PushTimesError, Upstream};

use image_inventory::{Image, Listing, Moment};

/// How long a listing waits for its times.
const LISTING_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the asking for one listing may go on.
const ASKING_TIMEOUT: Duration = Duration::from_mins(1);

/// Listings that ask at the same time; others are shown the known times after their timeout.
const MAX_ASKING: usize = 4;

/// Images whose time is kept: about 200 bytes each.
const MAX_KNOWN: u64 = 100_000;

/// How long a time, or its absence, is kept: an image that is deleted and pushed again has another.
const KNOWN_TTL: Duration = Duration::from_hours(24);

/// How long Archway waits before it asks again for a time that it could not find out.
const UNKNOWN_TTL: Duration = Duration::from_mins(5);

type ImageKey = (RepoKey, Digest);

/// The push times found out so far. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct PushTimes {
    pull: Pull,
    /// `None` for an image that the upstream does not have.
    known: Cache<ImageKey, Option<SystemTime>>,
    unknown: Cache<ImageKey, ()>,
    asking: Arc<Semaphore>,
    tasks: Tasks,
}

/// The images of a repository whose time is to be found out.
struct Unanswered {
    upstream: Arc<Upstream>,
    name: RepoName,
    key: RepoKey,
    digests: Vec<Digest>,
}

impl PushTimes {
    pub(crate) fn new(pull: Pull, tasks: Tasks) -> Self {
        Self {
            pull,
            known: Cache::builder()
                .max_capacity(MAX_KNOWN)
                .time_to_live(KNOWN_TTL)
                .build(),
            unknown: Cache::builder()
                .max_capacity(MAX_KNOWN)
                .time_to_live(UNKNOWN_TTL)
                .build(),
            asking: Arc::new(Semaphore::new(MAX_ASKING)),
            tasks,
        }
    }

    /// Fills in when the images of a listing were pushed, as far as upstreams that may be asked
    /// answer in time.
    pub(crate) async fn fill_in(&self, listing: &mut Listing) {
        let unanswered = self.unanswered(listing);
        if !unanswered.is_empty() {
            // The times found by then are shown either way.
            let _ = timeout(LISTING_TIMEOUT, self.find_out(unanswered)).await;
        }
        for image in &mut listing.images {
            let key = key_of(image);
            image.pushed = self.known.get(&key).flatten().map(Moment::from);
        }
    }

    fn unanswered(&self, listing: &Listing) -> Vec<Unanswered> {
        let mut unanswered = HashMap::new();
        for image in &listing.images {
            let key = key_of(image);
            if self.known.contains_key(&key) || self.unknown.contains_key(&key) {
                continue;
            }
            let upstream = match self.pull.upstreams().find(&image.upstream) {
                Ok(Some(upstream)) if upstream.reports_push_times() => upstream,
                _ => continue,
            };
            let (repository, digest) = key;
            let of_repository = unanswered.entry(repository.clone()).or_insert(Unanswered {
                upstream,
                name: image.repository.clone(),
                key: repository,
                digests: Vec::new(),
            });
            if !of_repository.digests.contains(&digest) {
                of_repository.digests.push(digest);
            }
        }
        unanswered.into_values().collect()
    }

    /// Asks on a task that continues when no listing waits for it any more.
    async fn find_out(&self, unanswered: Vec<Unanswered>) {
        let Ok(permit) = Arc::clone(&self.asking).acquire_owned().await else {
            return;
        };
        let times = self.clone();
        let task = self.tasks.spawn(async move {
            // Boxed: the SDK's futures are large.
            let asking = timeout(ASKING_TIMEOUT, Box::pin(times.ask(unanswered)));
            times.tasks.until_closing(asking).await;
            drop(permit);
        });
        let _ = task.await;
    }

    async fn ask(&self, unanswered: Vec<Unanswered>) {
        let mut down = HashSet::new();
        for Unanswered {
            upstream,
            name,
            key,
            digests,
        } in unanswered
        {
            let pushed = if down.contains(upstream.host()) {
                ImagePushTimes::default()
            } else {
                upstream.push_times(&name, &digests).await
            };
            if matches!(pushed.error, Some(PushTimesError::Failed(_))) {
                down.insert(upstream.host().clone());
            }
            self.note(&key, &digests, pushed);
        }
    }

    fn note(&self, repository: &RepoKey, digests: &[Digest], pushed: ImagePushTimes) {
        if let Some(error) = pushed.error {
            let reason = ErrorChain(&error);
            debug!(%repository, %reason, "the push times of a repository are unknown");
        }
        let lacking = pushed.missing.into_iter().map(|digest| (digest, None));
        let had = pushed.times.into_iter();
        let found: HashMap<_, _> = had
            .map(|(digest, time)| (digest, Some(time)))
            .chain(lacking)
            .collect();
        for digest in digests {
            let key = (repository.clone(), *digest);
            match found.get(digest) {
                Some(time) => self.known.insert(key, *time),
                None => self.unknown.insert(key, ()),
            }
        }
    }
}

fn key_of(image: &Image) -> ImageKey {
    let repository = repository_key(&image.upstream, &image.repository);
    (repository, image.digest)
}
