//! Why a pull could not be answered.

use std::sync::Arc;

use cache::{CacheError, FillError};
use manifest_model::Platform;
use upstream::FetchError;

use super::fill::NotGiven;

/// Cheap to clone: one failed fetch answers everyone who waited for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PullError {
    /// The upstream did not give it.
    #[error(transparent)]
    Fetch(#[from] Arc<FetchError>),
    /// The download failed before it had begun.
    #[error(transparent)]
    Fill(#[from] Arc<FillError>),
    /// The cache is in trouble.
    #[error(transparent)]
    Cache(#[from] Arc<CacheError>),
    /// The image has nothing for the platform.
    #[error("no manifest for {wanted}")]
    NothingFits {
        /// What was asked for.
        wanted: Platform,
        /// What there is.
        offered: Vec<Platform>,
    },
    /// The image cannot be resolved: nested too deep, or a config that is none.
    #[error("the index cannot be resolved: {0}")]
    Unresolvable(&'static str),
    /// The upstream says it has none of the names a rule looks at.
    #[error("none of the names it is made of exists: {}", tried.join(", "))]
    NoSource {
        /// The names, as `NAME:TAG`.
        tried: Vec<String>,
    },
    /// A rule leads to several images for one platform; taking any of them would be a guess.
    #[error("its rule leads to {} images for {platform}: {}", candidates.len(), candidates.join(", "))]
    Ambiguous {
        /// The platform.
        platform: Platform,
        /// The images, as `NAME:TAG@DIGEST`.
        candidates: Vec<String>,
    },
    /// All fill slots are taken and none came free in time.
    #[error("too many downloads are running")]
    Busy,
    /// The work was cut off by our own shutdown.
    #[error("shutting down")]
    Interrupted,
}

impl PullError {
    /// The upstream's part in it, if it had one.
    pub fn fetch_error(&self) -> Option<&FetchError> {
        match self {
            Self::Fetch(error) => Some(error),
            Self::Fill(fill) => NotGiven::of(fill).map(|failure| &failure.source),
            _ => None,
        }
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
