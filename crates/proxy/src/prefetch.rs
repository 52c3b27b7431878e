//! Learning which platforms are pulled, and downloading those images before clients ask for them.
//!
//! A pull is a layer that a client downloads: its manifest alone proves nothing, since some clients
//! read those of all platforms. A hint counts too. Weights are kept per repository and per upstream
//! in the cache's index, where they decay. The upstream's are used only for repositories without
//! any. So only platforms that clients have pulled there before are downloaded ahead: cheap enough
//! to be the default.
//!
//! A manifest costs a client nothing to ask for, so it alone brings no layers: from a repository of
//! which no client has pulled one, manifests and configs are downloaded ahead, and no more. What all
//! clients together have downloaded from one upstream has a budget of bytes for each hour.
//!
//! Nothing here delays a client: learning and downloading happen on tasks of their own, and
//! downloads wait for those of clients. They take half of all fills at most and skip an image
//! larger than a tenth of the cache. A HEAD starts none.

mod budget;
mod learned;
mod metrics;
mod nodes;
mod parts;
mod refresh;
mod settings;
mod warm;

use std::{sync::Arc, time::Duration};

use cache::RepoKey;
use cluster::NodeList;
use config::{Config, PrefetchConfig};
use manifest_model::{Digest, Manifest, Platform, Tag};
use moka::sync::Cache;
use pull::{Asker, Pull, Repository, Tasks};
use server::MemoryPressure;
use tokio::sync::{Notify, Semaphore};

use self::{
    learned::ONE_PULL,
    parts::{ImageParts, PartOf},
    settings::Settings,
    warm::{Ahead, Warmer},
};
pub(crate) use self::{
    learned::{ImageKind, LearnedPulls},
    metrics::PrefetchMetrics,
    parts::{PARTS_TTL, kinds},
};

/// Entries of each table in memory.
const MAX_REMEMBERED: u64 = 100_000;

/// Choices of hints remembered.
const MAX_CHOICES: u64 = 10_000;

/// The service that watches answers and downloads ahead. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Prefetch {
    shared: Arc<PrefetchState>,
}

#[derive(Debug)]
struct PrefetchState {
    settings: Settings,
    /// Told when the settings are replaced.
    replaced: Notify,
    pull: Pull,
    nodes: NodeList,
    learned: LearnedPulls,
    /// The platform of each child and layer.
    parts: ImageParts,
    /// Manifests that were looked at a moment ago: a hot one costs no more than this look-up.
    considered: Cache<(RepoKey, Digest), ()>,
    /// The kinds that hints chose from indexes: a choice among thousands takes milliseconds.
    chosen: Cache<(Digest, Platform), Option<ImageKind>>,
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
    pub(crate) fn new(
        config: &Config,
        pull: Pull,
        nodes: NodeList,
        pressure: MemoryPressure,
        metrics: PrefetchMetrics,
        tasks: Tasks,
    ) -> Self {
        let settings = Settings::new(config.prefetch.clone());
        let parts = ImageParts::new();
        Self {
            shared: Arc::new(PrefetchState {
                replaced: Notify::new(),
                learned: LearnedPulls::new(pull.cache().clone(), settings.clone(), tasks.clone()),
                considered: Cache::builder()
                    .max_capacity(MAX_REMEMBERED)
                    .time_to_live(ONE_PULL)
                    .build(),
                chosen: Cache::builder()
                    .max_capacity(MAX_CHOICES)
                    .time_to_live(PARTS_TTL)
                    .build(),
                warmer: Warmer::new(
                    config,
                    pull.clone(),
                    pressure,
                    parts.clone(),
                    metrics,
                    tasks,
                ),
                parts,
                refreshing: Arc::new(Semaphore::new(1)),
                settings,
                pull,
                nodes,
            }),
        }
    }

    /// Whether anything is learned and downloaded ahead.
    pub(crate) fn is_on(&self) -> bool {
        self.shared.settings.are_on()
    }

    /// Puts other settings in force. What is under way goes on as it began.
    pub(crate) fn replace(&self, config: PrefetchConfig) {
        self.shared.warmer.replace(&config);
        self.shared.settings.replace(config);
        self.shared.replaced.notify_one();
    }

    /// Returns when other settings are in force. For one caller.
    pub(crate) async fn replaced(&self) {
        self.shared.replaced.notified().await;
    }

    /// How often known tags are asked for again; zero for never.
    pub(crate) fn refresh_interval(&self) -> Duration {
        self.shared.settings.current().refresh
    }

    /// The pulls counted so far.
    pub(crate) fn learned(&self) -> &LearnedPulls {
        &self.shared.learned
    }

    /// Takes note of a manifest that goes out, and starts on what will be asked for next. Returns
    /// at once.
    pub(crate) fn served_manifest(&self, repository: &Repository, served: ServedManifest<'_>) {
        if !self.is_on() {
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

    /// Of an offline upstream the platforms are learned, and nothing is downloaded.
    fn served_index(&self, repository: &Repository, index: &Manifest, hint: Option<&Platform>) {
        let hinted = hint.and_then(|hint| {
            let key = (index.digest(), hint.clone());
            let chosen = || ImageKind::chosen(index, hint);
            self.shared.chosen.get_with(key, chosen)
        });
        if let Some(kind) = &hinted {
            self.shared.learned.count_image(repository, kind);
        }
        if !self.is_news(repository, index.digest()) {
            return;
        }
        self.shared.parts.note_children(repository.key(), index);
        if repository.upstream().is_offline() {
            return;
        }
        let repository = repository.asked_for(Asker::Ahead);
        let (prefetch, index) = (self.clone(), index.clone());
        self.shared.warmer.queue(async move {
            let mut kinds = prefetch.kinds_in(&index, repository.key());
            // It is being counted at this moment.
            kinds.extend(hinted.filter(|hinted| !kinds.contains(hinted)));
            let warmer = &prefetch.shared.warmer;
            let what = prefetch.ahead_of(&repository);
            warmer.warm_index(&repository, &index, &kinds, what).await;
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
        if repository.upstream().is_offline() {
            return;
        }
        let repository = repository.asked_for(Asker::Ahead);
        let (prefetch, image) = (self.clone(), image.clone());
        self.shared.warmer.queue(async move {
            let kinds = prefetch.learned().kinds(repository.key());
            if kinds.contains(&kind) {
                let warmer = &prefetch.shared.warmer;
                let what = prefetch.ahead_of(&repository);
                warmer.warm_image(&repository, &image, what).await;
            }
        });
    }

    /// How much of an image of a repository is downloaded ahead.
    fn ahead_of(&self, repository: &Repository) -> Ahead {
        if self.learned().has_layers(repository.key()) {
            Ahead::Images
        } else {
            Ahead::Configs
        }
    }

    /// Takes note of a blob that goes out. Returns at once.
    pub(crate) fn served_blob(&self, repository: &Repository, digest: &Digest) {
        if !self.is_on() {
            return;
        }
        self.shared.warmer.note_use(digest);
        let Some(part) = self.shared.parts.get(repository.key(), digest) else {
            return;
        };
        self.shared.learned.count_layer(repository.key());
        if let PartOf::One(kind) = part {
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
