//! Bytes straight from the upstream to one client, for when the cache cannot store them.
//!
//! A full disk fails the fill, not its clients. Each continues here with a download of its own,
//! hashed from the first byte, its end held back like that of any other body. There may be as many
//! of these as fills.
//!
//! A client that asks for a part of a blob that cannot be stored gets that part alone, as the
//! upstream sends it: only the whole could be verified, and it may be a thousand times as large.
//!
//! A slot is for reading from the upstream. A client that has all of it needs none any more, and one that
//! takes nothing loses its slot to who waits; when it goes on it waits for another, and asks the upstream
//! for the rest.

use std::{collections::VecDeque, ops::Range, time::Duration};

use bytes::Bytes;
use cache::HOLD_BACK;
use futures_util::{Stream, StreamExt, stream};
use manifest_model::{Digest, Hasher};
use slots::{Claim, LentSlot, Slot, Slots};
use tokio::time::Instant;
use tracing::debug;
use upstream::{BlobBody, BlobSource, Cause, Deadline, FetchError, Part};

use crate::{
    Repository,
    fill::resumes::{Resumes, through_store_failures},
};

/// How long a body waits for a slot past the cache; the upstream needs the rest of its client's wait.
const SLOT_TIMEOUT: Duration = Duration::from_secs(8);

/// What a client has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The blob, or the rest of it that has not been sent yet.
    Whole,
    /// A part of a blob of this size.
    PartOf(u64),
}

/// The bytes of `range` of a blob, straight from its upstream. Of a whole, all is read and hashed,
/// and its end is held back until the digest has matched; so it is for a part where the upstream
/// sends no ranges. Without a slot beside the slots it waits for one first. `deadline` bounds the wait
/// for the first byte, that for the slot with it.
pub(super) fn stream(
    repository: &Repository,
    digest: Digest,
    range: Range<u64>,
    wanted: Wanted,
    (slots, slot): (Slots, Option<Slot>),
    deadline: Deadline,
) -> impl Stream<Item = Result<Bytes, FetchError>> + Send + use<> {
    let source = repository.source(digest);
    let bypass = Bypass {
        source,
        digest,
        range,
        wanted,
        slots,
        slot: slot.map(LentSlot::new),
        claim: repository.claim(),
        body: None,
        size: None,
        check: Check::Hashing(Box::new(Hasher::new(digest.algorithm()))),
        received: 0,
        held: VecDeque::new(),
        held_bytes: 0,
        resumes: Resumes::new(),
        deadline,
        waits_since: None,
    };
    stream::try_unfold(bypass, Bypass::step)
}

/// What is known of the bytes.
enum Check {
    /// Those received so far, all from the start of the blob.
    Hashing(Box<Hasher>),
    /// The blob is whole and its digest has matched.
    Matched,
    /// Only a part comes; its client checks the whole.
    PartAlone,
}

/// The answer being read, and the offset of its next byte.
type Reading = (BlobBody, u64);

/// One client's download.
struct Bypass {
    source: BlobSource,
    digest: Digest,
    range: Range<u64>,
    /// What is still to be asked for.
    wanted: Wanted,
    slots: Slots,
    slot: Option<LentSlot<Reading>>,
    claim: Claim,
    body: Option<Reading>,
    /// The size of the blob, once an answer tells it.
    size: Option<u64>,
    check: Check,
    /// The offset behind the last byte received.
    received: u64,
    /// Received and not sent yet, the youngest last.
    held: VecDeque<Bytes>,
    held_bytes: u64,
    resumes: Resumes,
    /// The client's wait for the next byte.
    deadline: Deadline,
    /// Since when the client waits, where that is later than the deadline knows: it has asked for
    /// more, or a byte has come.
    waits_since: Option<Instant>,
}

impl Bypass {
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, FetchError> {
        if !self.has_all() {
            self.occupy().await?;
        }
        let Some(bytes) = self.next().await? else {
            return Ok(None);
        };
        if self.has_all() {
            (self.slot, self.body) = (None, None);
        }
        if let Some(slot) = &self.slot {
            slot.leave(self.body.take());
        }
        Ok(Some((bytes, self)))
    }

    /// Whether the upstream need not be read any more.
    fn has_all(&self) -> bool {
        match self.check {
            Check::Hashing(_) => false,
            Check::Matched => true,
            Check::PartAlone => self.received >= self.range.end,
        }
    }

    /// Goes on with its slot and the answer it has read from, or waits for another one.
    async fn occupy(&mut self) -> Result<(), FetchError> {
        if let Some(slot) = self.slot.take() {
            if let Some(body) = slot.resume() {
                (self.slot, self.body) = (Some(slot), body);
                return Ok(());
            }
            debug!(digest = %self.digest, "a client that took no bytes goes on; others have its slot");
            self.deadline = self.deadline.renewed(Instant::now());
        }
        let wait = SLOT_TIMEOUT.min(self.deadline.left());
        let slot = self.slots.take(self.claim.clone(), wait).await;
        let slot = LentSlot::new(slot.ok_or_else(|| {
            let advice = "raise cache.max_fills, or free disk space if the cache is full";
            self.source.broken(Cause::AtCapacity { advice })
        })?);
        self.body = slot.resume().flatten();
        self.slot = Some(slot);
        Ok(())
    }

    /// The next bytes for the client.
    async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        if self.received > 0 {
            self.waits_since = Some(Instant::now());
        }
        if let Wanted::PartOf(size) = std::mem::replace(&mut self.wanted, Wanted::Whole) {
            self.ask_for_part(size).await;
        }
        loop {
            let keep = match self.check {
                Check::Hashing(_) => HOLD_BACK,
                Check::Matched | Check::PartAlone => 0,
            };
            if let Some(bytes) = self.release(keep) {
                return Ok(Some(bytes));
            }
            let is_over = matches!(self.check, Check::Matched);
            if is_over || self.received - self.held_bytes >= self.range.end {
                return Ok(None);
            }
            match self.receive().await? {
                Some(chunk) => {
                    if let Check::Hashing(hasher) = &mut self.check {
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

    /// Asks for the part of a blob of `size` bytes alone. Whatever does not come as asked for, the
    /// whole can still bring.
    async fn ask_for_part(&mut self, size: u64) {
        let Range { start, end } = self.range;
        let part = Part::Bytes(start, Some(end));
        let body = match self.source.get(part, &self.deadline).await {
            Ok(body) => body,
            Err(error) if error.range_refusal().is_some() => return,
            // Trouble is no reason to download the whole: the part is asked for again.
            Err(_) => {
                self.check = Check::PartAlone;
                self.received = start;
                return;
            }
        };
        let is_of_blob = body.size.is_none_or(|there| there == size);
        if is_of_blob && body.start == start && body.end == Some(end) {
            self.check = Check::PartAlone;
            self.received = start;
            self.body = Some((body, start));
        } else if body.start == 0 && body.end.is_none() {
            self.body = Some((body, 0));
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
                // Only the word of its end is missing, and there is nothing left to ask for.
                if self.size == Some(self.received) {
                    return Ok(None);
                }
                let body = self.ask().await?;
                let start = body.start;
                self.body = Some((body, start));
            }
            let Some((body, position)) = &mut self.body else {
                continue;
            };
            match body.bytes.next().await {
                Some(Ok(mut chunk)) => {
                    // A body that begins anew brings once more what is there.
                    let there = self.received.saturating_sub(*position);
                    let there = usize::try_from(there)
                        .unwrap_or(usize::MAX)
                        .min(chunk.len());
                    *position += chunk.len() as u64;
                    self.waits_since = Some(Instant::now());
                    let new = chunk.split_off(there);
                    if !new.is_empty() {
                        self.resumes.reset();
                        return Ok(Some(new));
                    }
                }
                None => return Ok(None),
                Some(Err(error)) => {
                    self.body = None;
                    if let Some(since) = self.waits_since.take() {
                        self.deadline = self.deadline.renewed(since);
                    }
                    if !self.resumes.again(Some(&error), &self.deadline).await {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Asks for the blob, or for the bytes that are still missing.
    async fn ask(&mut self) -> Result<BlobBody, FetchError> {
        let part = match (self.received, &self.check) {
            (from, Check::PartAlone) => Part::Bytes(from, Some(self.range.end)),
            (0, _) => Part::Whole,
            (from, _) => Part::Bytes(from, self.size),
        };
        let deadline = &self.deadline;
        let ask = || self.source.get(part, deadline);
        let answer = match through_store_failures(deadline, ask).await {
            Err(error) if part != Part::Whole => match error.range_refusal() {
                Some(refusal) => {
                    let source = &self.source;
                    source
                        .get_without_range(Some(refusal), &self.deadline)
                        .await
                }
                None => Err(error),
            },
            answer => answer,
        };
        let body = answer?;
        if body.start > self.received {
            return Err(self.source.broken(Cause::WrongRange));
        }
        self.size = self.size.or(body.size);
        Ok(body)
    }

    fn verify(&mut self) -> Result<(), FetchError> {
        match std::mem::replace(&mut self.check, Check::Matched) {
            Check::Hashing(hasher) => {
                let (expected, actual) = (self.digest, hasher.finish());
                if actual != expected {
                    return Err(self.source.corrupt(expected, actual));
                }
                Ok(())
            }
            Check::Matched => Ok(()),
            Check::PartAlone => Err(self.source.broken(Cause::Truncated)),
        }
    }
}
