//! Places where a blob may be had without its upstream: another replica.
//!
//! Owns which of them a download asks, and what they differ in from an upstream. Refuses their order
//! once it runs (`fill::sources`): there each is asked in turn before the upstream, and left for good
//! as soon as it fails. What one says is never an answer to a client: only its bytes count, and only
//! once their digest has matched.

use std::time::Duration;

use manifest_model::Digest;
use replicas::{PeerBlob, Replicas};
use upstream::{BlobBody, BlobSource, Deadline, FetchError, Part, RangeRefusal};

use crate::{Repository, slots::Asker};

/// What is nearer than an upstream. Cheap to clone; without any of it there is only the upstream.
#[derive(Clone, Debug, Default)]
pub struct Nearby {
    /// The other replicas of this Archway.
    pub replicas: Option<Replicas>,
}

impl Nearby {
    /// Where to ask for a blob before its upstream, in this order. In memory: asks nobody.
    pub(crate) fn sources(&self, repository: &Repository, digest: &Digest) -> Vec<ByteSource> {
        let replicas = self.replicas.iter();
        // What a replica asks for is brought, and never asked of a further one.
        let replicas = replicas.filter(|_| !matches!(repository.asker, Asker::Replica(_)));
        let peers = replicas.flat_map(|replicas| {
            replicas.blob_sources(repository.upstream.host(), &repository.name, digest)
        });
        peers.map(ByteSource::Replica).collect()
    }
}

/// Where the bytes of one blob come from, in parts.
#[derive(Debug)]
pub(crate) enum ByteSource {
    /// The upstream of a repository.
    Upstream(Box<BlobSource>),
    /// Another replica, which has the blob or brings it now.
    Replica(PeerBlob),
}

impl ByteSource {
    /// Whether it is none of an upstream.
    pub(crate) fn is_nearby(&self) -> bool {
        !matches!(self, Self::Upstream(_))
    }

    pub(crate) fn is_replica(&self) -> bool {
        matches!(self, Self::Replica(_))
    }

    /// How long it may say nothing before another place is asked, where upstreams have `silence`;
    /// `None` if it fails by itself in time.
    pub(crate) fn silence(&self, silence: Duration) -> Option<Duration> {
        match self {
            Self::Upstream(_) => Some(silence),
            Self::Replica(_) => None,
        }
    }

    /// How many connections one blob may have, where the upstream allows so many.
    pub(crate) fn max_connections(&self, at_upstream: usize) -> usize {
        match self {
            Self::Upstream(_) => at_upstream,
            Self::Replica(_) => 1,
        }
    }

    /// Whether ranges of this repository were refused a while ago.
    pub(crate) fn refuses_ranges(&self) -> bool {
        match self {
            Self::Upstream(source) => source.refuses_ranges(),
            Self::Replica(_) => false,
        }
    }

    /// Whether every part counts for a configured rate.
    pub(crate) fn is_rate_limited(&self) -> bool {
        match self {
            Self::Upstream(source) => source.is_rate_limited(),
            Self::Replica(_) => false,
        }
    }

    /// A part of the blob, or the whole from a place that ignores ranges.
    pub(crate) async fn get(
        &self,
        part: Part,
        deadline: &Deadline,
    ) -> Result<BlobBody, FetchError> {
        match self {
            Self::Upstream(source) => source.get(part, deadline).await,
            Self::Replica(peer) => peer.get(part, deadline).await,
        }
    }

    /// The whole blob, after a part of it was refused.
    pub(crate) async fn get_without_range(
        &self,
        refusal: Option<RangeRefusal>,
        deadline: &Deadline,
    ) -> Result<BlobBody, FetchError> {
        match self {
            Self::Upstream(source) => source.get_without_range(refusal, deadline).await,
            Self::Replica(peer) => peer.get(Part::Whole, deadline).await,
        }
    }
}
