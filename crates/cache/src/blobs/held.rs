//! Blobs that somebody outside of this process reads, so that eviction leaves them.

use std::collections::HashMap;

use manifest_model::Digest;

/// How often each held blob is held.
#[derive(Debug, Default)]
pub(super) struct HeldBlobs(HashMap<Digest, usize>);

impl HeldBlobs {
    pub(super) fn add(&mut self, digests: &[Digest]) {
        for digest in digests {
            *self.0.entry(*digest).or_default() += 1;
        }
    }

    /// Undoes one [`Self::add`] of the same blobs.
    pub(super) fn take(&mut self, digests: &[Digest]) {
        for digest in digests {
            if let Some(count) = self.0.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(digest);
                }
            }
        }
    }

    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.0.contains_key(digest)
    }
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::*;

    #[test]
    fn a_blob_is_held_until_each_who_holds_it_has_let_go() {
        let blob = Digest::of(Algorithm::Sha256, b"blob");
        let mut held = HeldBlobs::default();
        held.add(&[blob]);
        held.add(&[blob]);
        held.take(&[blob]);
        assert!(held.contains(&blob));
        held.take(&[blob]);
        assert!(!held.contains(&blob));
        held.take(&[blob]);
        assert!(!held.contains(&blob), "one that is not held stays so");
    }
}
