//! Learning which platforms are pulled, and having them here before they are asked for.
//!
//! A pull is a layer that a client downloads: its manifest alone proves nothing, since some clients read those of all
//! platforms. What a hint says counts too. Weights are kept per repository and per upstream in the cache's index, where they decay.
//! The upstream's are asked only for repositories nothing is known of.
//!
//! Nothing here holds a client up: learning and downloading happen on tasks of their own, and downloads wait for clients'.

mod parts;
mod rank;
mod refresh;
mod warm;

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use super::metrics::{Prefetched, PullMetrics};
use cache::RepoKey;
use config::{Config, Prefetch, PrefetchConfig};
use manifest_model::{Digest, Manifest, Platform, Reference, Tag};
use moka::{notification::RemovalCause, sync::Cache};
use protocol::error_chain::ErrorChain;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::{
    parts::{Part, Parts, kind_for},
    rank::Ranking,
};
use super::{Inner, Pull, Repository};

/// The kind of an image that no index lists: any platform.
const ANY: &str = "*";

/// The kind under which the pulls of a tag are kept, at the place of that tag.
const TAG: &str = "tag";

/// What is remembered of each kind of thing at most.
const MOST: u64 = 100_000;

/// One pull of one image is many requests: they count once.
const ONE_PULL: Duration = Duration::from_mins(1);

/// After this time a download nobody asked for counts as wasted.
const PATIENCE: Duration = Duration::from_hours(24);

/// Images waiting to be downloaded ahead at once; more are not.
const MOST_WAITING: usize = 256;

/// The share of the cache one image may take, as a divisor, to be downloaded ahead.
const LARGEST_SHARE: u64 = 10;

/// What prefetching knows and may do.
#[derive(Debug)]
pub struct Prefetcher {
    config: PrefetchConfig,
    /// The platform each child and layer is for.
    parts: Parts,
    /// Pulls that were counted a moment ago.
    counted: Cache<String, ()>,
    /// Manifests that were looked at a moment ago: a hot one costs no more than this look-up.
    considered: Cache<(RepoKey, Digest), ()>,
    /// Blobs that were downloaded ahead and nobody has asked for yet.
    warmed: Cache<Digest, ()>,
    /// One permit per download ahead; closed where there are to be none.
    slots: Semaphore,
    /// Downloads ahead that have begun.
    running: AtomicUsize,
    /// One permit per image that waits or is being downloaded.
    waiting: Arc<Semaphore>,
    /// One round over the tags at a time.
    refreshing: Arc<Semaphore>,
    /// Running fills of clients from which on nothing is started.
    busy: usize,
    largest: u64,
    ranking: Ranking,
    stop: CancellationToken,
}

impl Prefetcher {
    /// What `config` allows. Nothing is started.
    pub fn new(config: &Config, metrics: &PullMetrics) -> Self {
        let counting = metrics.clone();
        let wasted = move |_: Arc<Digest>, (), cause: RemovalCause| {
            if matches!(cause, RemovalCause::Expired | RemovalCause::Size) {
                counting.prefetched(Prefetched::Wasted).inc();
            }
        };
        Self {
            parts: Parts::new(),
            counted: Cache::builder()
                .max_capacity(MOST)
                .time_to_live(ONE_PULL)
                .build(),
            considered: Cache::builder()
                .max_capacity(MOST)
                .time_to_live(ONE_PULL)
                .build(),
            warmed: Cache::builder()
                .max_capacity(MOST)
                .time_to_live(PATIENCE)
                .eviction_listener(wasted)
                .build(),
            slots: slots(config),
            running: AtomicUsize::new(0),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            refreshing: Arc::new(Semaphore::new(1)),
            busy: (config.cache.max_fills / 2).max(1),
            largest: config.cache.max_size / LARGEST_SHARE,
            ranking: Ranking::new(),
            stop: CancellationToken::new(),
            config: config.prefetch.clone(),
        }
    }

    fn is_on(&self) -> bool {
        self.config.mode == Prefetch::Learned
    }

    /// Ends what is under way; fills go on, since others may follow them.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether `manifest` was not looked at a moment ago.
    fn is_news(&self, repository: &Repository, digest: Digest) -> bool {
        let key = (repository.key.clone(), digest);
        let is_news = !self.considered.contains_key(&key);
        if is_news {
            self.considered.insert(key, ());
        }
        is_news
    }
}

/// What a client asked for and got, as far as it tells what will be asked for next.
#[derive(Clone, Copy, Debug)]
pub struct ServedManifest<'a> {
    /// The name the client used.
    pub reference: &'a Reference,
    /// What is there by that name.
    pub manifest: &'a Manifest,
    /// The client's platform, as far as a source told it.
    pub hint: Option<&'a Platform>,
    /// Whether the client wants the body. A HEAD only tells that the tag matters.
    pub is_read: bool,
    /// Who asks, as seen behind trusted proxies.
    pub client: IpAddr,
}

impl Pull {
    /// Takes note of a manifest that goes out, and starts on what will be asked for next. Returns at once.
    pub fn served_manifest(&self, repository: &Repository, served: ServedManifest<'_>) {
        let digest = served.manifest.digest();
        let Inner {
            cache,
            clients,
            prefetch,
            ..
        } = &*self.inner;
        // It may have come from memory, and the cache has not seen it go.
        cache.used(&digest);
        if served.is_read {
            clients.note(cache, &repository.key, &digest, served.client);
        }
        if !prefetch.is_on() {
            return;
        }
        if let Reference::Tag(tag) = served.reference {
            self.learn(place_of_tag(&repository.key, tag), TAG);
        }
        if !served.is_read {
            return;
        }
        if !served.manifest.is_index() {
            self.served_image(repository, served.manifest);
            return;
        }
        let hinted = served.hint.and_then(|hint| kind_for(served.manifest, hint));
        if let Some(kind) = &hinted {
            self.learn_pull(repository, kind);
        }
        if prefetch.is_news(repository, digest) {
            prefetch
                .parts
                .note_children(&repository.key, served.manifest);
            let (repository, index) = (repository.clone(), served.manifest.clone());
            self.ahead(async move |pull| {
                let mut kinds = pull.learned(&repository);
                // Being learned at this moment.
                kinds.extend(hinted.filter(|hinted| !kinds.contains(hinted)));
                pull.warm_index(&repository, &index, &kinds).await;
            });
        }
    }

    fn served_image(&self, repository: &Repository, image: &Manifest) {
        let prefetch = &self.inner.prefetch;
        if !prefetch.is_news(repository, image.digest()) {
            return;
        }
        let kind = match prefetch.parts.get(&repository.key, &image.digest()) {
            Some(Part::One(kind)) => kind,
            Some(Part::Several) => return,
            None => ANY.into(),
        };
        prefetch.parts.note_layers(&repository.key, image, &kind);
        let (repository, image) = (repository.clone(), image.clone());
        self.ahead(async move |pull| {
            if pull
                .learned(&repository)
                .iter()
                .any(|known| **known == *kind)
            {
                pull.warm_image(&repository, &image).await;
            }
        });
    }

    /// Takes note of a blob that goes out. Returns at once.
    pub fn served_blob(&self, repository: &Repository, digest: &Digest) {
        let prefetch = &self.inner.prefetch;
        if !prefetch.is_on() {
            return;
        }
        if prefetch.warmed.remove(digest).is_some() {
            self.inner.metrics.prefetched(Prefetched::Used).inc();
        }
        if let Some(Part::One(kind)) = prefetch.parts.get(&repository.key, digest) {
            self.learn_pull(repository, &kind);
        }
    }

    /// The kinds pulled from a repository; of one nothing is known of, those of its upstream.
    fn learned(&self, repository: &Repository) -> Vec<String> {
        self.learned_for(&repository.key)
    }

    fn learned_for(&self, repository: &RepoKey) -> Vec<String> {
        let known = self.learned_at(repository.as_str());
        if known.is_empty() {
            self.learned_at(repository.upstream())
        } else {
            known
        }
    }

    fn learned_at(&self, place: &str) -> Vec<String> {
        let half_life = self.inner.prefetch.config.half_life;
        match self.inner.cache.learned().kinds(place, half_life) {
            Ok(learned) => learned.into_iter().map(|learned| learned.kind).collect(),
            Err(error) => {
                warn!(error = %ErrorChain(&error), "what was learned cannot be read");
                Vec::new()
            }
        }
    }

    fn learn_pull(&self, repository: &Repository, kind: &str) {
        self.learn(repository.key.to_string(), kind);
        self.learn(repository.upstream.host().to_string(), kind);
    }

    fn learn(&self, place: String, kind: &str) {
        let prefetch = &self.inner.prefetch;
        let pull = format!("{place}\0{kind}");
        if prefetch.counted.contains_key(&pull) {
            return;
        }
        prefetch.counted.insert(pull, ());
        let (learned, kind) = (self.inner.cache.learned().clone(), kind.to_owned());
        let half_life = prefetch.config.half_life;
        self.inner.tasks.spawn(async move {
            if let Err(error) = learned.add(place, kind, half_life).await {
                warn!(error = %ErrorChain(&error), "a pull could not be noted");
            }
        });
    }

    /// Sweeps what has decayed. Called now and then.
    pub async fn forget_learned(&self) {
        let prefetch = &self.inner.prefetch;
        prefetch.warmed.run_pending_tasks();
        let half_life = prefetch.config.half_life;
        if let Err(error) = self.inner.cache.learned().sweep(half_life).await {
            warn!(error = %ErrorChain(&error), "what was learned cannot be swept");
        }
    }
}

/// Downloads ahead take half of all at most, so that a client's need not wait for one. Where there is one in all, there are none.
fn slots(config: &Config) -> Semaphore {
    let most = config.prefetch.max_running.min(config.cache.max_fills / 2);
    let slots = Semaphore::new(most);
    if most == 0 {
        slots.close();
    }
    slots
}

/// Where the pulls of a tag are counted.
fn place_of_tag(repository: &RepoKey, tag: &Tag) -> String {
    format!("{repository}:{tag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_ahead_leave_clients_half_of_all_and_the_only_one() {
        for (max_fills, max_running, expected) in [(64, 4, 4), (4, 4, 2), (5, 4, 2), (1, 4, 0)] {
            let text = format!(
                "[cache]\nmax_fills = {max_fills}\n[prefetch]\nmax_running = {max_running}"
            );
            let slots = slots(&Config::parse("archway.toml", &text).unwrap());
            assert_eq!(slots.available_permits(), expected, "{text}");
            assert_eq!(slots.is_closed(), expected == 0, "{text}");
        }
    }
}
