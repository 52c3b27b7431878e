//! A repository at the replica that is its authority.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use manifest_model::{Digest, MAX_MANIFEST_BYTES, Reference, RepoName};
use protocol::{headers, host::Host};
use reqwest::Response;

use crate::{
    error::PeerError,
    fleet::{Fleet, unreached},
    link::{ARCHWAY_AGE, ARCHWAY_HELD, ARCHWAY_PROOF, Wanted},
    metrics::PeerRequest,
    view::MemberName,
};

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
    Absent,
}

/// A manifest as a replica sent it: whether it is the one asked for, its bytes tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerManifest {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its media type.
    pub media_type: Option<String>,
    /// The digest that the replica gives it, which its proof is for.
    pub digest: Option<Digest>,
    /// How long ago the upstream confirmed that the tag points here.
    pub age: Duration,
    /// Whether it could not be asked since.
    pub is_stale: bool,
}

impl fmt::Debug for PeerManifests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PeerManifests")
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

/// What the proof of an answer about a tag is for: where it points, if anywhere, and its age.
pub fn proved_facts(digest: Option<&str>, age_ms: &str) -> String {
    format!("{} {age_ms}", digest.unwrap_or("absent"))
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

    /// What the first of them that answers says of a name; `None` if none does within `limit` each.
    /// Of a tag that points at `known` no bytes are sent.
    pub async fn get(
        &self,
        reference: &Reference,
        known: Option<&Digest>,
        limit: Duration,
    ) -> Option<PeerAnswer> {
        for member in &self.members {
            match self.ask(member, reference, known, limit).await {
                Ok(answer) => return Some(answer),
                Err(error) => {
                    tracing::debug!(%error, repository = %self.repository, "a replica did not answer for a repository");
                }
            }
        }
        None
    }

    async fn ask(
        &self,
        member: &MemberName,
        reference: &Reference,
        known: Option<&Digest>,
        limit: Duration,
    ) -> Result<PeerAnswer, PeerError> {
        let (repository, upstream) = (&self.repository, &self.upstream);
        let target = format!("/v2/{repository}/manifests/{reference}?ns={upstream}");
        let question = self.fleet.link.get(member, &target);
        let authorization = question.authorization.clone();
        let mut asked = HeaderMap::from_iter([
            (header::ACCEPT, HeaderValue::from_static("*/*")),
            // The index itself, whatever platform this replica's address would stand for.
            (headers::ARCHWAY_PLATFORM, HeaderValue::from_static("all")),
        ]);
        if self.wanted == Wanted::Held {
            asked.insert(ARCHWAY_HELD, HeaderValue::from_static("1"));
        }
        if let Some(known) = known {
            let tag = headers::header_text(format_args!("\"{known}\""));
            asked.insert(header::IF_NONE_MATCH, tag);
        }
        let kind = PeerRequest::Manifest;
        let answer = self.fleet.ask(member, kind, question, asked, limit).await?;
        let read = Answer::read(&answer);
        let is_absent = answer.status() == StatusCode::NOT_FOUND;
        if (is_absent || matches!(reference, Reference::Tag(_)))
            && !self.is_proved(&read, authorization.as_ref())
        {
            let error = PeerError::Wrong {
                member: member.to_string(),
                what: "its proof is missing or wrong",
            };
            // A "not found" of another kind has none, and is no fault.
            if !is_absent {
                self.fleet.note(member, &error);
            }
            return Err(error);
        }
        match answer.status() {
            StatusCode::NOT_MODIFIED => Ok(PeerAnswer::Unchanged {
                age: read.age.unwrap_or_default(),
                is_stale: read.is_stale,
            }),
            StatusCode::NOT_FOUND if read.age.is_some() => Ok(PeerAnswer::Absent),
            status @ StatusCode::NOT_FOUND => Err(PeerError::Refused {
                member: member.to_string(),
                status,
            }),
            _ => self.manifest(member, answer, read, limit).await,
        }
    }

    fn is_proved(&self, read: &Answer, authorization: Option<&HeaderValue>) -> bool {
        let facts = proved_facts(read.digest.as_deref(), &read.age_text);
        let proof = read.proof.as_deref();
        self.fleet.link.is_proved(authorization, &facts, proof)
    }

    async fn manifest(
        &self,
        member: &MemberName,
        mut answer: Response,
        read: Answer,
        limit: Duration,
    ) -> Result<PeerAnswer, PeerError> {
        let mut bytes = Vec::new();
        loop {
            let piece = self.fleet.patiently(member, limit, answer.chunk()).await?;
            let piece = piece.map_err(|error| unreached(member, error))?;
            let Some(piece) = piece else { break };
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_MANIFEST_BYTES {
                return Err(PeerError::Wrong {
                    member: member.to_string(),
                    what: "its manifest is too large",
                });
            }
        }
        Ok(PeerAnswer::Manifest(PeerManifest {
            bytes: bytes.into(),
            media_type: read.media_type,
            digest: read.digest.and_then(|digest| digest.parse().ok()),
            age: read.age.unwrap_or_default(),
            is_stale: read.is_stale,
        }))
    }
}

/// The headers of an answer.
struct Answer {
    digest: Option<String>,
    media_type: Option<String>,
    age_text: String,
    age: Option<Duration>,
    is_stale: bool,
    proof: Option<String>,
}

impl Answer {
    fn read(answer: &Response) -> Self {
        let header = |name: HeaderName| {
            let value = answer.headers().get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        let age_text = header(ARCHWAY_AGE).unwrap_or_default();
        Self {
            digest: header(headers::DOCKER_CONTENT_DIGEST),
            media_type: header(header::CONTENT_TYPE),
            age: age_text.parse().ok().map(Duration::from_millis),
            age_text,
            is_stale: header(headers::ARCHWAY_CACHE).as_deref() == Some("stale"),
            proof: header(ARCHWAY_PROOF),
        }
    }
}
