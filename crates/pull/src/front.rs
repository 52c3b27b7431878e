//! [`Pull`], the front of pulling: it owns the parts and passes each question to one of them.

use std::sync::Arc;

use admin_api::{Fills, FillsNow};
use cache::{
    Cache, CacheError,
    inspect::{Removal, Removed},
};
use config::CacheConfig;
use manifest_model::{Digest, Manifest, Platform, Reference, RepoName, Tag};
use protocol::host::Host;
use slots::{AllSlots, Asker};
use upstream::{ListingKind, Registry};

use crate::{
    announced::AnnouncedSizes,
    answer::{Client, Outcome, Served},
    authority::Authority,
    blobs::{BlobAnswer, Blobs},
    error::PullError,
    fill::Filler,
    foretell,
    lists::{List, Lists, PageQuery},
    manifests::Manifests,
    metrics::PullMetrics,
    nearby::Nearby,
    platforms::Platforms,
    repository::Repository,
    resolver::Resolver,
    rules::Rules,
    stock::{Missing, Stock, Stocks},
    tasks::Tasks,
};

/// The front of pulling. Cheap to clone; all clones are the same service.
#[derive(Clone, Debug)]
pub struct Pull {
    parts: Arc<PullParts>,
}

#[derive(Debug)]
struct PullParts {
    cache: Cache,
    upstreams: Registry,
    metrics: PullMetrics,
    slots: AllSlots,
    filler: Arc<Filler>,
    blobs: Arc<Blobs>,
    lists: Lists,
    manifests: Arc<Manifests>,
    platforms: Arc<Platforms>,
    stocks: Stocks,
    resolver: Resolver,
}

impl Pull {
    /// Pulling over a cache and the upstreams.
    pub fn new(
        cache: &Cache,
        upstreams: Registry,
        config: &CacheConfig,
        metrics: PullMetrics,
        nearby: Nearby,
        tasks: &Tasks,
    ) -> Self {
        let slots = metrics.slots(config);
        metrics.count_from_now(upstreams.config().patterns());
        let filler = Filler::new(
            cache.clone(),
            metrics.clone(),
            slots.fills.clone(),
            config,
            nearby.clone(),
            tasks.clone(),
        );
        let (filler, announced) = (Arc::new(filler), AnnouncedSizes::new());
        let blobs = Blobs::new(
            cache.clone(),
            Arc::clone(&filler),
            announced.clone(),
            &slots,
            nearby.tier.clone(),
            tasks.clone(),
        );
        let blobs = Arc::new(blobs);
        let manifests = Manifests::new(
            cache.clone(),
            announced.clone(),
            slots.calls.clone(),
            nearby.clone(),
            tasks.clone(),
        );
        let manifests = Arc::new(manifests);
        let stocks = Stocks::new(cache.clone(), Arc::clone(&manifests), announced);
        let platforms = Arc::new(Platforms::new(Arc::clone(&manifests), Arc::clone(&blobs)));
        let rules = Arc::new(Rules::new(
            cache.clone(),
            Arc::clone(&manifests),
            Arc::clone(&platforms),
            tasks.clone(),
        ));
        let authority = Authority::new(cache.clone(), nearby, Arc::clone(&manifests));
        let resolver = Resolver::new(
            cache.clone(),
            authority,
            Arc::clone(&manifests),
            Arc::clone(&platforms),
            rules,
            metrics.clone(),
        );
        Self {
            parts: Arc::new(PullParts {
                cache: cache.clone(),
                upstreams,
                metrics,
                filler,
                blobs,
                lists: Lists::new(cache.clone(), slots.calls.clone(), tasks.clone()),
                slots,
                manifests,
                platforms,
                stocks,
                resolver,
            }),
        }
    }

    /// The cache underneath.
    pub fn cache(&self) -> &Cache {
        &self.parts.cache
    }

    /// Removes stored content at once: the next pull asks the upstream, and stores all of it again.
    pub async fn remove(&self, removals: Vec<Removal>) -> Result<Vec<Removed>, CacheError> {
        let removed = self.parts.cache.remove(removals).await;
        // Some may be gone even if it failed.
        self.parts.manifests.forget();
        removed
    }

    /// What is being downloaded now.
    pub fn running(&self) -> Vec<Digest> {
        self.parts.filler.running().digests()
    }

    /// The downloads that run, and the last that ended, for operators. What image one is for is left
    /// out: [`Self::image_with`] looks for it.
    pub fn fills(&self) -> Fills {
        self.parts.filler.book().fills()
    }

    /// The sums of the downloads that run.
    pub fn fills_now(&self) -> FillsNow {
        self.parts.filler.book().now()
    }

    /// The image that a blob of the repository belongs to, and the platform of that, as far as stored
    /// manifests tell. Asks nobody, and reads a bounded number of files.
    pub async fn image_with(
        &self,
        repository: &Repository,
        blob: &Digest,
    ) -> (Option<Reference>, Option<Platform>) {
        self.parts.stocks.image_with(repository, blob).await
    }

    /// What a client would be answered without a question to anybody, and without a change; `None` if
    /// the name is not stored. Blocks.
    pub fn foretell(
        &self,
        repository: &Repository,
        reference: &Reference,
        client: &Client<'_>,
    ) -> Result<Option<Served>, PullError> {
        foretell::foretell(&self.parts.cache, repository, reference, client)
    }

    /// Whether the content of a digest is stored and proved to be in the repository, or on its way.
    /// Asks nobody.
    pub fn holds(&self, repository: &Repository, digest: &Digest) -> bool {
        let cache = &self.parts.cache;
        let is_proved = || cache.is_confirmed(&repository.key, digest);
        let is_stored = || matches!(cache.peek_size(digest), Ok(Some(_)));
        let running = self.parts.filler.running().of(digest);
        let is_coming = running.is_some_and(|sources| sources.is_coming());
        is_coming || (is_proved() && is_stored())
    }

    /// The upstreams that can be asked.
    pub fn upstreams(&self) -> &Registry {
        &self.parts.upstreams
    }

    /// What keeps blobs from being stored, in words; nothing while they are.
    pub fn full_disk(&self) -> Option<String> {
        self.parts.filler.full_disk().status()
    }

    /// Sets the gauges of the metrics to how the cache and the upstreams are now.
    pub fn observe(&self) {
        let (cache, slots) = (&self.parts.cache, &self.parts.slots);
        let (metrics, upstreams) = (&self.parts.metrics, &self.parts.upstreams);
        metrics.observe(&cache.usage(), cache.max_size(), slots);
        metrics.observe_integrity(&cache.usage(), upstreams.corrupt_answers());
        upstreams.observe();
    }

    /// `name` at the upstream `host`, for `asker`; `None` where that upstream is not configured.
    pub fn repository(
        &self,
        host: &Host,
        name: &RepoName,
        asker: Asker,
    ) -> Result<Option<Repository>, PullError> {
        let upstream = self.parts.upstreams.find(host)?;
        Ok(upstream.map(|upstream| Repository::new(upstream, name, asker)))
    }

    /// The manifest that goes out to `client` for `reference`. An error here means that nothing was
    /// found; an error of [`Served::manifest`] that the index found has no child for the client.
    pub async fn answer(
        &self,
        repository: &Repository,
        reference: &Reference,
        client: &Client<'_>,
    ) -> Result<Served, PullError> {
        let resolver = &self.parts.resolver;
        resolver.answer(repository, reference, client).await
    }

    /// A blob of the repository: stored, arriving, or asked for from now on. Returns when its size
    /// is known.
    pub async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<BlobAnswer, PullError> {
        self.parts.blobs.get(repository, digest).await
    }

    /// The size of a blob. Nothing is downloaded for it.
    pub async fn blob_size(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(Option<u64>, Outcome), PullError> {
        self.parts.blobs.size(repository, digest).await
    }

    /// One page of tags or referrers.
    pub async fn list(
        &self,
        repository: &Repository,
        kind: ListingKind,
        query: &PageQuery,
    ) -> Result<List, PullError> {
        self.parts.lists.page(repository, kind, query).await
    }

    /// What is stored of an image that `missing` is part of, for the answer to a client of an offline
    /// upstream that was to get the image for `wanted`.
    pub async fn stock(
        &self,
        repository: &Repository,
        missing: Missing<'_>,
        wanted: Option<&Platform>,
    ) -> Stock {
        self.parts.stocks.of(repository, missing, wanted).await
    }

    /// The child of an index for a platform, ahead of any client; `None` where the index is for no
    /// platform at all.
    pub async fn child(
        &self,
        repository: &Repository,
        index: &Manifest,
        platform: &Platform,
    ) -> Result<Option<Manifest>, PullError> {
        self.parts
            .platforms
            .child(&repository.anew(), index, platform)
            .await
    }

    /// Asks for a known tag again if it is due; the manifest is there if the tag has moved.
    pub async fn renew(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<Manifest>, PullError> {
        self.parts.resolver.renew(&repository.anew(), tag).await
    }

    /// Asks the upstream for a tag now, however fresh or immutable it is, and moves it. The digest is
    /// where it pointed before, if it was known. Of an offline upstream it is an error.
    pub async fn refresh(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<(Option<Digest>, Manifest), PullError> {
        self.parts.resolver.refresh(&repository.anew(), tag).await
    }
}
