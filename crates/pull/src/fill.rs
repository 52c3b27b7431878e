//! Feeding a fill from its upstream: over one connection or several, through cuts, stalls and our
//! own restarts.
//!
//! Owns the connections of downloads and their number. Refuses to choose the repository, or the
//! clients that may read the bytes: `blobs` does both.

mod download;
mod first_answer;
mod full_disk;
mod place;
mod plan;
pub(crate) mod resumes;
mod scale;
pub(crate) mod sources;
mod transfer;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cache::{Cache, Fill, FillError, SourceError, Spans};
use fill_ledger::{BegunFor, FillOutcome, FillStage, Ledger, Told};
use futures_util::StreamExt;
use manifest_model::Digest;
use protocol::error_chain::ErrorChain;
use tokio::sync::Semaphore;
use tracing::{Instrument, debug, info, info_span, warn};
use upstream::{BlobBody, Cause, Deadline, FetchError};

use self::{
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
    slots::{Asker, Slots},
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
    ledger: Ledger,
    nearby: Nearby,
    tasks: Tasks,
}

impl Filler {
    pub(super) fn new(
        cache: Cache,
        metrics: PullMetrics,
        slots: Slots,
        max_extra_connections: usize,
        nearby: Nearby,
        tasks: Tasks,
    ) -> Self {
        Self {
            cache,
            metrics,
            slots,
            extra_connections: Arc::new(Semaphore::new(max_extra_connections)),
            failures: Arc::default(),
            full_disk: FullDisk::default(),
            running: RunningSources::default(),
            ledger: Ledger::default(),
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

    /// What is told of downloads.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
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
        let begun = BegunFor {
            upstream: repository.upstream.host().clone(),
            repository: repository.name.clone(),
            is_ahead: repository.asker == Asker::Ahead,
        };
        let entry = self.ledger.begin(begun, &fill);
        self.tasks.spawn(async move {
            let span = info_span!("fill", upstream = %repository.upstream.host(), repository = %repository.name, digest = %fill.digest());
            // Cut by shutdown, the fill is dropped, which fails its followers.
            filler
                .tasks
                .until_cut(Box::pin(filler.run(
                    &repository,
                    fill,
                    announced,
                    running.sources(),
                    entry.told(),
                )))
                .instrument(span)
                .await;
        });
    }

    async fn run(
        &self,
        repository: &Repository,
        mut fill: Fill,
        announced: Option<u64>,
        sources: &Arc<Sources>,
        told: &Arc<Told>,
    ) {
        let digest = fill.digest();
        let Some(slot) = self.slots.take(repository.claim(), SLOT_WAIT).await else {
            self.metrics.fills_unanswered.inc();
            tell_end(told, &Err(fill.fail(Arc::new(SourceFailure::NoSlot)).await));
            return;
        };
        told.reach(FillStage::Answer);
        let (audience, began) = (fill.audience(), Instant::now());
        // Work ahead of clients follows its own fill.
        let unheard = usize::from(repository.asker == Asker::Ahead);
        let starting = AtomicBool::new(false);
        let is_followed = || starting.load(Ordering::Relaxed) || audience.count() > unheard;
        let brought = tokio::select! {
            brought = self.bring(&mut fill, announced, &starting, (sources, told)) => brought,
            never = sources.moves(|claim| slot.recount(claim)) => match never {},
            () = slot.recalled_unless(is_followed) => {
                info!("a download that nobody follows gives way; the next request for it resumes it");
                tell_end(told, &Err(fill.fail(Arc::new(SourceFailure::GaveWay)).await));
                return;
            }
        };
        let outcome = match brought {
            Ok(size) => {
                told.reach(FillStage::Storing);
                fill.commit().await.map(|()| size)
            }
            Err(FeedError::Unanswered(error)) => {
                debug!(error = %error.chain(), "the upstream did not give the blob");
                self.metrics.fills_unanswered.inc();
                let has_waited =
                    error.is_stall() || error.is_store_failure() || error.is_for_want_of_bytes();
                tell_end(
                    told,
                    &Err(self.fail(repository, fill, error, has_waited).await),
                );
                return;
            }
            Err(FeedError::Source(error)) => {
                // It was resumed as often as there were chances.
                let has_waited = error.is_transient() || is_truncation(&error);
                Err(self.fail(repository, fill, error, has_waited).await)
            }
            Err(FeedError::Start(error)) => Err(error),
        };
        let wrong = outcome.as_ref().err().map(|error| FillFailure::of(error));
        if matches!(wrong, Some(FillFailure::Content)) {
            self.running.were_wrong(&digest, sources);
            if let Some(tier) = &self.nearby.tier {
                tier.doubt(&digest);
            }
        }
        tell_end(told, &outcome);
        self.count(outcome, began);
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
        let has_waited = has_waited || error.is_store_limit();
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
        (sources, told): (&Arc<Sources>, &Arc<Told>),
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
        told.reach(FillStage::Room);
        let there = fill.start(first.size).await.map_err(FeedError::Start)?;
        starting.store(false, Ordering::Relaxed);
        told.begin_bytes(there.total());
        if !place.is_nearby() {
            self.copy(repository, &digest);
        }
        let fed = self
            .feed(fill, (sources, told), first, there, deadline)
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
    fn count(&self, outcome: Result<u64, Arc<FillError>>, began: Instant) {
        match outcome {
            Ok(size) => {
                self.metrics.completed(size, began.elapsed());
                self.full_disk.stored();
            }
            Err(error) if error.is_sent_past() => {
                self.metrics.fills_sent_past.inc();
                info!(error = %ErrorChain(&error), "a large download goes past the cache");
            }
            Err(error) => {
                self.metrics.fills_failed.inc();
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
        (sources, told): (&Arc<Sources>, &Arc<Told>),
        first: BlobBody,
        there: Spans,
        deadline: Deadline,
    ) -> Result<u64, FeedError> {
        let first_byte = FirstByte::new(&self.failures, fill.digest());
        let Some(size) = first.size else {
            let _counted = told.connection();
            let poured = pour_all(fill, first, &first_byte).await;
            return poured.map_err(FeedError::Source);
        };
        let transfer = Transfer {
            sources: Arc::clone(sources),
            told: Arc::clone(told),
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

/// Tells how a download ended, and why.
fn tell_end(told: &Told, outcome: &Result<u64, Arc<FillError>>) {
    match outcome {
        Ok(_) => told.end(FillOutcome::Stored, None),
        Err(error) => told.end(how_it_failed(error), Some(ErrorChain(error).to_string())),
    }
}

fn how_it_failed(error: &FillError) -> FillOutcome {
    if error.is_sent_past() {
        return FillOutcome::SentPast;
    }
    match FillFailure::of(error) {
        FillFailure::Source { .. } => FillOutcome::Failed,
        FillFailure::NoSlot => FillOutcome::NoSlot,
        FillFailure::GaveWay => FillOutcome::GaveWay,
        FillFailure::Storage => FillOutcome::Unstored,
        FillFailure::Abandoned => FillOutcome::Cut,
        FillFailure::Content => FillOutcome::Wrong,
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
        position += length;
    }
    // An empty blob has come as well.
    first_byte.note();
    Ok(position)
}

/// Whether a body ended in good order before its last byte, again and again.
fn is_truncation(error: &FetchError) -> bool {
    let FetchError::Broken { source, .. } = error else {
        return false;
    };
    matches!(source.innermost(), Cause::Truncated)
}
