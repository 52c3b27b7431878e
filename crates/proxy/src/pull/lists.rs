//! Tags and referrers: never cached, since both grow at any moment.

use super::{Pull, PullError, Repository};
use crate::upstream::{Listing, ListingKind};

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
