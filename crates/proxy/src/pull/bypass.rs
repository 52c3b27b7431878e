//! Bytes straight from the upstream to one client, for when the cache cannot store them.
//!
//! A full disk fails the fill, not its clients. Each continues here with a download of its own,
//! hashed from the first byte, its end held back like that of any other body. There may be as many
//! of these as fills.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
use cache::HOLD_BACK;
use futures_util::{Stream, StreamExt, stream};
use manifest_model::{Digest, Hasher};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use upstream::{BlobBody, BlobSource, Cause, FetchError, Part};

use super::{Repository, fill::FILL_PERMIT_TIMEOUT};

/// How often in a row the blob may be asked for again without a byte gained in between.
const MAX_RESUMES: u32 = 4;

/// The bytes of `range` of a blob, straight from its upstream. The whole blob is read and hashed
/// for it, whatever the range, and its end is held back until the digest has matched. Waits for a
/// permit first.
pub(super) fn stream(
    repository: &Repository,
    digest: Digest,
    range: Range<u64>,
    permits: Arc<Semaphore>,
) -> impl Stream<Item = Result<Bytes, FetchError>> + Send + use<> {
    let source = BlobSource::new(
        Arc::clone(&repository.upstream),
        repository.name.clone(),
        digest,
    );
    let bypass = Bypass {
        source,
        digest,
        range,
        permits,
        permit: None,
        body: None,
        hasher: Some(Hasher::new(digest.algorithm())),
        received: 0,
        held: VecDeque::new(),
        held_bytes: 0,
        resumes: 0,
    };
    stream::try_unfold(bypass, Bypass::step)
}

/// One client's download.
struct Bypass {
    source: BlobSource,
    digest: Digest,
    range: Range<u64>,
    permits: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    body: Option<BlobBody>,
    /// Taken when the blob is whole and its digest has matched.
    hasher: Option<Hasher>,
    received: u64,
    /// Received and not sent yet, the youngest last.
    held: VecDeque<Bytes>,
    held_bytes: u64,
    resumes: u32,
}

impl Bypass {
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, FetchError> {
        if self.permit.is_none() {
            let permit = Arc::clone(&self.permits).acquire_owned();
            let permit = timeout(FILL_PERMIT_TIMEOUT, permit).await.map_err(|_| {
                let advice = "free disk space for the cache, or raise cache.max_fills";
                self.source.broken(Cause::AtCapacity { advice })
            })?;
            self.permit = permit.ok();
        }
        loop {
            let keep = if self.hasher.is_some() { HOLD_BACK } else { 0 };
            if let Some(bytes) = self.release(keep) {
                return Ok(Some((bytes, self)));
            }
            if self.hasher.is_none() || self.received - self.held_bytes >= self.range.end {
                return Ok(None);
            }
            match self.receive().await? {
                Some(chunk) => {
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&chunk);
                    }
                    self.received += chunk.len() as u64;
                    self.held_bytes += chunk.len() as u64;
                    self.held.push_back(chunk);
                }
                None => self.verify()?,
            }
        }
    }

    /// The oldest held bytes that lie in the range and leave at least `keep` behind them.
    fn release(&mut self, keep: u64) -> Option<Bytes> {
        while self.held_bytes > keep {
            let mut chunk = self.held.pop_front()?;
            let start = self.received - self.held_bytes;
            let free = usize::try_from(self.held_bytes - keep).unwrap_or(usize::MAX);
            if free < chunk.len() {
                self.held.push_front(chunk.split_off(free));
            }
            self.held_bytes -= chunk.len() as u64;
            let end = start + chunk.len() as u64;
            let wanted = start.max(self.range.start)..end.min(self.range.end);
            if let (Ok(from), Ok(to)) = (
                usize::try_from(wanted.start.saturating_sub(start)),
                usize::try_from(wanted.end.saturating_sub(start)),
            ) && from < to
            {
                return Some(chunk.slice(from..to));
            }
        }
        None
    }

    /// The next bytes of the blob; `None` at its end. A body that was cut is resumed.
    async fn receive(&mut self) -> Result<Option<Bytes>, FetchError> {
        loop {
            if self.body.is_none() {
                let part = match self.received {
                    0 => Part::Whole,
                    from => Part::Bytes(from, None),
                };
                let body = self.source.get(part).await?;
                if body.start != self.received {
                    return Err(self.source.broken(Cause::WrongRange));
                }
                self.body = Some(body);
            }
            let Some(body) = &mut self.body else { continue };
            match body.bytes.next().await {
                Some(Ok(chunk)) => {
                    self.resumes = 0;
                    return Ok(Some(chunk));
                }
                None => return Ok(None),
                Some(Err(error)) if self.resumes >= MAX_RESUMES => return Err(error),
                Some(Err(_)) => {
                    self.resumes += 1;
                    self.body = None;
                }
            }
        }
    }

    fn verify(&mut self) -> Result<(), FetchError> {
        let actual = self.hasher.take().map(Hasher::finish);
        match actual {
            Some(actual) if actual != self.digest => Err(self.source.broken(Cause::WrongDigest {
                expected: self.digest,
                actual,
            })),
            _ => Ok(()),
        }
    }
}
