//! Manifests, links, tags, and what is attached to a subject.

use std::{io::Write, time::Duration};

use bytes::Bytes;
use cache_store::{
    CacheError,
    disk::{Disk, Staged},
    index::{Proof, answer_or_default},
    manifest_file::ManifestFile,
};
use manifest_model::{Digest, Manifest, Tag};
use tracing::error;

use super::Cache;
use crate::{KeptAnswer, RepoKey, TagEntry, TagRow};

/// What the referrers of one answer may weigh.
const MAX_REFERRERS_BYTES: usize = 16 << 20;

impl Cache {
    /// A stored manifest. The caller checks the link first. A damaged manifest is discarded, and is
    /// no longer stored.
    pub async fn manifest(&self, digest: &Digest) -> Result<Option<Manifest>, CacheError> {
        let digest = *digest;
        self.blocking(move |cache| match cache.read_manifest(&digest)? {
            ManifestFile::Whole(manifest) => {
                cache.used(&digest);
                Ok(Some(manifest))
            }
            ManifestFile::Damaged => {
                error!(%digest, "discarding a damaged manifest");
                cache.storage.disk.note_damage();
                cache.storage.blobs.discard(&digest)?;
                Ok(None)
            }
            ManifestFile::Absent => Ok(None),
        })
        .await
    }

    /// The bundle that left `manifest` out of an index that it brought.
    pub fn left_out_by(&self, manifest: &Digest) -> Option<Digest> {
        self.storage.index.left_out.by(manifest)
    }

    /// Stores a manifest that `repo`'s upstream served, links it and all digests it names to
    /// `repo`, and points `tag` at it. All of it is durable when this returns, or none is visible.
    pub async fn store_manifest(
        &self,
        repo: &RepoKey,
        manifest: &Manifest,
        tag: Option<&Tag>,
    ) -> Result<(), CacheError> {
        let (repo, manifest, tag) = (repo.clone(), manifest.clone(), tag.cloned());
        self.blocking(move |cache| {
            let storage = &cache.storage;
            let (digest, bytes) = (manifest.digest(), manifest.bytes());
            let staged = if cache.holds(&digest, bytes) {
                None
            } else {
                Some(stage(&storage.disk, &digest, bytes)?)
            };
            let index = &storage.index;
            index.record_manifest(&repo, &manifest, tag.as_ref())?;
            if let Some(staged) = staged {
                // A file in its place is damaged, and may be open.
                storage.blobs.discard(&digest)?;
                storage.disk.publish(&staged, &digest)?;
            }
            storage.after_growth()
        })
        .await
    }

    /// Whether exactly these bytes are stored. Other or unreadable ones have to be replaced.
    fn holds(&self, digest: &Digest, bytes: &[u8]) -> bool {
        matches!(self.peek_bytes(digest, bytes.len() as u64), Ok(Some(stored)) if stored == bytes)
    }

    /// Whether `repo` is known to contain `digest`, be it that a manifest there names it. An
    /// unreadable index knows no link: the upstream can be asked again.
    pub fn is_linked(&self, repo: &RepoKey, digest: &Digest) -> bool {
        self.storage.index.links.contains(repo, digest)
    }

    /// Whether `repo` contains `digest`, and its upstream has proved that it has the bytes: then
    /// they may be read through `repo`, whoever brought them. As for [`Self::is_linked`], an
    /// unreadable index knows nothing.
    pub fn is_confirmed(&self, repo: &RepoKey, digest: &Digest) -> bool {
        self.storage.index.links.is_confirmed(repo, digest)
    }

    /// Records that `repo` contains `digest`, as its upstream has said. A new link is durable when
    /// this returns.
    pub async fn link(&self, repo: &RepoKey, digest: &Digest) -> Result<(), CacheError> {
        self.record_link(repo, digest, Proof::Said).await
    }

    /// Records that `repo` contains `digest`, whose bytes its upstream has sent. A new link is durable
    /// when this returns.
    pub async fn link_sent(&self, repo: &RepoKey, digest: &Digest) -> Result<(), CacheError> {
        self.record_link(repo, digest, Proof::Sent).await
    }

    async fn record_link(
        &self,
        repo: &RepoKey,
        digest: &Digest,
        proof: Proof,
    ) -> Result<(), CacheError> {
        let (repo, digest) = (repo.clone(), *digest);
        self.blocking(move |cache| Ok(cache.storage.index.links.record(&repo, &digest, proof)?))
            .await
    }

    /// Remembers that `repo` contains `digest`, which its upstream is sending, until
    /// [`Self::link_sent`] records it or memory forgets it. Needs no disk.
    pub fn link_seen(&self, repo: &RepoKey, digest: &Digest) {
        self.storage.index.links.remember(repo, digest);
    }

    /// Where `tag` pointed when the upstream was last asked. An unreadable index knows no tag.
    pub fn tag(&self, repo: &RepoKey, tag: &Tag) -> Option<TagEntry> {
        self.storage.index.tags.get(repo, tag)
    }

    /// A count that grows with every write of a tag: as long as it stays, so does every tag.
    pub fn tag_writes(&self) -> u64 {
        self.storage.index.tags.writes()
    }

    /// Up to `limit` tags, in the order of their keys, behind the key `after`. Blocks no longer
    /// than a look-up of each.
    pub fn tags(&self, after: Option<&str>, limit: usize) -> Result<Vec<TagRow>, CacheError> {
        Ok(self.storage.index.tags.page(after, limit)?)
    }

    /// The upstream has just confirmed that `tag` points at `digest`, which is stored and linked.
    pub async fn confirm_tag(
        &self,
        repo: &RepoKey,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<(), CacheError> {
        self.confirm_tag_aged(repo, tag, digest, Duration::ZERO)
            .await
    }

    /// The upstream has confirmed so long ago that `tag` points at `digest`, which is stored and
    /// linked.
    pub async fn confirm_tag_aged(
        &self,
        repo: &RepoKey,
        tag: &Tag,
        digest: &Digest,
        age: Duration,
    ) -> Result<(), CacheError> {
        let (repo, tag, digest) = (repo.clone(), tag.clone(), *digest);
        self.blocking(move |cache| {
            let tags = &cache.storage.index.tags;
            Ok(tags.confirm(&repo, &tag, &digest, age)?)
        })
        .await
    }

    /// The upstream has just answered that there is no such tag.
    pub async fn remove_tag(&self, repo: &RepoKey, tag: &Tag) -> Result<(), CacheError> {
        let (repo, tag) = (repo.clone(), tag.clone());
        self.blocking(move |cache| {
            cache.storage.index.tags.remove(&repo, &tag)?;
            Ok(())
        })
        .await
    }

    /// The stored manifests that name `subject`, as far as they may be read through `repo`.
    pub async fn referrers(
        &self,
        repo: &RepoKey,
        subject: &Digest,
    ) -> Result<Vec<Manifest>, CacheError> {
        let (repo, subject) = (repo.clone(), *subject);
        self.blocking(move |cache| {
            let is_ours = |referrer: &Digest| cache.is_confirmed(&repo, referrer);
            let referrers = cache.storage.index.attached.referrers(&subject, is_ours)?;
            let mut bytes = 0;
            // One that cannot be read is no reason to keep back the others.
            let readable = referrers
                .iter()
                .filter_map(|one| cache.peek_manifest(one).ok()?);
            let manifests = readable.take_while(|manifest| {
                bytes += manifest.bytes().len();
                bytes <= MAX_REFERRERS_BYTES
            });
            Ok(manifests.collect())
        })
        .await
    }

    /// What the upstream of `repo` last said to `question`, which is about `subject`. An unreadable
    /// index knows nothing.
    pub fn kept_answer(
        &self,
        repo: &RepoKey,
        subject: &Digest,
        question: &str,
    ) -> Option<KeptAnswer> {
        let attached = &self.storage.index.attached;
        answer_or_default(attached.answer(repo, subject, question))
    }

    /// Keeps what the upstream has just said to `question`, as long as the subject is stored; `None`
    /// where there is no such thing. What is too large or too much is not kept.
    pub async fn keep_answer(
        &self,
        repo: &RepoKey,
        subject: &Digest,
        question: &str,
        body: Option<Bytes>,
    ) -> Result<(), CacheError> {
        let (repo, subject, question) = (repo.clone(), *subject, question.to_owned());
        self.blocking(move |cache| {
            let attached = &cache.storage.index.attached;
            Ok(attached.keep(&repo, &subject, &question, body.as_deref())?)
        })
        .await
    }
}

/// Writes and syncs a small body, not yet visible.
fn stage(disk: &Disk, digest: &Digest, bytes: &[u8]) -> Result<Staged, CacheError> {
    let staged = disk.ingest.stage(digest)?;
    staged
        .file()
        .write_all(bytes)
        .map_err(CacheError::io("write", staged.path()))?;
    staged.sync()?;
    Ok(staged)
}
