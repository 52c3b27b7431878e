//! Feeding a fill from its upstream: over one connection or several, through cuts, stalls and our
//! own restarts.
//!
//! Owns the connections of downloads and their number. Refuses to choose the repository, or the
//! clients that may read the bytes: `blobs` does both.

mod plan;
mod scale;
mod transfer;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use cache::{Cache, Fill, FillError, ReadDemands};
use futures_util::StreamExt;
use manifest_model::Digest;
use protocol::error_chain::ErrorChain;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tracing::{Instrument, debug, info, info_span, warn};
use upstream::{BlobBody, BlobSource, FetchError, Part};

use self::{
    plan::{Plan, Segment},
    scale::{ConnectionScaler, Sample},
    transfer::{Broken, Transfer, fetch},
};
use super::{
    PullMetrics, Repository,
    error::{FillFailure, SourceFailure},
};
use crate::tasks::Tasks;

/// How long a download waits for a permit to begin.
pub(super) const FILL_PERMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections beside the wanted ones, for readers that wait far ahead of the rest.
const SIDE_CONNECTIONS: usize = 2;

/// Runs fills, each on a task of its own.
#[derive(Debug)]
pub(super) struct Filler {
    cache: Cache,
    metrics: PullMetrics,
    /// Connections that downloads may have beside their first, over all upstreams.
    extra_connections: Arc<Semaphore>,
    tasks: Tasks,
}

impl Filler {
    pub(super) fn new(
        cache: Cache,
        metrics: PullMetrics,
        max_extra_connections: usize,
        tasks: Tasks,
    ) -> Self {
        Self {
            cache,
            metrics,
            extra_connections: Arc::new(Semaphore::new(max_extra_connections)),
            tasks,
        }
    }

    /// Brings a blob to the cache, or an error to its followers.
    pub(super) fn start(self: &Arc<Self>, repository: Repository, fill: Fill) {
        let filler = Arc::clone(self);
        self.tasks.spawn(async move {
            let span = info_span!("fill", upstream = %repository.upstream.host(), repository = %repository.name, digest = %fill.digest());
            // Cut by shutdown, the fill is dropped, which fails its followers.
            filler
                .tasks
                .until_cut(Box::pin(filler.run(&repository, fill)))
                .instrument(span)
                .await;
        });
    }

    async fn run(&self, repository: &Repository, mut fill: Fill) {
        // Without a permit in time the fill has failed, and its followers have the error.
        if fill.admit(FILL_PERMIT_TIMEOUT).await.is_err() {
            return;
        }
        let failure = |source| {
            Arc::new(SourceFailure {
                repository: repository.key.clone(),
                source,
            })
        };
        let source = BlobSource::new(
            Arc::clone(&repository.upstream),
            repository.name.clone(),
            fill.digest(),
        );
        let (first, partial) = match first_answer(repository, &fill, &source).await {
            Ok(answer) => answer,
            Err(error) => {
                debug!(error = %error.chain(), "the upstream did not give the blob");
                fill.fail(failure(error)).await;
                return;
            }
        };
        // A follower from the same repository need not ask again. The link reaches the disk later:
        // that may take as long as everything so far.
        let digest = fill.digest();
        self.cache.link_seen(&repository.key, &digest);
        if partial {
            info!("resuming a download that was cut off");
        }
        let fed = self.feed(repository, &mut fill, source, first).await;
        repository.link(&self.cache, &digest).await;
        let outcome = match fed {
            Ok(()) => fill.commit().await,
            Err(FeedError::Source(error)) => Err(fill.fail(failure(error)).await),
            Err(FeedError::Start(error)) => Err(error),
        };
        self.count(outcome);
    }

    fn count(&self, outcome: Result<(), Arc<FillError>>) {
        match outcome {
            Ok(()) => {
                self.metrics.fills_completed.inc();
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

    /// Starts the fill and hands it all bytes. An end without an error means that the fill has
    /// them, or takes no more and knows why.
    async fn feed(
        &self,
        repository: &Repository,
        fill: &mut Fill,
        source: BlobSource,
        first: BlobBody,
    ) -> Result<(), FeedError> {
        let there = fill.start(first.size).await.map_err(FeedError::Start)?;
        let Some(size) = first.size else {
            return pour_all(fill, first).await.map_err(FeedError::Source);
        };
        let transfer = Transfer {
            source: Arc::new(source),
            writer: fill.writer(),
            size,
            received: Arc::default(),
            writer_wait: Arc::default(),
        };
        // A registry that sends blobs itself and has a configured rate is asked in two pieces at
        // most: a further request is better spent on another blob.
        let in_parts = first.ranges && !transfer.source.is_rate_limited();
        let most = if in_parts {
            max_connections(repository)
        } else {
            1
        };
        let download = Download {
            filler: self,
            repository,
            transfer,
            plan: Plan::new(size, there),
            scaler: ConnectionScaler::new(most),
            demands: fill.read_demands(),
            side: if in_parts { SIDE_CONNECTIONS } else { 0 },
            connections: JoinSet::new(),
        };
        download.run(first).await
    }

    /// The permit for one more connection to the repository's upstream.
    fn extra_connection(&self, repository: &Repository) -> Option<ConnectionPermit> {
        let of_upstream = repository.upstream.extra_connection()?;
        let of_all = Arc::clone(&self.extra_connections)
            .try_acquire_owned()
            .ok()?;
        Some([of_upstream, of_all])
    }
}

/// Asks for the blob, or for the first gap an earlier download has left. The flag is true for a
/// gap.
async fn first_answer(
    repository: &Repository,
    fill: &Fill,
    source: &BlobSource,
) -> Result<(BlobBody, bool), FetchError> {
    if let Some((size, there)) = fill.partial().await
        && let Some(gap) = there.gap(0, size)
    {
        let end = Some(gap.end.min(gap.start + scale::FIRST_REQUEST));
        match source.get(Part::Bytes(gap.start, end)).await {
            Ok(body) if body.size == Some(size) => return Ok((body, true)),
            // The blob had another length then: the bytes on disk are no part of it.
            Ok(_) | Err(FetchError::Refused { status: 416, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let is_empty = Digest::of(fill.digest().algorithm(), b"") == fill.digest();
    let part = if is_empty || max_connections(repository) == 1 {
        Part::Whole
    } else {
        // Whether the store answers ranges is learned on the way.
        Part::Bytes(0, Some(scale::FIRST_REQUEST))
    };
    let mut body = source.get(part).await?;
    if body.size.is_none() && body.end.is_some() {
        // A piece of a blob of unknown size: only the whole can tell whether that was all.
        drop(body);
        body = source.get(Part::Whole).await?;
    }
    Ok((body, false))
}

enum FeedError {
    /// The upstream failed for good.
    Source(FetchError),
    /// The fill could not start; its followers have the error.
    Start(Arc<FillError>),
}

/// A body of unknown length comes in one piece: only the digest tells its end from a cut.
async fn pour_all(fill: &Fill, mut body: BlobBody) -> Result<(), FetchError> {
    let writer = fill.writer();
    let mut position = 0;
    while let Some(chunk) = body.bytes.next().await {
        let chunk = chunk?;
        let length = chunk.len() as u64;
        if writer.write(position, chunk).await.is_err() {
            break;
        }
        position += length;
    }
    Ok(())
}

/// A connection that has ended: its segment, and why.
type Ended = (Segment, Result<(), Broken>);

/// A download over one connection or several.
struct Download<'a> {
    filler: &'a Filler,
    repository: &'a Repository,
    transfer: Transfer,
    plan: Plan,
    scaler: ConnectionScaler,
    demands: Arc<ReadDemands>,
    /// How many connections there may be beside the wanted ones.
    side: usize,
    connections: JoinSet<Ended>,
}

impl Download<'_> {
    /// Runs until nothing is missing, or the fill takes no more and knows why.
    async fn run(mut self, first: BlobBody) -> Result<(), FeedError> {
        // The first segment is what the first answer brings.
        let length = first.end.map_or(u64::MAX, |end| end - first.start);
        if let Some(segment) = self.plan.next(&[], length) {
            self.start(segment, Some(first), None);
        }
        let mut sampled = Instant::now();
        let mut tick = tokio::time::interval(scale::TICK);
        tick.tick().await;
        while !self.connections.is_empty() {
            tokio::select! {
                Some(ended) = self.connections.join_next() => match ended {
                    Ok((_, Err(Broken::Writer))) => return Ok(()),
                    Ok((segment, Err(Broken::Source(error)))) => self.lost(&segment, error)?,
                    Ok((segment, Ok(()))) => self.plan.ended(&segment),
                    // A panic in a connection; the fill will lack its bytes and fail.
                    Err(error) => warn!(%error, "a connection of a download panicked"),
                },
                () = self.demands.changed() => {}
                _ = tick.tick() => {}
            }
            self.sample(&mut sampled);
            self.add();
        }
        Ok(())
    }

    /// Measures, once in each period and at the end of the first segment.
    fn sample(&mut self, sampled: &mut Instant) {
        let time = sampled.elapsed();
        if time < self.scaler.period() && !self.connections.is_empty() {
            return;
        }
        *sampled = Instant::now();
        let writer_wait = self.transfer.writer_wait.swap(0, Ordering::Relaxed);
        self.scaler.observe(Sample {
            bytes: self.transfer.received.swap(0, Ordering::Relaxed),
            time,
            writer_wait: Duration::from_micros(writer_wait),
            missing: self.plan.missing(),
            running: self.connections.len(),
        });
    }

    /// Starts connections up to the number there should be. The first needs no permit; further ones
    /// are bounded over all downloads.
    fn add(&mut self) {
        loop {
            let running = self.connections.len();
            let demands = self.demands.positions();
            let length = self.scaler.length(!demands.is_empty());
            let segment = if running < self.scaler.wanted() {
                self.plan.next(&demands, length)
            } else if running < self.scaler.wanted() + self.side {
                demands
                    .iter()
                    .find_map(|demand| self.plan.at_demand(*demand, length))
            } else {
                None
            };
            let Some(segment) = segment else { return };
            let permit = self.filler.extra_connection(self.repository);
            if running > 0 && permit.is_none() {
                self.plan.ended(&segment);
                return;
            }
            self.start(segment, None, permit);
        }
    }

    fn start(
        &mut self,
        segment: Segment,
        body: Option<BlobBody>,
        permit: Option<ConnectionPermit>,
    ) {
        let transfer = self.transfer.clone();
        let connection = async move {
            let outcome = fetch(transfer, segment.clone(), body).await;
            drop(permit);
            (segment, outcome)
        };
        self.connections.spawn(connection.in_current_span());
    }

    /// One connection has failed for good. While others run they take over the rest of its segment.
    fn lost(&mut self, segment: &Segment, error: FetchError) -> Result<(), FeedError> {
        self.plan.ended(segment);
        if self.connections.is_empty() {
            return Err(FeedError::Source(error));
        }
        debug!(error = %error.chain(), "one of several connections failed; the others continue");
        self.scaler.shrink_to(self.connections.len());
        self.side = 0;
        Ok(())
    }
}

/// The permit for one more connection: from its upstream, and over all.
type ConnectionPermit = [OwnedSemaphorePermit; 2];

/// How many connections one blob of the repository's upstream may have.
fn max_connections(repository: &Repository) -> usize {
    repository.upstream.config().parallel
}
