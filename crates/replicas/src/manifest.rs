//! A repository at the replica that is its authority.

use std::{fmt, future::ready, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use manifest_model::{Digest, MAX_MANIFEST_BYTES, Manifest, MediaType, Reference, RepoName};
use protocol::{error_chain::ErrorChain, headers, host::Host};
use reqwest::Response;
use tokio::time::Instant;

use crate::{
    error::PeerError,
    fleet::{Fleet, body},
    link::{ARCHWAY_AGE, ARCHWAY_HELD, Wanted},
    metrics::PeerRequest,
    view::MemberName,
};

/// How many replicas are asked at once for what only one of them may have.
const ASKED_AT_ONCE: usize = 4;

/// A repository at the replicas that are asked for its names before its upstream: its authority, then
/// the next in rank.
pub struct PeerManifests {
    fleet: Arc<Fleet>,
    members: Vec<MemberName>,
    wanted: Wanted,
    upstream: Host,
    repository: RepoName,
}

/// What the authority says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerAnswer {
    /// The manifest.
    Manifest(PeerManifest),
    /// The tag points where the asker knows.
    Unchanged {
        /// How long ago the upstream said so.
        age: Duration,
        /// Whether it could not be asked since.
        is_stale: bool,
    },
    /// The upstream has no such thing.
    Absent {
        /// How long ago it said so, at most.
        age: Duration,
    },
}

/// A manifest as a replica sent it: whether it is the one asked for, its bytes tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerManifest {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its media type.
    pub media_type: Option<String>,
    /// The digest that the replica gives it, and proves.
    pub digest: Option<Digest>,
    /// How long ago the upstream confirmed that the tag points here.
    pub age: Duration,
    /// Whether it could not be asked since.
    pub is_stale: bool,
}

impl PeerManifest {
    /// What was sent for a tag, if its bytes have the digest that the replica has proved.
    pub fn proved(self) -> Option<Manifest> {
        let (kind, proved) = (self.kind(), self.digest?);
        let manifest = Manifest::parse(self.bytes, kind.as_ref(), proved.algorithm()).ok()?;
        (manifest.digest() == proved).then_some(manifest)
    }

    /// What was sent for a digest, if its bytes have it.
    pub fn of_digest(self, digest: &Digest) -> Option<Manifest> {
        if Digest::of(digest.algorithm(), &self.bytes) != *digest {
            return None;
        }
        let kind = self.kind();
        Manifest::of_digest(self.bytes, kind.as_ref(), digest.algorithm()).ok()
    }

    fn kind(&self) -> Option<MediaType> {
        self.media_type.as_deref()?.parse().ok()
    }
}

impl fmt::Debug for PeerManifests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PeerManifests")
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

impl PeerManifests {
    pub(crate) fn new(
        fleet: &Arc<Fleet>,
        members: Vec<MemberName>,
        wanted: Wanted,
        upstream: &Host,
        repository: &RepoName,
    ) -> Self {
        Self {
            fleet: Arc::clone(fleet),
            members,
            wanted,
            upstream: upstream.clone(),
            repository: repository.clone(),
        }
    }

    /// What the first of them that answers says of a name; `None` if none does within `limit`, which is
    /// for all of them together. Of a tag that points at `known` no bytes are sent.
    pub async fn get(
        &self,
        reference: &Reference,
        known: Option<&Digest>,
        limit: Duration,
    ) -> Option<PeerAnswer> {
        let end = Instant::now() + limit;
        for member in &self.members {
            let answer = self.ask(member, reference, known, end).await;
            if let Some(answer) = self.answered(answer) {
                return Some(answer);
            }
        }
        None
    }

    /// The same of whichever of them has it, asked several at a time.
    pub async fn get_of_any(&self, reference: &Reference, limit: Duration) -> Option<PeerAnswer> {
        let end = Instant::now() + limit;
        let members = stream::iter(self.members.clone());
        let answers =
            members.map(|member| async move { self.ask(&member, reference, None, end).await });
        let found = answers.buffer_unordered(ASKED_AT_ONCE);
        let found = found.filter_map(|answer| ready(self.answered(answer)));
        pin!(found).next().await
    }

    fn answered(&self, answer: Result<PeerAnswer, PeerError>) -> Option<PeerAnswer> {
        answer
            .inspect_err(|error| {
                tracing::debug!(error = %ErrorChain(error), repository = %self.repository, "a replica did not answer for a repository");
            })
            .ok()
    }

    async fn ask(
        &self,
        member: &MemberName,
        reference: &Reference,
        known: Option<&Digest>,
        end: Instant,
    ) -> Result<PeerAnswer, PeerError> {
        let (repository, upstream) = (&self.repository, &self.upstream);
        let target = format!("/v2/{repository}/manifests/{reference}?ns={upstream}");
        let question = self.fleet.question(member, &target, self.headers(known));
        let kind = PeerRequest::Manifest;
        let answer = self.fleet.ask(member, kind, question, left(end)).await?;
        let read = Answer::read(&answer);
        match (answer.status(), read.age) {
            (StatusCode::NOT_MODIFIED, Some(age)) if read.digest.as_ref() == known => {
                let is_stale = read.is_stale;
                Ok(PeerAnswer::Unchanged { age, is_stale })
            }
            (StatusCode::NOT_FOUND, Some(age)) => Ok(PeerAnswer::Absent { age }),
            (status, _) if !status.is_success() => Err(PeerError::Refused {
                member: member.to_string(),
                status,
            }),
            _ => {
                let body = body(member, answer, MAX_MANIFEST_BYTES);
                let bytes = self.fleet.patiently(member, left(end), body).await??;
                Ok(PeerAnswer::Manifest(PeerManifest {
                    bytes: bytes.into(),
                    media_type: read.media_type,
                    digest: read.digest,
                    age: read.age.unwrap_or_default(),
                    is_stale: read.is_stale,
                }))
            }
        }
    }

    fn headers(&self, known: Option<&Digest>) -> HeaderMap {
        // The index itself, whatever platform this replica's address would stand for.
        let all = (headers::ARCHWAY_PLATFORM, HeaderValue::from_static("all"));
        let mut asked = HeaderMap::from_iter([all]);
        if self.wanted == Wanted::Held {
            asked.insert(ARCHWAY_HELD, HeaderValue::from_static("1"));
        }
        if let Some(known) = known {
            let tag = headers::header_text(format_args!("\"{known}\""));
            asked.insert(header::IF_NONE_MATCH, tag);
        }
        asked
    }
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// The headers of an answer.
struct Answer {
    digest: Option<Digest>,
    media_type: Option<String>,
    age: Option<Duration>,
    is_stale: bool,
}

impl Answer {
    fn read(answer: &Response) -> Self {
        let header = |name: HeaderName| answer.headers().get(name)?.to_str().ok();
        let age = header(ARCHWAY_AGE).and_then(|age| age.parse().ok());
        Self {
            digest: header(headers::DOCKER_CONTENT_DIGEST).and_then(|digest| digest.parse().ok()),
            media_type: header(header::CONTENT_TYPE).map(str::to_owned),
            age: age.map(Duration::from_millis),
            is_stale: header(headers::ARCHWAY_CACHE) == Some("stale"),
        }
    }
}
