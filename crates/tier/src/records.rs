//! Records of names: where a tag pointed, and that a repository has a manifest.
//!
//! They are written when something changes and read when an upstream is gone. A record never asserts
//! that bytes are there; those have their own objects. With a key a record that somebody else has
//! written is none.

use std::{
    future::ready,
    pin::pin,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use manifest_model::{Digest, Manifest, MediaType, RepoKey, Tag};
use object_store::Attributes;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tracing::warn;

use crate::{
    bucket::Bucket,
    error::TierError,
    mark::Key,
    names::{Names, seconds},
};

/// The largest record, and the largest manifest that is read.
pub(crate) const MAX_RECORD: usize = 16 << 10;
const MAX_MANIFEST: usize = 16 << 20;

/// Manifests of one repository that are looked at for a blob, how many of them at once, and how long: a
/// client waits.
const MAX_LOOKED_AT: usize = 200;
const LOOKED_AT_ONCE: usize = 8;
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// Where a tag pointed when its upstream was last asked, as far as the bucket knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagRecord {
    /// The manifest.
    pub digest: Digest,
    /// When the upstream said so.
    pub confirmed: SystemTime,
}

impl TagRecord {
    /// Whether `other` tells nothing that this one does not: records have whole seconds.
    fn makes_needless(&self, other: &Self) -> bool {
        let (ours, others) = (seconds(self.confirmed), seconds(other.confirmed));
        ours > others || (ours == others && self.digest == other.digest)
    }
}

/// The records of one bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    bucket: Bucket,
    key: Key,
}

#[derive(Debug, Serialize, Deserialize)]
struct WrittenTag {
    repository: String,
    tag: String,
    digest: Digest,
    confirmed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WrittenManifest {
    repository: String,
    digest: Digest,
    media_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

impl Records {
    pub(crate) fn new(bucket: Bucket, key: Key) -> Self {
        Self { bucket, key }
    }

    /// Writes where a tag points, unless the bucket knows something later: a replica that was cut off may
    /// write what it has long after others have written what came then.
    pub(crate) async fn write_tag(
        &self,
        repository: &RepoKey,
        tag: &Tag,
        record: TagRecord,
    ) -> Result<(), TierError> {
        let path = self.bucket.names().tag(repository, tag);
        let there = match self.bucket.fetch(&path, MAX_RECORD).await {
            Ok(bytes) => self.believed(&bytes, repository, tag),
            Err(TierError::Absent | TierError::TooLarge) => None,
            Err(error) => return Err(error),
        };
        if there.is_some_and(|there| there.makes_needless(&record)) {
            return Ok(());
        }
        let mut written = WrittenTag {
            repository: repository.to_string(),
            tag: tag.to_string(),
            digest: record.digest,
            confirmed: seconds(record.confirmed),
            code: None,
        };
        written.code = self.key.code(&parts(&written.proved()));
        self.write(&path, &written).await
    }

    /// Where a tag pointed; `None` where nothing that can be believed says so.
    pub(crate) async fn tag(&self, repository: &RepoKey, tag: &Tag) -> Option<TagRecord> {
        let path = self.bucket.names().tag(repository, tag);
        let bytes = self.bucket.read_small(&path, MAX_RECORD).await.ok()?;
        self.believed(&bytes, repository, tag)
    }

    fn believed(&self, bytes: &[u8], repository: &RepoKey, tag: &Tag) -> Option<TagRecord> {
        let written: WrittenTag = serde_json::from_slice(bytes).ok()?;
        let is_it = written.repository == repository.as_str() && written.tag == tag.to_string();
        let proved = written.proved();
        if !is_it || !self.holds(&proved, written.code.as_deref()) {
            return None;
        }
        let confirmed = Duration::from_secs(written.confirmed);
        Some(TagRecord {
            digest: written.digest,
            confirmed: SystemTime::UNIX_EPOCH.checked_add(confirmed)?,
        })
    }

    pub(crate) async fn write_manifest(
        &self,
        repository: &RepoKey,
        manifest: &Manifest,
    ) -> Result<(), TierError> {
        let digest = manifest.digest();
        let mut written = WrittenManifest {
            repository: repository.to_string(),
            digest,
            media_type: manifest.media_type().as_str().to_owned(),
            code: None,
        };
        written.code = self.key.code(&parts(&written.proved()));
        let path = self.bucket.names().manifest(repository, &digest);
        self.write(&path, &written).await
    }

    /// A manifest of a repository, with its bytes proved.
    pub(crate) async fn manifest(&self, repository: &RepoKey, digest: &Digest) -> Option<Manifest> {
        let path = self.bucket.names().manifest(repository, digest);
        let record = self.bucket.read_small(&path, MAX_RECORD).await.ok()?;
        let written: WrittenManifest = serde_json::from_slice(&record).ok()?;
        let is_it = written.repository == repository.as_str() && written.digest == *digest;
        let proved = written.proved();
        if !is_it || !self.holds(&proved, written.code.as_deref()) {
            return None;
        }
        let blob = self.bucket.names().blob(digest);
        let bytes = self.bucket.read_small(&blob, MAX_MANIFEST).await.ok()?;
        let Ok(media_type) = written.media_type.parse::<MediaType>();
        let manifest = Manifest::of_digest(bytes, Some(&media_type), digest.algorithm()).ok()?;
        if manifest.digest() != *digest {
            warn!(%digest, "a manifest in the bucket of the tier has other bytes than its digest says");
            return None;
        }
        Some(manifest)
    }

    /// A manifest of a repository that names `blob`: found by looking at all of them, which only who
    /// has lost the upstream and everything else has to do.
    pub(crate) async fn manifest_naming(
        &self,
        repository: &RepoKey,
        blob: &Digest,
    ) -> Option<Manifest> {
        let look = async {
            let folder = self.bucket.names().manifests(repository);
            let mut found = self.bucket.list_some(&folder, MAX_LOOKED_AT).await;
            // The last one written is the likeliest.
            found.sort_by_key(|object| std::cmp::Reverse(object.last_modified));
            let digests = found.iter().map(|object| &object.location);
            let digests: Vec<_> = digests.filter_map(Names::recorded).collect();
            let looked_at = stream::iter(digests)
                .map(|digest| async move { self.manifest(repository, &digest).await })
                .buffered(LOOKED_AT_ONCE);
            let naming = looked_at.filter_map(|manifest| {
                let names = |manifest: &Manifest| manifest.links().any(|one| one.digest == *blob);
                ready(manifest.filter(names))
            });
            pin!(naming).next().await
        };
        timeout(LOOK_TIMEOUT, look).await.ok().flatten()
    }

    fn holds(&self, proved: &[String], code: Option<&str>) -> bool {
        let holds = self.key.holds(&parts(proved), code);
        if !holds {
            let name = proved.get(1).map(String::as_str).unwrap_or_default();
            warn!(
                name,
                "a record in the bucket of the tier is not signed with our key; it is not used"
            );
        }
        holds
    }

    async fn write(
        &self,
        path: &object_store::path::Path,
        record: &impl Serialize,
    ) -> Result<(), TierError> {
        let text = serde_json::to_vec(record);
        let text = text.map_err(|error| TierError::Failed(error.to_string()))?;
        let payload = Bytes::from(text).into();
        self.bucket.write(path, payload, Attributes::new()).await
    }
}

impl WrittenTag {
    fn proved(&self) -> Vec<String> {
        vec![
            "tag".to_owned(),
            self.repository.clone(),
            self.tag.clone(),
            self.digest.to_string(),
            self.confirmed.to_string(),
        ]
    }
}

impl WrittenManifest {
    fn proved(&self) -> Vec<String> {
        vec![
            "manifest".to_owned(),
            self.repository.clone(),
            self.digest.to_string(),
            self.media_type.clone(),
        ]
    }
}

/// The manifest that the record of a tag names, whoever has written it.
pub(crate) fn digest_in(record: &[u8]) -> Option<Digest> {
    let written: WrittenTag = serde_json::from_slice(record).ok()?;
    Some(written.digest)
}

fn parts(proved: &[String]) -> Vec<&str> {
    proved.iter().map(String::as_str).collect()
}
