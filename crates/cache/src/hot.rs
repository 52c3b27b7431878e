//! Rows of the index that are asked for with every request, in memory.
//!
//! A link, once seen, is never untrue, so it may be remembered without further thought. A tag moves: its row here must not
//! outlive the one in the index.

use std::sync::atomic::{AtomicU64, Ordering};

use manifest_model::{Digest, Tag};
use moka::sync::Cache;

use crate::{RepoKey, TagEntry};

/// Links remembered: about 200 bytes each.
const MAX_LINKS: u64 = 65_536;

/// Tags remembered: about 300 bytes each.
const MAX_TAGS: u64 = 16_384;

#[derive(Debug)]
pub(crate) struct Hot {
    links: Cache<(RepoKey, Digest), ()>,
    tags: Cache<(RepoKey, Tag), TagEntry>,
    /// Grows with every tag that is written.
    tag_writes: AtomicU64,
}

impl Hot {
    pub(crate) fn new() -> Self {
        Self {
            links: Cache::new(MAX_LINKS),
            tags: Cache::new(MAX_TAGS),
            tag_writes: AtomicU64::new(0),
        }
    }

    /// Whether the link is known, else what `look` finds.
    pub(crate) fn is_linked(
        &self,
        repo: &RepoKey,
        digest: &Digest,
        look: impl FnOnce() -> bool,
    ) -> bool {
        let key = (repo.clone(), *digest);
        if self.links.contains_key(&key) {
            return true;
        }
        let linked = look();
        if linked {
            self.links.insert(key, ());
        }
        linked
    }

    pub(crate) fn link(&self, repo: &RepoKey, digest: &Digest) {
        self.links.insert((repo.clone(), *digest), ());
    }

    /// The tag's entry, as remembered or as `look` finds it.
    pub(crate) fn tag(
        &self,
        repo: &RepoKey,
        tag: &Tag,
        look: impl FnOnce() -> Option<TagEntry>,
    ) -> Option<TagEntry> {
        let key = (repo.clone(), tag.clone());
        if let Some(entry) = self.tags.get(&key) {
            return Some(entry);
        }
        let before = self.tag_writes.load(Ordering::SeqCst);
        let found = look();
        if let Some(entry) = found {
            self.tags.insert(key.clone(), entry);
            // Somebody wrote meanwhile: what was found may be the row of before.
            if self.tag_writes.load(Ordering::SeqCst) != before {
                self.tags.invalidate(&key);
            }
        }
        found
    }

    /// Grows with every tag that is written.
    pub(crate) fn tag_writes(&self) -> u64 {
        self.tag_writes.load(Ordering::SeqCst)
    }

    /// Runs `write`, which changes the row of this tag.
    pub(crate) fn tag_changes<T>(&self, repo: &RepoKey, tag: &Tag, write: impl FnOnce() -> T) -> T {
        self.tags_change([(repo.clone(), tag.clone())], write)
    }

    /// The same for several.
    pub(crate) fn tags_change<T>(
        &self,
        tags: impl IntoIterator<Item = (RepoKey, Tag)>,
        write: impl FnOnce() -> T,
    ) -> T {
        let written = write();
        self.tag_writes.fetch_add(1, Ordering::SeqCst);
        for tag in tags {
            self.tags.invalidate(&tag);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use manifest_model::Algorithm;

    use super::*;

    fn entry(content: &[u8]) -> TagEntry {
        TagEntry {
            digest: Digest::of(Algorithm::Sha256, content),
            confirmed: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_row_that_is_read_while_it_changes_is_not_remembered() {
        let hot = Hot::new();
        let repo = RepoKey::new("registry.example", &"app".parse().unwrap());
        let tag: Tag = "latest".parse().unwrap();
        let read = hot.tag(&repo, &tag, || {
            // Between the look and the note of what it found, another task moves the tag.
            let old = entry(b"old");
            hot.tag_changes(&repo, &tag, || {});
            Some(old)
        });
        assert_eq!(read, Some(entry(b"old")));
        let again = hot.tag(&repo, &tag, || Some(entry(b"new")));
        assert_eq!(again, Some(entry(b"new")));
        let remembered = hot.tag(&repo, &tag, || None);
        assert_eq!(remembered, Some(entry(b"new")));
    }
}
