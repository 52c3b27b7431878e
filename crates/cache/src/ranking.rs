//! Which blobs are evicted before all others: those nobody here is expected to ask for.
//!
//! Who is expected to ask for what, this crate does not know. The caller walks over the stored manifests, repository by
//! repository, and says which blobs it thinks unwanted. The word holds over restarts, until a blob is asked for or the caller
//! takes it back. Everything here blocks, in steps of bounded size: nobody else waits for longer than one of them.

use std::time::SystemTime;

use manifest_model::Digest;

use crate::{Cache, RepoKey, error::CacheError};

/// Rows changed by one transaction.
const BATCH: usize = 1024;

impl Cache {
    /// The first repository behind `after`, and the manifests it has that are stored; `None` behind the last.
    pub fn next_repository(
        &self,
        after: Option<&RepoKey>,
    ) -> Result<Option<(RepoKey, Vec<Digest>)>, CacheError> {
        Ok(self.index().next_repository(after)?)
    }

    /// Lets `blobs` go before all others, except those used at `since` or later.
    pub fn set_unwanted(&self, blobs: &[Digest], since: SystemTime) -> Result<(), CacheError> {
        for batch in blobs.chunks(BATCH) {
            self.index().set_unwanted(batch, since)?;
        }
        Ok(())
    }

    /// Takes that back for each blob `is_unwanted` denies. The answer is the number of bytes that are unwanted still. Blocks, for
    /// a while on a large cache; `goes_on` is asked between steps, and once it says no the rest is left as it is.
    pub fn review_unwanted(
        &self,
        goes_on: impl Fn() -> bool,
        is_unwanted: impl Fn(&Digest) -> bool,
    ) -> Result<u64, CacheError> {
        let (mut bytes, mut after) = (0, None);
        while goes_on() {
            let step = self.index().unwanted(after.as_ref())?;
            let Some(last) = step.last() else {
                return Ok(bytes);
            };
            let mut wanted = Vec::new();
            for cold in &step {
                if is_unwanted(&cold.digest) {
                    bytes += cold.size;
                } else {
                    wanted.push(cold.digest);
                }
            }
            for batch in wanted.chunks(BATCH) {
                self.index().set_wanted(batch)?;
            }
            after = Some(*last);
        }
        Ok(bytes)
    }
}
