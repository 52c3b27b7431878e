//! Feeding a fill from its upstream: over one connection or several, through cuts, stalls and our
//! own restarts.
//!
//! Owns the connections of downloads and their number. Refuses to choose the repository, or the
//! clients that may read the bytes: `blobs` does both.

mod download;
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
    time::Duration,
};

use cache::{Cache, Fill, FillError, SourceError, Spans};
use futures_util::StreamExt;
use manifest_model::Digest;
use protocol::error_chain::ErrorChain;
use tokio::sync::Semaphore;
use tracing::{Instrument, debug, info, info_span, warn};
use upstream::{BlobBody, BlobSource, Cause, Deadline, FetchError, Part};

use self::{
    download::{Download, max_connections},
    plan::Plan,
    resumes::through_store_failures,
    sources::{RunningSources, Sources},
    transfer::Transfer,
};
use crate::{
    PullError, PullMetrics, Repository,
    error::{FillFailure, SourceFailure},
    failures::{BlobKey, Failures, FirstByte},
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
    running: RunningSources,
    tasks: Tasks,
}

impl Filler {
    pub(super) fn new(
        cache: Cache,
        metrics: PullMetrics,
        slots: Slots,
        max_extra_connections: usize,
        tasks: Tasks,
    ) -> Self {
        Self {
            cache,
            metrics,
            slots,
            extra_connections: Arc::new(Semaphore::new(max_extra_connections)),
            failures: Arc::default(),
            running: RunningSources::default(),
            tasks,
        }
    }

    /// The downloads that nobody is to wait for again.
    pub(super) fn failures(&self) -> &Failures<BlobKey> {
        &self.failures
    }

    /// The places of the downloads that run.
    pub(super) fn running(&self) -> &RunningSources {
        &self.running
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
        let running = self
            .running
            .begin(fill.digest(), repository.source(fill.digest()));
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
    ) {
        let digest = fill.digest();
        // The followers wait from here on, for the slot too.
        let deadline = repository.upstream.deadline();
        let Some(slot) = self.slots.take(repository.claim(), SLOT_WAIT).await else {
            self.metrics.fills_unanswered.inc();
            fill.fail(Arc::new(SourceFailure::NoSlot)).await;
            return;
        };
        let audience = fill.audience();
        // Work ahead of clients follows its own fill.
        let unheard = usize::from(repository.asker == Asker::Ahead);
        let starting = AtomicBool::new(false);
        let is_followed = || starting.load(Ordering::Relaxed) || audience.count() > unheard;
        let brought = tokio::select! {
            brought = self.bring(repository, &mut fill, announced, deadline, &starting, sources) => brought,
            () = slot.recalled_unless(is_followed) => {
                info!("a download that nobody follows gives way; the next request for it resumes it");
                fill.fail(Arc::new(SourceFailure::GaveWay)).await;
                return;
            }
        };
        let outcome = match brought {
            Ok(()) => fill.commit().await,
            Err(FeedError::Unanswered(error)) => {
                debug!(error = %error.chain(), "the upstream did not give the blob");
                self.metrics.fills_unanswered.inc();
                let has_waited = error.is_stall() || error.is_store_failure();
                self.fail(repository, fill, error, has_waited).await;
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
        }
        self.count(outcome);
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
        let source: SourceError = Arc::new(SourceFailure::Upstream {
            repository: repository.key.clone(),
            source: error,
        });
        // Before its followers know: one of them may ask again at once.
        if has_waited {
            let source = Arc::clone(&source);
            let error = Arc::new(FillError::Source { digest, source });
            self.failures.note(&key, PullError::Fill(error));
        } else if is_answer {
            self.failures.forget(&key);
        }
        fill.fail(source).await
    }

    /// Asks the upstream, links the blob and hands its bytes to the fill. `starting` is true while
    /// the fill must not be interrupted.
    async fn bring(
        &self,
        repository: &Repository,
        fill: &mut Fill,
        announced: Option<u64>,
        deadline: Deadline,
        starting: &AtomicBool,
        sources: &Arc<Sources>,
    ) -> Result<(), FeedError> {
        let (digest, source) = (fill.digest(), sources.current());
        let ask = || first_answer(repository, fill, &source, announced, &deadline);
        let answer = through_store_failures(&deadline, ask).await;
        let (first, partial) = answer.map_err(FeedError::Unanswered)?;
        // A follower from the same repository need not ask again. The link reaches the disk later:
        // that may take as long as everything so far.
        self.cache.link_seen(&repository.key, &digest);
        if partial {
            info!("resuming a download that was cut off");
        }
        starting.store(true, Ordering::Relaxed);
        let there = fill.start(first.size).await.map_err(FeedError::Start)?;
        starting.store(false, Ordering::Relaxed);
        let fed = self.feed(repository, fill, sources, first, there, deadline);
        let fed = fed.await;
        repository.link_sent(&self.cache, &digest).await;
        fed
    }

    fn count(&self, outcome: Result<(), Arc<FillError>>) {
        match outcome {
            Ok(()) => {
                self.metrics.fills_completed.inc();
            }
            Err(error) if error.is_sent_past() => {
                self.metrics.fills_sent_past.inc();
                info!(error = %ErrorChain(&error), "a large download goes past the cache");
            }
            Err(error) => {
                self.metrics.fills_failed.inc();
                if matches!(FillFailure::of(&error), FillFailure::Storage) {
                    self.metrics.fills_unstored.inc();
                }
                warn!(error = %ErrorChain(&error), "a download failed");
            }
        }
    }

    /// Hands a started fill all bytes but those that are `there`. An end without an error means that
    /// the fill has them, or takes no more and knows why.
    async fn feed(
        &self,
        repository: &Repository,
        fill: &Fill,
        sources: &Arc<Sources>,
        first: BlobBody,
        there: Spans,
        deadline: Deadline,
    ) -> Result<(), FeedError> {
        let first_byte = FirstByte::new(&self.failures, fill.digest());
        let Some(size) = first.size else {
            let poured = pour_all(fill, first, &first_byte).await;
            return poured.map_err(FeedError::Source);
        };
        let transfer = Transfer {
            sources: Arc::clone(sources),
            writer: fill.writer(),
            first_byte: Arc::new(first_byte),
            size,
            received: Arc::default(),
            writer_wait: Arc::default(),
        };
        // A registry that sends blobs itself and has a configured rate is asked in two pieces at
        // most: a further request is better spent on another blob.
        let in_parts = first.ranges && !sources.current().is_rate_limited();
        let extra = Arc::clone(&self.extra_connections);
        let plan = Plan::new(size, there);
        if plan.missing() == 0 {
            transfer.first_byte.note();
        }
        let download = Download::new(
            repository,
            transfer,
            plan,
            fill.read_demands(),
            in_parts,
            extra,
        );
        let done = download.run(first, deadline).await;
        done.map_err(FeedError::Source)
    }
}

/// Asks for the blob, or for the first gap an earlier download has left. The flag is true for a
/// gap.
async fn first_answer(
    repository: &Repository,
    fill: &Fill,
    source: &BlobSource,
    announced: Option<u64>,
    deadline: &Deadline,
) -> Result<(BlobBody, bool), FetchError> {
    if let Some((size, there)) = fill.partial().await
        && let Some(gap) = there.gap(0, size)
    {
        let end = gap.end.min(gap.start + scale::FIRST_REQUEST);
        let answer = if source.refuses_ranges() {
            source.get(Part::Whole, deadline).await
        } else {
            source
                .get(Part::Bytes(gap.start, Some(end)), deadline)
                .await
        };
        match answer {
            Ok(body) if body.size == Some(size) => return Ok((body, true)),
            // The blob had another length then: the bytes on disk are no part of it.
            Ok(_) | Err(FetchError::Refused { status: 416, .. }) => {}
            Err(error) => match error.range_refusal() {
                Some(refusal) => {
                    let body = source.get_without_range(Some(refusal), deadline).await?;
                    let resumes = body.size == Some(size);
                    return Ok((body, resumes));
                }
                None => return Err(error),
            },
        }
    }
    let part = first_part(repository, fill, announced);
    let mut body = source.get(part, deadline).await?;
    if body.size.is_none() && body.end.is_some() {
        // A piece of a blob of unknown size: only the whole can tell whether that was all.
        drop(body);
        body = source.get(Part::Whole, deadline).await?;
    }
    Ok((body, false))
}

/// The first part to ask for of a blob of the size that a manifest announced, if one did. Whether
/// the upstream answers ranges is learned on the way, but only by a blob that is worth it.
fn first_part(repository: &Repository, fill: &Fill, announced: Option<u64>) -> Part {
    let is_empty = Digest::of(fill.digest().algorithm(), b"") == fill.digest();
    let is_small = announced.is_some_and(|size| size <= scale::FIRST_REQUEST);
    if is_empty || is_small || max_connections(repository) == 1 {
        Part::Whole
    } else {
        Part::Bytes(0, Some(scale::FIRST_REQUEST))
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
) -> Result<(), FetchError> {
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
    Ok(())
}

/// Whether a body ended in good order before its last byte, again and again.
fn is_truncation(error: &FetchError) -> bool {
    let FetchError::Broken { source, .. } = error else {
        return false;
    };
    matches!(source.innermost(), Cause::Truncated)
}
