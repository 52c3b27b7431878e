//! One place that a download may come from.

use manifest_model::Digest;
use protocol::host::Host;
use upstream::{Cause, FetchError, Upstream};

use crate::{Repository, nearby::ByteSource};

/// A place that a download may come from: a repository, and the blob there.
#[derive(Debug)]
pub(super) struct Place {
    repository: Repository,
    pub(super) source: ByteSource,
}

impl Place {
    pub(super) fn new(repository: &Repository, digest: Digest) -> Self {
        let source = repository.source(digest);
        Self::at(repository, ByteSource::Upstream(Box::new(source)))
    }

    pub(super) fn at(repository: &Repository, source: ByteSource) -> Self {
        Self {
            repository: repository.anew(),
            source,
        }
    }

    /// Whether it is none of an upstream.
    pub(super) fn is_nearby(&self) -> bool {
        self.source.is_nearby()
    }

    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.repository.upstream
    }

    /// How many connections one blob may have there.
    pub(super) fn max_connections(&self) -> usize {
        let at_upstream = self.upstream().config().parallel;
        self.source.max_connections(at_upstream)
    }

    /// In its name a download that it begins or goes on with fails.
    pub(super) fn host(&self) -> &Host {
        self.upstream().host()
    }

    /// The error for an answer that cannot be right.
    pub(super) fn broken(&self, source: Cause) -> FetchError {
        FetchError::Broken {
            upstream: self.host().clone(),
            source,
        }
    }
}
