//! Why a pull failed, by the decision a caller can take.
//!
//! [`FillFailure::of`] is the only place that looks into the error of a fill.

use std::sync::Arc;

use cache::{CacheError, FillError, RepoKey};
use manifest_model::Platform;
use upstream::FetchError;

/// Why a pull failed. Cheap to clone: one failed fetch answers every request that waited for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PullError {
    /// The upstream did not give it.
    #[error(transparent)]
    Fetch(#[from] Arc<FetchError>),
    /// The download failed before it had begun.
    #[error(transparent)]
    Fill(#[from] Arc<FillError>),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] Arc<CacheError>),
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
    /// No permit for a download came free in time.
    #[error("too many downloads are running")]
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
            Self::Fill(fill) => match FillFailure::of(fill) {
                FillFailure::Source(refusal) => Some(&refusal.source),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the upstream answered "not found".
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.fetch_error(), Some(FetchError::NotFound { .. }))
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

/// Why a fill failed, as far as its followers act on it.
pub(super) enum FillFailure<'a> {
    /// An upstream failed, in the name of one repository.
    Source(&'a SourceFailure),
    /// No permit came free in time.
    NoPermit,
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
                Some(failure) => Self::Source(failure),
                // No fill of ours is failed with another error.
                None => Self::Content,
            },
            FillError::NoPermit { .. } => Self::NoPermit,
            FillError::Storage { .. } => Self::Storage,
            FillError::Abandoned { .. } => Self::Abandoned,
            FillError::Corrupt { .. } | FillError::Length { .. } => Self::Content,
        }
    }
}

/// The answer of an upstream that ended a fill, and the repository in whose name it was asked: the
/// answer holds for no other.
#[derive(Debug, thiserror::Error)]
#[error("the request for it in {repository} failed")]
pub(super) struct SourceFailure {
    pub(super) repository: RepoKey,
    pub(super) source: FetchError,
}
