//! Tags and referrers: never cached, since both grow at any moment.

use upstream::{Listing, ListingKind};

use super::{Pull, PullError, Repository};

impl Pull {
    /// One page of a list from the upstream.
    pub async fn list(
        &self,
        repository: &Repository,
        kind: ListingKind,
        query: Option<&str>,
    ) -> Result<Listing, PullError> {
        Ok(repository
            .upstream
            .list(&repository.name, kind, query)
            .await?)
    }
}
