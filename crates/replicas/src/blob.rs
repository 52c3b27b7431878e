//! A blob at another replica, as a place of a download.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use manifest_model::{Digest, RepoName};
use protocol::host::Host;
use reqwest::Response;
use tokio::time::Instant;
use upstream::{BlobBody, Cause, Deadline, FetchError, Part};

use crate::{
    error::PeerError,
    fleet::{Fleet, unreached},
    link::{ARCHWAY_ASK, ARCHWAY_HELD, ARCHWAY_INSISTS, Wanted},
    metrics::PeerRequest,
    view::MemberName,
};

/// How long a replica that lives may send nothing in the middle of a body. Its own download has other
/// places to go on from, so that is long enough.
const IDLE: Duration = Duration::from_secs(4);

/// How often one replica after the other may name another one. With four readers each that is a thousand.
const MAX_SENT_ON: usize = 5;

/// Why a replica is asked for a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// It owns the blob, and brings it.
    Owner,
    /// It is the next in rank, and brings it as well; but not for the rest of it alone, for which it would
    /// have to fetch all that the asker has.
    Next,
    /// It may have it.
    Has,
}

impl Rank {
    fn wanted(self, from: u64) -> Wanted {
        match self {
            Self::Owner => Wanted::Brought,
            Self::Next if from == 0 => Wanted::Brought,
            Self::Next | Self::Has => Wanted::Held,
        }
    }
}

/// A blob at another replica, which has it, or brings it now: then its bytes come as they arrive
/// there. Not verified, as those of an upstream.
pub struct PeerBlob {
    fleet: Arc<Fleet>,
    member: MemberName,
    rank: Rank,
    /// In its name it fails.
    upstream: Host,
    target: String,
}

impl fmt::Debug for PeerBlob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PeerBlob")
            .field("member", &self.member)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl PeerBlob {
    pub(crate) fn new(
        fleet: &Arc<Fleet>,
        member: MemberName,
        rank: Rank,
        (upstream, repository): (&Host, &RepoName),
        digest: &Digest,
    ) -> Self {
        Self {
            fleet: Arc::clone(fleet),
            member,
            rank,
            upstream: upstream.clone(),
            target: format!("/v2/{repository}/blobs/{digest}?ns={upstream}"),
        }
    }

    /// A part of it. A replica that hangs fails within a second; one that waits for its upstream has
    /// half of the time that is left.
    pub async fn get(&self, part: Part, deadline: &Deadline) -> Result<BlobBody, FetchError> {
        let limit = deadline.left() / 2;
        let body = self.ask(part, limit).await;
        body.map_err(|error| failed(&self.upstream, error))
    }

    /// Asks the member and, where that has as many readers as it takes, the one of them that it names, and
    /// so on. One that is of no help is no reason to go without the member.
    async fn ask(&self, part: Part, limit: Duration) -> Result<BlobBody, PeerError> {
        let end = Instant::now() + limit;
        let wanted = self.rank.wanted(start(part));
        let mut member = self.member.clone();
        let mut answer = self.ask_one(&member, part, end, (wanted, None)).await?;
        for _ in 0..MAX_SENT_ON {
            let named = answer.headers().get(ARCHWAY_ASK);
            let Some(name) = named.and_then(|name| name.to_str().ok()) else {
                return self.body(&member, answer, part);
            };
            let Some(other) = self.fleet.view(|view, now| view.other(name, now)) else {
                break;
            };
            let asked = self.ask_one(&other, part, end, (Wanted::Held, None));
            let Ok(next) = asked.await else { break };
            (member, answer) = (other, next);
        }
        let asked = (wanted, Some(HeaderValue::from_static("1")));
        let answer = self.ask_one(&self.member, part, end, asked).await?;
        self.body(&self.member, answer, part)
    }

    async fn ask_one(
        &self,
        member: &MemberName,
        part: Part,
        end: Instant,
        (wanted, insists): (Wanted, Option<HeaderValue>),
    ) -> Result<Response, PeerError> {
        let fleet = &self.fleet;
        let mut headers = HeaderMap::new();
        if wanted == Wanted::Held {
            headers.insert(ARCHWAY_HELD, HeaderValue::from_static("1"));
        }
        if let Some(insists) = insists {
            headers.insert(ARCHWAY_INSISTS, insists);
        }
        if let Some(range) = range(part) {
            headers.insert(header::RANGE, range);
        }
        let limit = end.saturating_duration_since(Instant::now());
        let question = fleet.question(member, &self.target, headers);
        let kind = PeerRequest::Blob;
        let answer = fleet.ask(member, kind, question, limit).await?;
        let status = answer.status();
        if !status.is_success() && !answer.headers().contains_key(ARCHWAY_ASK) {
            let member = member.to_string();
            return Err(PeerError::Refused { member, status });
        }
        Ok(answer)
    }

    fn body(
        &self,
        member: &MemberName,
        answer: Response,
        part: Part,
    ) -> Result<BlobBody, PeerError> {
        let status = answer.status();
        if !status.is_success() {
            let member = member.to_string();
            return Err(PeerError::Refused { member, status });
        }
        let from = start(part);
        let (start, end, size) = if answer.status() == StatusCode::PARTIAL_CONTENT {
            let range = answer.headers().get(header::CONTENT_RANGE);
            let range = range.and_then(|range| content_range(range.to_str().ok()?));
            let (start, end, size) =
                range
                    .filter(|(start, ..)| *start == from)
                    .ok_or_else(|| PeerError::Wrong {
                        member: member.to_string(),
                        what: "another range than the one asked for",
                    })?;
            (start, Some(end), Some(size))
        } else {
            (0, None, answer.content_length())
        };
        Ok(BlobBody {
            size,
            start,
            end,
            // Whether the upstream would answer ranges, where the rest may come from, is not known.
            ranges: false,
            bytes: Box::pin(self.pieces(member, answer)),
        })
    }

    fn pieces(
        &self,
        member: &MemberName,
        answer: Response,
    ) -> impl Stream<Item = Result<Bytes, FetchError>> + use<> {
        let (fleet, member) = (Arc::clone(&self.fleet), member.clone());
        let upstream = self.upstream.clone();
        stream::try_unfold(answer, move |mut answer| {
            let (fleet, member) = (Arc::clone(&fleet), member.clone());
            let upstream = upstream.clone();
            async move {
                let error = match fleet.patiently(&member, IDLE, answer.chunk()).await {
                    Ok(Ok(Some(piece))) => {
                        fleet.metrics.came(piece.len());
                        return Ok(Some((piece, answer)));
                    }
                    Ok(Ok(None)) => return Ok(None),
                    Ok(Err(error)) => unreached(&member, error),
                    Err(error) => error,
                };
                // A download that ended there is no fault of the replica, and looks like one that was
                // cut: greetings tell.
                Err(failed(&upstream, error))
            }
        })
    }
}

fn failed(upstream: &Host, error: PeerError) -> FetchError {
    FetchError::Unreachable {
        upstream: upstream.clone(),
        source: Cause::Nearby(Box::new(error)),
    }
}

fn start(part: Part) -> u64 {
    match part {
        Part::Whole => 0,
        Part::Bytes(start, _) => start,
    }
}

fn range(part: Part) -> Option<HeaderValue> {
    let text = match part {
        Part::Whole => return None,
        Part::Bytes(start, None) => format!("bytes={start}-"),
        Part::Bytes(start, Some(end)) => format!("bytes={start}-{}", end - 1),
    };
    Some(HeaderValue::try_from(text).expect("digits are header text"))
}

/// `bytes first-last/total`: the first byte, the one after the last, and the total.
fn content_range(value: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let end = last.checked_add(1).filter(|end| first < *end)?;
    Some((first, end, total.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_answered_with_its_place_in_the_whole() {
        assert_eq!(content_range("bytes 10-19/30"), Some((10, 20, 30)));
        assert_eq!(content_range("bytes 10-19/*"), None, "a replica knows");
        assert_eq!(content_range("bytes 9-8/30"), None);
        let last = format!("bytes 0-{}/1", u64::MAX);
        assert_eq!(content_range(&last), None, "no such byte");
    }
}
