//! Feeding a fill from its upstream: over one connection or several, through cuts, stalls and our
//! own restarts.
//!
//! Owns the connections of downloads and their number. Refuses to choose the repository, or the
//! clients that may read the bytes: `blobs` does both.

pub(crate) mod book;
mod download;
mod first_answer;
mod full_disk;
mod place;
mod plan;
pub(crate) mod resumes;
mod scale;
pub(crate) mod sources;
mod transfer;
mod waits;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use admin_api::{FillEnd, FillWait};
use cache::{Cache, Fill, FillError, SourceError, Spans};
use config::CacheConfig;
use futures_util::StreamExt;
use manifest_model::Digest;
use protocol::error_chain::ErrorChain;
use slots::{Asker, Slots};
use tokio::sync::Semaphore;
use tracing::{Instrument, debug, info, info_span, warn};
use upstream::{BlobBody, Deadline, FetchError};

use self::{
    book::{FillBook, FillPage},
    download::Download,
    first_answer::{FirstAnswer, first_answer},
    full_disk::FullDisk,
    plan::Plan,
    sources::{RunningSources, Sources},
    transfer::Transfer,
};
use crate::{
    PullError, PullMetrics, Repository,
    error::{FillFailure, SourceFailure},
    failures::{BlobKey, Failures, FirstByte},
    nearby::Nearby,
    tasks::Tasks,
};

/// How long a download waits for a slot to begin. Its client can go past the cache, or to another
/// host, and both are better than a wait.
pub(super) const SLOT_WAIT: Duration = Duration::from_millis(1500);

/// Runs fills, each on a task of its own.
#[derive(Debug)]
pub(super) struct Filler {
    cache: Cache,
    metrics: PullMetrics,
    slots: Slots,
    /// Connections that downloads may have beside their first, over all upstreams.
    extra_connections: Arc<Semaphore>,
    failures: Arc<Failures<BlobKey>>,
    full_disk: FullDisk,
    running: RunningSources,
    book: FillBook,
    nearby: Nearby,
    tasks: Tasks,
}

impl Filler {
    pub(super) fn new(
        cache: Cache,
        metrics: PullMetrics,
        slots: Slots,
        config: &CacheConfig,
        nearby: Nearby,
        tasks: Tasks,
    ) -> Self {
        Self {
            cache,
            metrics,
            slots,
            extra_connections: Arc::new(Semaphore::new(config.max_extra_connections)),
            failures: Arc::default(),
            full_disk: FullDisk::default(),
            running: RunningSources::default(),
            book: FillBook::new(config.max_fills),
            nearby,
            tasks,
        }
    }

    /// The downloads that nobody is to wait for again.
    pub(super) fn failures(&self) -> &Failures<BlobKey> {
        &self.failures
    }

    /// What keeps blobs from being stored.
    pub(super) fn full_disk(&self) -> &FullDisk {
        &self.full_disk
    }

    /// The places of the downloads that run.
    pub(super) fn running(&self) -> &RunningSources {
        &self.running
    }

    /// What is told of all downloads.
    pub(super) fn book(&self) -> &FillBook {
        &self.book
    }

    /// Brings a blob to the cache, or an error to its followers.
    /// `announced` is the size that a manifest gives it.
    pub(super) fn start(
        self: &Arc<Self>,
        repository: Repository,
        fill: Fill,
        announced: Option<u64>,
    ) {
        let filler = Arc::clone(self);
        // The followers wait from here on, for the slot too.
        let nearby = self.nearby.sources(&repository, &fill.digest());
        let running = self.running.begin(fill.digest(), &repository, nearby);
        let page = self.book.open(&repository, &fill, running.sources());
        self.tasks.spawn(async move {
            let span = info_span!("fill", upstream = %repository.upstream.host(), repository = %repository.name, digest = %fill.digest());
            let (sources, page) = (running.sources(), page.page());
            let run = filler.run(&repository, fill, announced, sources, page);
            // Cut by shutdown, the fill is dropped, which fails its followers.
            let run = filler.tasks.until_cut(Box::pin(run));
            run.instrument(span).await;
        });
    }

    async fn run(
        &self,
        repository: &Repository,
        mut fill: Fill,
        announced: Option<u64>,
        sources: &Arc<Sources>,
        page: &Arc<FillPage>,
    ) {
        let digest = fill.digest();
        let Some(slot) = self.slots.take(repository.claim(), SLOT_WAIT).await else {
            self.metrics.fills_unanswered.inc();
            page.ends(FillEnd::NoSlot, None);
            fill.fail(Arc::new(SourceFailure::NoSlot)).await;
            return;
        };
        page.waits_for(FillWait::Answer);
        let (audience, began) = (fill.audience(), Instant::now());
        // Work ahead of clients follows its own fill.
        let unheard = usize::from(repository.asker == Asker::Ahead);
        let starting = AtomicBool::new(false);
        let is_followed = || starting.load(Ordering::Relaxed) || audience.count() > unheard;
        let brought = tokio::select! {
            brought = self.bring(&mut fill, announced, &starting, sources, page) => brought,
            never = sources.moves(|claim| slot.recount(claim)) => match never {},
            () = slot.recalled_unless(is_followed) => {
                info!("a download that nobody follows gives way; the next request for it resumes it");
                page.brought();
                page.ends(FillEnd::GaveWay, None);
                fill.fail(Arc::new(SourceFailure::GaveWay)).await;
                return;
            }
        };
        page.brought();
        let outcome = match brought {
            Ok(size) => fill.commit().await.map(|()| size),
            Err(FeedError::Unanswered(error)) => {
                debug!(error = %error.chain(), "the upstream did not give the blob");
                self.metrics.fills_unanswered.inc();
                page.ends(FillEnd::Failed, Some(error.chain().to_string()));
                let has_waited = error.came_after_a_wait();
                self.fail(repository, fill, error, has_waited).await;
                return;
            }
            Err(FeedError::Source(error)) => {
                let has_waited = error.came_after_resumes();
                Err(self.fail(repository, fill, error, has_waited).await)
            }
            Err(FeedError::Start(error)) => Err(error),
        };
        let wrong = outcome.as_ref().err().map(|error| FillFailure::of(error));
        if matches!(wrong, Some(FillFailure::Content)) {
            self.doubt(&digest, sources);
        }
        self.count(outcome, began, page);
    }

    /// The places of a blob have sent what it is not.
    fn doubt(&self, digest: &Digest, sources: &Sources) {
        self.running.were_wrong(digest, sources);
        if let Some(tier) = &self.nearby.tier {
            tier.doubt(digest);
        }
    }

    /// Fails the fill with `error`, which is remembered if it came after timeouts or resumes.
    async fn fail(
        &self,
        repository: &Repository,
        fill: Fill,
        error: FetchError,
        has_waited: bool,
    ) -> Arc<FillError> {
        let (digest, key) = (fill.digest(), (fill.digest(), repository.key.clone()));
        let is_answer = !error.is_transient() && !has_waited;
        let came_soon = error.is_for_want_of_bytes();
        let source: SourceError = Arc::new(SourceFailure::Upstream {
            repository: repository.key.clone(),
            source: error,
        });
        // Before its followers know: one of them may ask again at once.
        if has_waited {
            let source = Arc::clone(&source);
            let error = PullError::Fill(Arc::new(FillError::Source { digest, source }));
            if came_soon {
                self.failures.note_soon(&key, error);
            } else {
                self.failures.note(&key, error);
            }
        } else if is_answer {
            self.failures.forget(&key);
        }
        fill.fail(source).await
    }

    /// Asks for the blob, links it and hands its bytes to the fill; returns their number. `starting` is true while the fill
    /// must not be interrupted.
    async fn bring(
        &self,
        fill: &mut Fill,
        announced: Option<u64>,
        starting: &AtomicBool,
        sources: &Arc<Sources>,
        page: &Arc<FillPage>,
    ) -> Result<u64, FeedError> {
        let (digest, deadline) = (fill.digest(), sources.deadline().clone());
        let answer = first_answer(fill, sources, announced, &deadline).await;
        let FirstAnswer {
            place,
            body: first,
            resumes,
        } = answer.map_err(FeedError::Unanswered)?;
        let repository = place.repository();
        let is_proved = place.source.proves(&self.cache, repository, &digest);
        if is_proved {
            // A follower from the same repository need not ask again. The link reaches the disk
            // later: that may take as long as everything so far.
            self.cache.link_seen(&repository.key, &digest);
        }
        if resumes {
            self.metrics.fills_resumed.inc();
            info!("resuming a download that was cut off");
        }
        starting.store(true, Ordering::Relaxed);
        page.waits_for(FillWait::Room);
        let there = fill.start(first.size).await.map_err(FeedError::Start)?;
        starting.store(false, Ordering::Relaxed);
        page.begins(there.total());
        if !place.is_nearby() {
            self.copy(repository, &digest);
        }
        let fed = self
            .feed(fill, (sources, page), first, there, deadline)
            .await;
        if is_proved {
            repository.link_sent(&self.cache, &digest).await;
        }
        fed
    }

    /// Has the tier take a copy of what arrives, if there is one.
    fn copy(&self, repository: &Repository, digest: &Digest) {
        if let Some(tier) = &self.nearby.tier
            && let Some(follower) = self.cache.follow(digest)
        {
            tier.filling(&repository.key, follower);
        }
    }

    /// Counts the end of a download of that many bytes.
    fn count(&self, outcome: Result<u64, Arc<FillError>>, began: Instant, page: &FillPage) {
        match outcome {
            Ok(size) => {
                page.ends(FillEnd::Stored, None);
                self.metrics.completed(size, began.elapsed());
                self.full_disk.stored();
            }
            Err(error) if error.is_sent_past() => {
                self.metrics.fills_sent_past.inc();
                page.fails(&error);
                info!(error = %ErrorChain(&error), "a large download goes past the cache");
            }
            Err(error) => {
                self.metrics.fills_failed.inc();
                page.fails(&error);
                if matches!(*error, FillError::Corrupt { .. }) {
                    self.metrics.corrupt_fills.inc();
                }
                if matches!(FillFailure::of(&error), FillFailure::Storage) {
                    self.metrics.fills_unstored.inc();
                    self.full_disk.refused(&error);
                    return;
                }
                warn!(error = %ErrorChain(&error), "a download failed");
            }
        }
    }

    /// Hands a started fill all bytes but those that are `there`. An end without an error means that
    /// the fill has them, or takes no more and knows why.
    async fn feed(
        &self,
        fill: &Fill,
        (sources, page): (&Arc<Sources>, &Arc<FillPage>),
        first: BlobBody,
        there: Spans,
        deadline: Deadline,
    ) -> Result<u64, FeedError> {
        let first_byte = FirstByte::new(&self.failures, fill.digest());
        let Some(size) = first.size else {
            let poured = pour_all(fill, first, &first_byte, page).await;
            return poured.map_err(FeedError::Source);
        };
        let transfer = Transfer {
            sources: Arc::clone(sources),
            page: Arc::clone(page),
            writer: fill.writer(),
            first_byte: Arc::new(first_byte),
            size,
            received: Arc::default(),
            resumed: self.metrics.fills_resumed.clone(),
            writer_wait: Arc::default(),
        };
        let extra = Arc::clone(&self.extra_connections);
        let plan = Plan::new(size, there);
        if plan.missing() == 0 {
            transfer.first_byte.note();
        }
        let download = Download::new(transfer, plan, fill.read_demands(), first.ranges, extra);
        let done = download.run(first, deadline).await;
        done.map(|()| size).map_err(FeedError::Source)
    }
}

enum FeedError {
    /// The upstream did not begin.
    Unanswered(FetchError),
    /// The upstream failed for good.
    Source(FetchError),
    /// The fill could not start; its followers have the error.
    Start(Arc<FillError>),
}

/// A body of unknown length comes in one piece: only the digest tells its end from a cut.
async fn pour_all(
    fill: &Fill,
    mut body: BlobBody,
    first_byte: &FirstByte,
    page: &FillPage,
) -> Result<u64, FetchError> {
    let writer = fill.writer();
    let mut position = 0;
    while let Some(chunk) = body.bytes.next().await {
        let chunk = chunk?;
        let length = chunk.len() as u64;
        if writer.write(position, chunk).await.is_err() {
            break;
        }
        first_byte.note();
        page.receives(length, 1);
        position += length;
    }
    // An empty blob has come as well.
    first_byte.note();
    Ok(position)
}
