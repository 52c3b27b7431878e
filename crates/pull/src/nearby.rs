//! Places where content may be had without its upstream: another replica, the tier.
//!
//! Owns which of them are asked, for a blob and for a name, and in what they differ from an upstream.
//! Refuses their order once a download runs (`fill::sources`): there each is asked in turn before the
//! upstream, and left for good as soon as it fails. What one says is never an answer to a client: only
//! its bytes count, and only once their digest has matched.

use std::time::Duration;

use cache::Cache;
use manifest_model::Digest;
use replicas::{PeerBlob, PeerManifests, Replicas};
use slots::Asker;
use tier::{Tier, TierBlob};
use upstream::{BlobBody, BlobSource, Deadline, FetchError, Part, RangeRefusal};

use crate::Repository;

/// Connections that one blob may have to the bucket: each is slow, and there is room for many.
const CONNECTIONS_TO_TIER: usize = 6;

/// A GiB in 64 requests at most.
const LEAST_OF_TIER: u64 = 16 * 1024 * 1024;

/// What is nearer than an upstream. Cheap to clone; without any of it there is only the upstream.
#[derive(Clone, Debug, Default)]
pub struct Nearby {
    /// The other replicas of this Archway.
    pub replicas: Option<Replicas>,
    /// The bucket that replicas share.
    pub tier: Option<Tier>,
}

impl Nearby {
    /// Where to ask for a blob before its upstream, in this order. In memory: asks nobody.
    pub(crate) fn sources(&self, repository: &Repository, digest: &Digest) -> Vec<ByteSource> {
        let peers = self.others(repository).into_iter().flat_map(|replicas| {
            replicas.blob_sources(repository.upstream.host(), &repository.name, digest)
        });
        let copy = self.copy(repository, digest);
        let copy = copy.map(|blob| ByteSource::Tier(Box::new(blob)));
        peers.map(ByteSource::Replica).chain(copy).collect()
    }

    /// The blob in the bucket, if it is there; while the upstream is in trouble, if it may be.
    fn copy(&self, repository: &Repository, digest: &Digest) -> Option<TierBlob> {
        let (tier, upstream) = (self.tier.as_ref()?, &repository.upstream);
        let known = tier.source(upstream.host(), digest);
        known.or_else(|| {
            let endpoints = upstream.endpoint_statuses();
            let is_out = endpoints.iter().all(|endpoint| endpoint.outage.is_some());
            is_out.then(|| tier.last_resort(upstream.host(), digest))?
        })
    }

    /// The replicas to ask for the names of a repository; `None` if this one asks the upstream: it is
    /// the authority, or asked by another replica, or alone.
    pub(crate) fn authority(&self, repository: &Repository) -> Option<PeerManifests> {
        let replicas = self.others(repository)?;
        replicas.authority(repository.upstream.host(), &repository.name)
    }

    /// All other replicas, for what only one of them may have.
    pub(crate) fn anyone(&self, repository: &Repository) -> Option<PeerManifests> {
        let replicas = self.others(repository)?;
        Some(replicas.anyone(repository.upstream.host(), &repository.name))
    }

    /// The other replicas, where they may be asked: what one of them asks for is brought, and never asked
    /// of a further one, and for an offline upstream nobody is asked.
    fn others(&self, repository: &Repository) -> Option<&Replicas> {
        let is_theirs = matches!(repository.asker, Asker::Replica(_));
        let may_ask = !is_theirs && !repository.upstream.is_offline();
        self.replicas.as_ref().filter(|_| may_ask)
    }
}

/// Where the bytes of one blob come from, in parts.
#[derive(Debug)]
pub(crate) enum ByteSource {
    /// The upstream of a repository.
    Upstream(Box<BlobSource>),
    /// Another replica, which has the blob or brings it now.
    Replica(PeerBlob),
    /// The bucket that replicas share.
    Tier(Box<TierBlob>),
}

impl ByteSource {
    /// Whether it is none of an upstream.
    pub(crate) fn is_nearby(&self) -> bool {
        self.upstream().is_none()
    }

    fn upstream(&self) -> Option<&BlobSource> {
        match self {
            Self::Upstream(source) => Some(source),
            Self::Replica(_) | Self::Tier(_) => None,
        }
    }

    pub(crate) fn is_replica(&self) -> bool {
        matches!(self, Self::Replica(_))
    }

    /// Whether its bytes prove that the upstream of `repository` has them there. What is in the bucket
    /// may have been sent by another one, so there it takes a link as well, as with bytes that are
    /// stored here.
    pub(crate) fn proves(&self, cache: &Cache, repository: &Repository, digest: &Digest) -> bool {
        match self {
            Self::Upstream(_) | Self::Replica(_) => true,
            Self::Tier(blob) => blob.is_of_upstream() && cache.is_linked(&repository.key, digest),
        }
    }

    /// How long it may say nothing before another place is asked, where upstreams have `silence`;
    /// `None` if it fails by itself in time.
    pub(crate) fn silence(&self, silence: Duration) -> Option<Duration> {
        self.upstream().map(|_| silence)
    }

    /// How many connections one blob may have, where the upstream allows so many.
    pub(crate) fn max_connections(&self, at_upstream: usize) -> usize {
        match self {
            Self::Upstream(_) => at_upstream,
            Self::Replica(_) => 1,
            Self::Tier(_) => CONNECTIONS_TO_TIER,
        }
    }

    /// The least that one request is to ask for, where there is so much: a bucket charges for each.
    pub(crate) fn least_request(&self) -> u64 {
        match self {
            Self::Upstream(_) | Self::Replica(_) => 0,
            Self::Tier(_) => LEAST_OF_TIER,
        }
    }

    /// Whether ranges of this repository were refused a while ago.
    pub(crate) fn refuses_ranges(&self) -> bool {
        self.upstream().is_some_and(BlobSource::refuses_ranges)
    }

    /// Whether every part counts for a configured rate.
    pub(crate) fn is_rate_limited(&self) -> bool {
        self.upstream().is_some_and(BlobSource::is_rate_limited)
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
            Self::Tier(blob) => blob.get(part).await,
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
            Self::Tier(blob) => blob.get(Part::Whole).await,
        }
    }
}
