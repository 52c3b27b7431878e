//! Learning which platforms are pulled, and downloading those images before clients ask for them.
//!
//! A pull is a layer that a client downloads: its manifest alone proves nothing, since some clients
//! read those of all platforms. A hint counts too. Weights are kept per repository and per upstream
//! in the cache's index, where they decay. The upstream's are used only for repositories without
//! any. So only platforms that clients have pulled there before are downloaded ahead: cheap enough
//! to be the default.
//!
//! Nothing here delays a client: learning and downloading happen on tasks of their own, and
//! downloads wait for those of clients. They take half of all fills at most and skip an image
//! larger than a tenth of the cache. A HEAD starts none.

mod learned;
mod metrics;
mod parts;
mod refresh;
mod warm;

use std::sync::Arc;

use cache::RepoKey;
use config::Config;
use manifest_model::{Digest, Manifest, Platform, Tag};
use moka::sync::Cache;
use tokio::sync::Semaphore;

use self::{
    learned::ONE_PULL,
    parts::{ImageParts, PartOf},
    warm::Warmer,
};
pub(crate) use self::{
    learned::{ImageKind, LearnedPulls},
    metrics::PrefetchMetrics,
    parts::{PARTS_TTL, kinds},
};
use crate::{
    pull::{Pull, Repository},
    tasks::Tasks,
};

/// Entries of each table in memory.
const MAX_REMEMBERED: u64 = 100_000;

/// The service that watches answers and downloads ahead. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Prefetch {
    shared: Arc<PrefetchState>,
}

#[derive(Debug)]
struct PrefetchState {
    is_on: bool,
    pull: Pull,
    learned: LearnedPulls,
    /// The platform of each child and layer.
    parts: ImageParts,
    /// Manifests that were looked at a moment ago: a hot one costs no more than this look-up.
    considered: Cache<(RepoKey, Digest), ()>,
    warmer: Warmer,
    /// One permit: one round over the tags at a time.
    refreshing: Arc<Semaphore>,
}

/// A manifest that goes out, with the facts that foretell the next requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServedManifest<'a> {
    /// The tag the client used, if it was one.
    pub(crate) tag: Option<&'a Tag>,
    /// The manifest itself.
    pub(crate) manifest: &'a Manifest,
    /// The client's platform, where a hint names it.
    pub(crate) hint: Option<&'a Platform>,
    /// Whether the client wants the body. A HEAD only shows that the tag matters.
    pub(crate) is_read: bool,
}

impl Prefetch {
    /// Prefetching as `config` allows it. Nothing is started.
    pub(crate) fn new(config: &Config, pull: Pull, metrics: PrefetchMetrics, tasks: Tasks) -> Self {
        let half_life = config.prefetch.half_life;
        let parts = ImageParts::new();
        Self {
            shared: Arc::new(PrefetchState {
                is_on: config.prefetch.mode == config::Prefetch::Learned,
                learned: LearnedPulls::new(pull.cache().clone(), half_life, tasks.clone()),
                considered: Cache::builder()
                    .max_capacity(MAX_REMEMBERED)
                    .time_to_live(ONE_PULL)
                    .build(),
                warmer: Warmer::new(config, pull.clone(), parts.clone(), metrics, tasks),
                parts,
                refreshing: Arc::new(Semaphore::new(1)),
                pull,
            }),
        }
    }

    /// Whether anything is learned and downloaded ahead.
    pub(crate) fn is_on(&self) -> bool {
        self.shared.is_on
    }

    /// The pulls counted so far.
    pub(crate) fn learned(&self) -> &LearnedPulls {
        &self.shared.learned
    }

    /// Takes note of a manifest that goes out, and starts on what will be asked for next. Returns
    /// at once.
    pub(crate) fn served_manifest(&self, repository: &Repository, served: ServedManifest<'_>) {
        if !self.shared.is_on {
            return;
        }
        if let Some(tag) = served.tag {
            self.shared.learned.count_tag(repository.key(), tag);
        }
        if !served.is_read {
            return;
        }
        if served.manifest.is_index() {
            self.served_index(repository, served.manifest, served.hint);
        } else {
            self.served_image(repository, served.manifest);
        }
    }

    fn served_index(&self, repository: &Repository, index: &Manifest, hint: Option<&Platform>) {
        let hinted = hint.and_then(|hint| ImageKind::chosen(index, hint));
        if let Some(kind) = &hinted {
            self.shared.learned.count_image(repository, kind);
        }
        if !self.is_news(repository, index.digest()) {
            return;
        }
        self.shared.parts.note_children(repository.key(), index);
        let (prefetch, repository, index) = (self.clone(), repository.clone(), index.clone());
        self.shared.warmer.queue(async move {
            let mut kinds = prefetch.learned().kinds(repository.key());
            // It is being counted at this moment.
            kinds.extend(hinted.filter(|hinted| !kinds.contains(hinted)));
            let warmer = &prefetch.shared.warmer;
            warmer.warm_index(&repository, &index, &kinds).await;
        });
    }

    fn served_image(&self, repository: &Repository, image: &Manifest) {
        if !self.is_news(repository, image.digest()) {
            return;
        }
        let parts = &self.shared.parts;
        let kind = match parts.get(repository.key(), &image.digest()) {
            Some(PartOf::One(kind)) => kind,
            Some(PartOf::Several) => return,
            None => ImageKind::Any,
        };
        parts.note_layers(repository.key(), image, &kind);
        let (prefetch, repository, image) = (self.clone(), repository.clone(), image.clone());
        self.shared.warmer.queue(async move {
            let kinds = prefetch.learned().kinds(repository.key());
            if kinds.contains(&kind) {
                let warmer = &prefetch.shared.warmer;
                warmer.warm_image(&repository, &image).await;
            }
        });
    }

    /// Takes note of a blob that goes out. Returns at once.
    pub(crate) fn served_blob(&self, repository: &Repository, digest: &Digest) {
        if !self.shared.is_on {
            return;
        }
        self.shared.warmer.note_use(digest);
        if let Some(PartOf::One(kind)) = self.shared.parts.get(repository.key(), digest) {
            self.shared.learned.count_image(repository, &kind);
        }
    }

    /// Removes entries that have decayed. Called now and then.
    pub(crate) async fn sweep(&self) {
        self.shared.warmer.sweep();
        self.shared.learned.sweep().await;
    }

    /// Whether a manifest was not looked at a moment ago.
    fn is_news(&self, repository: &Repository, digest: Digest) -> bool {
        let key = (repository.key().clone(), digest);
        let considered = &self.shared.considered;
        let is_news = !considered.contains_key(&key);
        if is_news {
            considered.insert(key, ());
        }
        is_news
    }
}
