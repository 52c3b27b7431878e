//! What the index of a running server says, for a command that may read the files but not the index.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cache_store::{
    CacheError,
    index::{Index, Row},
};
use manifest_model::{Digest, RepoKey};
use serde::{Deserialize, Serialize};

use super::contents::IndexRows;
use crate::{TagEntry, TagRow};

/// The rows of an index at one moment, to be sent to another process. With them,
/// [`Directory::contents_by`](super::Directory::contents_by) describes the files as if the server were stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexCopy {
    blobs: Vec<BlobLine>,
    links: Vec<(String, Digest)>,
    tags: Vec<TagLine>,
    manifests: Vec<(Digest, String)>,
}

/// A blob: its digest, its bytes, and its last use in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct BlobLine(Digest, u64, u64);

/// A tag: its repository, its name, the manifest, and when its upstream last confirmed that, in
/// milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TagLine(String, String, Digest, u64);

impl IndexCopy {
    /// Reads the whole index. Blocks.
    pub(crate) fn of(index: &Index) -> Result<Self, CacheError> {
        let blobs = index.rows.all()?.into_iter();
        let links = index.links.all()?.into_iter();
        let tags = index.tags.all()?.into_iter();
        Ok(Self {
            blobs: blobs
                .map(|row| BlobLine(row.digest, row.size, to_ms(row.used)))
                .collect(),
            links: links
                .map(|(repository, digest)| (repository.to_string(), digest))
                .collect(),
            tags: tags
                .map(
                    |TagRow {
                         repository,
                         tag,
                         entry,
                     }| {
                        let (repository, tag) = (repository.to_string(), tag.to_string());
                        TagLine(repository, tag, entry.digest, to_ms(entry.confirmed))
                    },
                )
                .collect(),
            manifests: index.media_types.page(None, usize::MAX)?,
        })
    }

    /// The rows. A line that no Archway has written is left out.
    pub(super) fn rows(self) -> IndexRows {
        let blobs = self.blobs.into_iter();
        let rows = blobs.map(|BlobLine(digest, size, used)| Row {
            digest,
            size,
            used: from_ms(used),
        });
        let links = self.links.into_iter();
        let links = links.filter_map(|(repository, digest)| Some((key(&repository)?, digest)));
        let tags = self.tags.into_iter();
        let tags = tags.filter_map(|TagLine(repository, tag, digest, confirmed)| {
            let confirmed = from_ms(confirmed);
            Some(TagRow {
                repository: key(&repository)?,
                tag: tag.parse().ok()?,
                entry: TagEntry { digest, confirmed },
            })
        });
        IndexRows::copied(
            rows.collect(),
            links.collect(),
            tags.collect(),
            self.manifests,
        )
    }
}

fn key(text: &str) -> Option<RepoKey> {
    text.parse().ok()
}

fn to_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn from_ms(ms: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_millis(ms))
        .unwrap_or(UNIX_EPOCH)
}
