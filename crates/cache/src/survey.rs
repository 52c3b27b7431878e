//! Looking at the cache without using it: what is asked here keeps nothing from being evicted.

use std::time::SystemTime;

use bytes::Bytes;
use manifest_model::{Digest, Manifest};

use crate::{Cache, TagRow, error::CacheError, sniff};

/// What stands where a manifest is kept.
pub(crate) enum ManifestFile {
    Absent,
    /// Not what its digest says.
    Damaged,
    Whole(Manifest),
}

impl Cache {
    /// Up to `limit` tags, in the order of their keys, behind the key `after`. Blocks no longer than a look-up of each.
    pub fn tags(&self, after: Option<&str>, limit: usize) -> Result<Vec<TagRow>, CacheError> {
        Ok(self.index().tags(after, limit)?)
    }

    /// The size of the stored blob `digest`, if it is stored. Blocks for a look into the directory.
    pub fn peek_size(&self, digest: &Digest) -> Result<Option<u64>, CacheError> {
        self.blobs().disk().size(digest)
    }

    /// Like [`Cache::manifest`], without being noted, and what is damaged stays. Blocks.
    pub fn peek_manifest(&self, digest: &Digest) -> Result<Option<Manifest>, CacheError> {
        match self.read_manifest(digest)? {
            ManifestFile::Whole(manifest) => Ok(Some(manifest)),
            ManifestFile::Absent | ManifestFile::Damaged => Ok(None),
        }
    }

    /// Blocks. A file that is larger than manifests are is none.
    pub(crate) fn read_manifest(&self, digest: &Digest) -> Result<ManifestFile, CacheError> {
        let Some(media_type) = self.index().media_type(digest)? else {
            return Ok(ManifestFile::Absent);
        };
        let Some(bytes) = self.peek_bytes(digest, sniff::LARGEST_MANIFEST)? else {
            return Ok(ManifestFile::Absent);
        };
        let parsed = Manifest::parse(bytes, Some(&media_type), digest.algorithm());
        Ok(match parsed {
            Ok(manifest) if manifest.digest() == *digest => ManifestFile::Whole(manifest),
            _ => ManifestFile::Damaged,
        })
    }

    /// The whole content of a stored blob that has at most `most` bytes; what a manifest says of its size proves nothing. Blocks.
    pub fn peek_bytes(&self, digest: &Digest, most: u64) -> Result<Option<Bytes>, CacheError> {
        let found = self.blobs().disk().find(digest)?;
        let Some((mut file, size)) = found.filter(|(_, size)| *size <= most) else {
            return Ok(None);
        };
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        std::io::Read::read_to_end(&mut file, &mut bytes)
            .map_err(CacheError::io("read", digest.to_string()))?;
        Ok(Some(bytes.into()))
    }

    /// When a stored blob was last used, as far as that was written down.
    pub fn last_used(&self, digest: &Digest) -> Result<Option<SystemTime>, CacheError> {
        Ok(self.index().last_used(digest)?)
    }
}
