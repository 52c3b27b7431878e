//! Feeding a fill from its upstream: one connection or several, through cuts, stalls and our own restarts.

mod fetch;
mod pace;
mod plan;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use cache::{Fill, FillError, ReadDemands, RepoKey};
use futures_util::StreamExt;
use manifest_model::Digest;
use protocol::error_chain::ErrorChain;
use tokio::{sync::OwnedSemaphorePermit, task::JoinSet};
use tracing::{Instrument, debug, info, info_span, warn};
use upstream::{BlobBody, BlobSource, FetchError, Part};

use self::{
    fetch::{Broken, Line, fetch},
    pace::{Look, Pace},
    plan::{Plan, Segment},
};
use super::{Pull, Repository};

/// How long a fill waits for a permit.
pub(super) const PERMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections beside the wanted ones, for readers that wait far ahead of the rest.
const SIDE_CONNECTIONS: usize = 2;

/// What an upstream answered instead of the blob, and in which repository: it says nothing about any other.
#[derive(Debug, thiserror::Error)]
#[error("asked for in {repository}")]
pub(super) struct NotGiven {
    pub(super) repository: RepoKey,
    pub(super) source: FetchError,
}

impl NotGiven {
    /// The one that `error` carries, if that is why the fill failed.
    pub(super) fn of(error: &FillError) -> Option<&Self> {
        match error {
            FillError::Source { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }
}

/// Brings a blob to the cache, or its followers an error. Runs on a task of its own.
pub(super) async fn run(pull: Pull, repository: Repository, fill: Fill) {
    let span = info_span!("fill", upstream = %repository.upstream.host(), repository = %repository.name, digest = %fill.digest());
    let stop = pull.inner.stop.clone();
    // Cut by shutdown, the fill is dropped, which tells its followers.
    stop.run_until_cancelled(Box::pin(bring(pull, repository, fill)))
        .instrument(span)
        .await;
}

async fn bring(pull: Pull, repository: Repository, mut fill: Fill) {
    // Without a permit in time, the fill has failed and told its followers.
    if fill.admit(PERMIT_TIMEOUT).await.is_err() {
        return;
    }
    let not_given = |source| {
        Arc::new(NotGiven {
            repository: repository.key.clone(),
            source,
        })
    };
    let source = BlobSource::new(
        Arc::clone(&repository.upstream),
        repository.name.clone(),
        fill.digest(),
    );
    let (first, partial) = match first_answer(&repository, &fill, &source).await {
        Ok(answer) => answer,
        Err(error) => {
            debug!(error = %error.chain(), "the upstream did not give the blob");
            fill.fail(not_given(error)).await;
            return;
        }
    };
    // Who follows this fill need not ask for its own repository again. On the disk it is noted later: that may take as long as
    // everything so far.
    let digest = fill.digest();
    pull.inner.cache.link_seen(&repository.key, &digest);
    if partial {
        info!("going on with a download that was cut off");
    }
    let fed = feed(&pull, &repository, &mut fill, source, first).await;
    pull.note_link(&repository, &digest).await;
    let outcome = match fed {
        Ok(()) => fill.commit().await,
        Err(Feed::Source(error)) => Err(fill.fail(not_given(error)).await),
        Err(Feed::Start(error)) => Err(error),
    };
    settle(&pull, outcome);
}

fn settle(pull: &Pull, outcome: Result<(), Arc<FillError>>) {
    let metrics = &pull.inner.metrics;
    match outcome {
        Ok(()) => {
            metrics.fills_completed.inc();
        }
        Err(error) => {
            metrics.fills_failed.inc();
            if matches!(*error, FillError::Storage { .. }) {
                metrics.fills_unstored.inc();
            }
            warn!(error = %ErrorChain(&error), "a download failed");
        }
    }
}

/// Asks for the blob, or for what an earlier download has left to fetch. The flag says which.
async fn first_answer(
    repository: &Repository,
    fill: &Fill,
    source: &BlobSource,
) -> Result<(BlobBody, bool), FetchError> {
    if let Some((size, there)) = fill.partial().await
        && let Some(gap) = there.gap(0, size)
    {
        let end = Some(gap.end.min(gap.start + pace::FIRST));
        match source.get(Part::Bytes(gap.start, end)).await {
            Ok(body) if body.size == Some(size) => return Ok((body, true)),
            // It was said to be of another length then: what is there is no part of it.
            Ok(_) | Err(FetchError::Refused { status: 416, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let is_empty = Digest::of(fill.digest().algorithm(), b"") == fill.digest();
    let part = if is_empty || most_connections(repository) == 1 {
        Part::Whole
    } else {
        // Whether the store answers ranges is learned on the way.
        Part::Bytes(0, Some(pace::FIRST))
    };
    let mut body = source.get(part).await?;
    if body.size.is_none() && body.end.is_some() {
        // A piece of a blob of unknown size: whether it is all of it only the whole can tell.
        drop(body);
        body = source.get(Part::Whole).await?;
    }
    Ok((body, false))
}

enum Feed {
    /// The upstream failed for good.
    Source(FetchError),
    /// The fill could not start; it has told its followers.
    Start(Arc<FillError>),
}

/// Starts the fill and hands it all bytes. An end without an error means that the fill has them, or will take no more: it knows.
async fn feed(
    pull: &Pull,
    repository: &Repository,
    fill: &mut Fill,
    source: BlobSource,
    first: BlobBody,
) -> Result<(), Feed> {
    let there = fill.start(first.size).await.map_err(Feed::Start)?;
    let Some(size) = first.size else {
        return pour_all(fill, first).await.map_err(Feed::Source);
    };
    let line = Line {
        source: Arc::new(source),
        writer: fill.writer(),
        size,
        received: Arc::default(),
        held: Arc::default(),
    };
    // What a rate counts is better spent on another blob than on this one in pieces.
    let in_parts = first.ranges && !line.source.is_rate_limited();
    let most = if in_parts {
        most_connections(repository)
    } else {
        1
    };
    let download = Download {
        pull,
        repository,
        line,
        plan: Plan::new(size, there),
        pace: Pace::new(most),
        demands: fill.read_demands(),
        side: if in_parts { SIDE_CONNECTIONS } else { 0 },
        connections: JoinSet::new(),
    };
    download.run(first).await
}

/// A body whose length nobody knows comes in one piece: where it breaks off cannot be told from its end but by the digest.
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
    pull: &'a Pull,
    repository: &'a Repository,
    line: Line,
    plan: Plan,
    pace: Pace,
    demands: Arc<ReadDemands>,
    /// How many connections there may be beside the wanted ones.
    side: usize,
    connections: JoinSet<Ended>,
}

impl Download<'_> {
    /// Until nothing is missing, or the fill takes no more and knows why.
    async fn run(mut self, first: BlobBody) -> Result<(), Feed> {
        // The first stretch is what the first answer brings.
        let length = first.end.map_or(u64::MAX, |end| end - first.start);
        if let Some(segment) = self.plan.next(&[], length) {
            self.start(segment, Some(first), None);
        }
        let mut looked = Instant::now();
        let mut tick = tokio::time::interval(pace::TICK);
        tick.tick().await;
        while !self.connections.is_empty() {
            tokio::select! {
                Some(ended) = self.connections.join_next() => match ended {
                    Ok((_, Err(Broken::Writer))) => return Ok(()),
                    Ok((segment, Err(Broken::Source(error)))) => self.lost(&segment, error)?,
                    Ok((segment, Ok(()))) => self.plan.ended(&segment),
                    // A panic in a connection; the fill will lack its bytes and say so.
                    Err(error) => warn!(%error, "a connection of a download was lost"),
                },
                () = self.demands.changed() => {}
                _ = tick.tick() => {}
            }
            self.look(&mut looked);
            self.add();
        }
        Ok(())
    }

    /// Measures, once in each period and at the end of the first stretch.
    fn look(&mut self, looked: &mut Instant) {
        let time = looked.elapsed();
        if time < self.pace.period() && !self.connections.is_empty() {
            return;
        }
        *looked = Instant::now();
        self.pace.look(Look {
            bytes: self.line.received.swap(0, Ordering::Relaxed),
            time,
            held: Duration::from_micros(self.line.held.swap(0, Ordering::Relaxed)),
            missing: self.plan.missing(),
            running: self.connections.len(),
        });
    }

    /// Starts connections up to the number there should be. The first needs nobody's leave; further ones are bounded over all
    /// downloads.
    fn add(&mut self) {
        loop {
            let running = self.connections.len();
            let wishes = self.demands.positions();
            let length = self.pace.length(!wishes.is_empty());
            let segment = if running < self.pace.wanted() {
                self.plan.next(&wishes, length)
            } else if running < self.pace.wanted() + self.side {
                wishes
                    .iter()
                    .find_map(|wish| self.plan.at_wish(*wish, length))
            } else {
                None
            };
            let Some(segment) = segment else { return };
            let permit = self.pull.extra_connection(self.repository);
            if running > 0 && permit.is_none() {
                self.plan.ended(&segment);
                return;
            }
            self.start(segment, None, permit);
        }
    }

    fn start(&mut self, segment: Segment, body: Option<BlobBody>, permit: Option<Permit>) {
        let line = self.line.clone();
        let connection = async move {
            let outcome = fetch(line, segment.clone(), body).await;
            drop(permit);
            (segment, outcome)
        };
        self.connections.spawn(connection.in_current_span());
    }

    /// One connection has failed for good. While others run they take over what it has left.
    fn lost(&mut self, segment: &Segment, error: FetchError) -> Result<(), Feed> {
        self.plan.ended(segment);
        if self.connections.is_empty() {
            return Err(Feed::Source(error));
        }
        debug!(error = %error.chain(), "one of several connections failed; the others go on");
        self.pace.shrink_to(self.connections.len());
        self.side = 0;
        Ok(())
    }
}

/// The leave for one more connection: from its upstream, and over all.
type Permit = [OwnedSemaphorePermit; 2];

/// How many connections one blob of the repository's upstream may have.
fn most_connections(repository: &Repository) -> usize {
    repository.upstream.config().parallel
}

impl Pull {
    fn extra_connection(&self, repository: &Repository) -> Option<Permit> {
        let of_upstream = repository.upstream.extra_connection()?;
        let of_all = Arc::clone(&self.inner.extra_connections)
            .try_acquire_owned()
            .ok()?;
        Some([of_upstream, of_all])
    }
}
