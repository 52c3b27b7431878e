//! The contents of a cache: its files, described by its manifests and, if it may be read, the
//! index.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    time::SystemTime,
};

use cache_store::{
    CacheError,
    index::{Index, Outcome, Row},
    manifest_file,
};
use manifest_model::{Digest, Manifest, MediaType, Tag};

use super::{Directory, StoredFile, kept::Kept};
use crate::{RepoKey, TagEntry, TagRow};

/// The kind of a blob, as a client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An image index or manifest list.
    Index,
    /// The manifest of an image or artifact.
    Manifest,
    /// A layer, a config, or anything else.
    Blob,
}

/// A stored blob and its description.
#[derive(Clone, Debug)]
pub struct Content {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its kind.
    pub kind: Kind,
    /// The media type that it, or a stored manifest that names it, gives; `None` if there is none.
    pub media_type: Option<MediaType>,
    /// The last use that the index has; without the index, the time it was stored.
    pub used: SystemTime,
    /// The repositories that link it, in order; empty without the index.
    pub repositories: Vec<RepoKey>,
    /// The digests it names if it is a manifest or an index, stored or not.
    pub names: Vec<Digest>,
}

/// A tag and the manifest it points at.
#[derive(Clone, Debug)]
pub struct TaggedManifest {
    /// Its repository.
    pub repository: RepoKey,
    /// The tag.
    pub tag: Tag,
    /// Where it points, and when its upstream last confirmed that.
    pub entry: TagEntry,
    /// Whether the manifest is stored.
    pub stored: bool,
}

/// Why the index was left out.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// Another process owns the directory.
    #[error("another process, most likely a server, has locked the index")]
    InUse,
    /// It does not exist; the next start builds it from the files.
    #[error("there is no index")]
    Missing,
    /// It cannot be opened; the next start, or `gc`, rebuilds it from the files.
    #[error("the index cannot be read")]
    Damaged(#[source] CacheError),
}

/// The contents of a cache.
#[derive(Debug)]
pub struct Contents {
    /// The blobs, unordered.
    pub blobs: Vec<Content>,
    /// The tags, in order of repository and tag; empty without the index.
    pub tags: Vec<TaggedManifest>,
    /// Why the index was left out; `None` if it was read.
    pub unread: Option<Unread>,
    pub(super) kept: Kept,
}

/// All rows of the index at one moment.
#[derive(Debug, Default)]
pub(crate) struct IndexRows {
    rows: Vec<Row>,
    links: Vec<(RepoKey, Digest)>,
    tags: Vec<TagRow>,
    manifests: Vec<(Digest, String)>,
    kept: Kept,
}

impl IndexRows {
    pub(crate) fn of(index: &Index) -> Outcome<Self> {
        Ok(Self {
            rows: index.rows.all()?,
            links: index.links.all()?,
            tags: index.tags.all()?,
            manifests: index.media_types.page(None, usize::MAX)?,
            kept: Kept::of(&index.bundles)?,
        })
    }

    /// Those of another process's index, without what bundles keep: nothing is removed by them.
    pub(super) fn copied(
        rows: Vec<Row>,
        links: Vec<(RepoKey, Digest)>,
        tags: Vec<TagRow>,
        manifests: Vec<(Digest, String)>,
    ) -> Self {
        Self {
            rows,
            links,
            tags,
            manifests,
            kept: Kept::default(),
        }
    }
}

impl Directory {
    /// Lists everything. Small files are opened, to distinguish manifests from blobs.
    pub fn contents(&self) -> Result<Contents, CacheError> {
        match self.with_index(IndexRows::of) {
            Ok(index) => Contents::gather(self, index, None),
            Err(unread) => Contents::gather(self, IndexRows::default(), Some(unread)),
        }
    }
}

impl Contents {
    pub(crate) fn gather(
        directory: &Directory,
        index: IndexRows,
        unread: Option<Unread>,
    ) -> Result<Self, CacheError> {
        let files = directory.list()?.files;
        let rows = index.rows.into_iter();
        let manifests = index.manifests.into_iter();
        let manifests: HashSet<Digest> = manifests.map(|(digest, _)| digest).collect();
        let rows: HashMap<Digest, Row> = rows.map(|row| (row.digest, row)).collect();
        let mut linked: HashMap<Digest, Vec<RepoKey>> = HashMap::new();
        for (repository, digest) in index.links {
            linked.entry(digest).or_default().push(repository);
        }
        let mut media_types: HashMap<Digest, MediaType> = HashMap::new();
        let mut blobs = Vec::with_capacity(files.len());
        for file in &files {
            let row = rows.get(&file.digest);
            let is_blob = row.is_some() && !manifests.contains(&file.digest);
            let manifest = manifest(directory, file, is_blob);
            for link in manifest.iter().flat_map(Manifest::links) {
                media_types
                    .entry(link.digest)
                    .or_insert_with(|| link.media_type.clone());
            }
            let repositories = linked.remove(&file.digest).unwrap_or_default();
            blobs.push(content(file, row, manifest.as_ref(), repositories));
        }
        for blob in &mut blobs {
            if blob.media_type.is_none() {
                blob.media_type = media_types.remove(&blob.digest);
            }
        }
        let stored: HashSet<Digest> = files.iter().map(|file| file.digest).collect();
        let tags = index.tags.into_iter().map(|row| TaggedManifest {
            repository: row.repository,
            tag: row.tag,
            entry: row.entry,
            stored: stored.contains(&row.entry.digest),
        });
        Ok(Self {
            blobs,
            tags: tags.collect(),
            unread,
            kept: index.kept,
        })
    }
}

/// The file as a manifest, unless the index knows it as a blob.
fn manifest(directory: &Directory, file: &StoredFile, is_blob: bool) -> Option<Manifest> {
    if is_blob || file.size > manifest_file::MAX_MANIFEST_SIZE {
        return None;
    }
    // An unreadable file is a blob here; `verify` reports its fault.
    let open = File::open(directory.file(&file.digest)).ok()?;
    manifest_file::recognize(open, file.size, file.digest.algorithm())
}

fn content(
    file: &StoredFile,
    row: Option<&Row>,
    manifest: Option<&Manifest>,
    repositories: Vec<RepoKey>,
) -> Content {
    let names = manifest.iter().flat_map(|manifest| manifest.links());
    Content {
        digest: file.digest,
        size: file.size,
        kind: match manifest {
            Some(manifest) if manifest.is_index() => Kind::Index,
            Some(_) => Kind::Manifest,
            None => Kind::Blob,
        },
        media_type: manifest.map(|manifest| manifest.media_type().clone()),
        used: row.map_or(file.modified, |row| row.used),
        repositories,
        names: names.map(|link| link.digest).collect(),
    }
}
