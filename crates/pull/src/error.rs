//! Why a pull failed, by the decision a caller can take.
//!
//! [`FillFailure::of`] is the only place that looks into the error of a fill.

use std::{sync::Arc, time::Duration};

use cache::{CacheError, FillError, RepoKey};
use manifest_model::{Ambiguity, Digest, Platform};
use protocol::host::Host;
use upstream::{FetchError, Resource};

/// Why a pull failed. Cheap to clone: one failed fetch answers every request that waited for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PullError {
    /// The upstream did not give it.
    #[error(transparent)]
    Fetch(#[from] Arc<FetchError>),
    /// The upstream cannot be asked, and the last it said is that there is no such thing.
    #[error("{upstream} did not have it {} s ago, and cannot be asked now", age.as_secs())]
    WasAbsent {
        /// The upstream.
        upstream: Host,
        /// The missing resource.
        what: Resource,
        /// How long ago the upstream said so.
        age: Duration,
    },
    /// The upstream is offline, so what is stored of it is all there is.
    #[error("{upstream} is offline here, and this is not stored")]
    NotHere {
        /// The upstream.
        upstream: Host,
        /// What is not stored, or not proved to be in the repository that was asked.
        what: Resource,
    },
    /// The tag is stored and may not go out unconfirmed at its age.
    #[error(
        "{name} is here ({digest}, confirmed {} ago), but `stale_if_error` allows no more than {} \
         without the upstream: raise that, or pull by digest",
        whole(*age), whole(*allowed)
    )]
    TooStale {
        /// The tag, as `HOST/REPOSITORY:TAG`.
        name: String,
        /// Where it points.
        digest: Digest,
        /// How long ago the upstream confirmed it.
        age: Duration,
        /// The upstream's `stale_if_error`.
        allowed: Duration,
        /// Why the upstream did not confirm it.
        source: Box<PullError>,
    },
    /// The download failed before it had begun.
    #[error(transparent)]
    Fill(#[from] Arc<FillError>),
    /// The same failed a moment ago, after a wait, and nothing of it has come since.
    #[error("it failed a moment ago, and nothing of it has come since")]
    GaveUp {
        /// How it failed.
        source: Box<PullError>,
        /// When it is worth asking again.
        retry_in: Duration,
    },
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] Arc<CacheError>),
    /// The bytes are stored, but only from another upstream, and whether this one has them too could
    /// not be learned. Its "not found", and its refusal, are answers.
    #[error("it is not known yet whether the upstream has this")]
    Unconfirmed(#[source] Arc<FetchError>),
    /// The index has no manifest for the platform.
    #[error("no manifest for {wanted}")]
    NothingFits {
        /// The platform asked for.
        wanted: Platform,
        /// The platforms there are.
        offered: Vec<Platform>,
    },
    /// The image cannot be resolved: nested too deep, or with an unusable config.
    #[error("the index cannot be resolved: {0}")]
    Unresolvable(&'static str),
    /// Clients would read the index in two ways, and choose differently.
    #[error("the index cannot be resolved: {0}")]
    TwoWays(#[from] Ambiguity),
    /// The upstream lacks every source of a rule.
    #[error("a rule makes this tag of other tags, and the upstream has none of them: {}", tried.join(", "))]
    NoSource {
        /// The names, as `NAME:TAG`.
        tried: Vec<String>,
    },
    /// A rule leads to several images for one platform; taking any of them would be a guess.
    #[error("the rule of this tag leads to {} images for {platform}: {}", candidates.len(), candidates.join(", "))]
    Ambiguous {
        /// The platform.
        platform: Platform,
        /// The images, as `NAME:TAG@DIGEST`.
        candidates: Vec<String>,
    },
    /// No slot for a download or a call came free in time.
    #[error(
        "too many downloads and calls are running; retry, and if it lasts, raise cache.max_fills or \
         cache.max_calls"
    )]
    Busy,
    /// Our own shutdown cut the work.
    #[error("shutting down")]
    Interrupted,
}

impl PullError {
    /// The upstream's error behind this one, if there is one.
    pub fn fetch_error(&self) -> Option<&FetchError> {
        match self {
            Self::Fetch(error) => Some(error),
            Self::GaveUp { source, .. } | Self::TooStale { source, .. } => source.fetch_error(),
            Self::Fill(fill) => match FillFailure::of(fill) {
                FillFailure::Source { source, .. } => Some(source),
                _ => None,
            },
            _ => None,
        }
    }

    /// Why the upstream did not confirm stored bytes.
    pub(super) fn unconfirmed(error: Arc<FetchError>) -> Self {
        match *error {
            FetchError::Unreachable { .. } | FetchError::Broken { .. } => Self::Unconfirmed(error),
            _ => Self::Fetch(error),
        }
    }

    /// Whether the upstream is in trouble, so that what was known before beats this error.
    pub(super) fn is_trouble(&self) -> bool {
        matches!(self, Self::Busy | Self::Unconfirmed(_))
            || self.fetch_error().is_some_and(FetchError::allows_stale)
    }

    /// Whether the upstream answered "not found", or is offline and nothing is stored.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::NotHere { .. })
            || matches!(self.fetch_error(), Some(FetchError::NotFound { .. }))
    }

    /// Whether the upstream has neither the tag any more nor any source of its rule.
    pub(super) fn is_gone(&self) -> bool {
        self.is_absent() || matches!(self, Self::NoSource { .. })
    }
}

impl From<FetchError> for PullError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(Arc::new(error))
    }
}

impl From<CacheError> for PullError {
    fn from(error: CacheError) -> Self {
        Self::Cache(Arc::new(error))
    }
}

/// A time for people, in whole seconds.
fn whole(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs()))
}

/// Why a fill failed, as far as its followers act on it.
pub(super) enum FillFailure<'a> {
    /// An upstream failed, in the name of one repository: the answer holds for no other.
    Source {
        repository: &'a RepoKey,
        source: &'a FetchError,
    },
    /// No slot came free in time.
    NoSlot,
    /// It gave its slot up while nobody followed it.
    GaveWay,
    /// Our disk failed, not the source of the bytes.
    Storage,
    /// The fill was dropped: shutdown, or a panic.
    Abandoned,
    /// The source sent wrong bytes.
    Content,
}

impl<'a> FillFailure<'a> {
    pub(super) fn of(error: &'a FillError) -> Self {
        match error {
            FillError::Source { source, .. } => match source.downcast_ref() {
                Some(SourceFailure::Upstream { repository, source }) => {
                    Self::Source { repository, source }
                }
                Some(SourceFailure::NoSlot) => Self::NoSlot,
                Some(SourceFailure::GaveWay) => Self::GaveWay,
                // No fill of ours is failed with another error.
                None => Self::Content,
            },
            FillError::Storage { .. } => Self::Storage,
            FillError::Abandoned { .. } => Self::Abandoned,
            FillError::Corrupt { .. } | FillError::Length { .. } => Self::Content,
        }
    }
}

/// What a fill is failed with.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceFailure {
    /// The answer of an upstream, and the repository in whose name it was asked.
    #[error("the request for it in {repository} failed")]
    Upstream {
        repository: RepoKey,
        source: FetchError,
    },
    /// No slot came free in time.
    #[error(
        "all slots for downloads are taken; raise cache.max_fills, or look for a slow upstream"
    )]
    NoSlot,
    /// Somebody waited for its slot, and nobody followed it.
    #[error("it gave way to a download that somebody waits for")]
    GaveWay,
}
