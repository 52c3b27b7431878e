//! Reading stored files for a survey, which one unreadable file must not end.

use cache::{Cache, CacheError};
use manifest_model::{Digest, Manifest};
use protocol::error_chain::ErrorChain;
use tracing::warn;

/// A stored manifest whose bytes match its digest. Blocks.
pub fn stored(cache: &Cache, digest: &Digest) -> Result<Option<Manifest>, CacheError> {
    unless_unreadable(cache.peek_manifest(digest))
}

/// Takes an unreadable file for one that is not stored, so that the rest of the survey goes on.
pub(super) fn unless_unreadable<T>(
    found: Result<Option<T>, CacheError>,
) -> Result<Option<T>, CacheError> {
    match found {
        Err(error @ CacheError::Io { .. }) => {
            warn!(error = %ErrorChain(&error), "the image list leaves out an unreadable file");
            Ok(None)
        }
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::support::{cache, index, store},
        *,
    };

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_passed_over() {
        let (cache, folder) = cache();
        let digest = store(&cache, &index("app", &[]), None).await;
        let path = folder.path().join("blobs/sha256").join(digest.hex());
        assert!(stored(&cache, &digest).unwrap().is_some());
        // A folder can be opened but not read, even by root.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(cache.peek_manifest(&digest).is_err());
        assert!(stored(&cache, &digest).unwrap().is_none());
    }
}
