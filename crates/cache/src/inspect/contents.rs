//! What a cache holds, put together from its files, from what its manifests say, and from the index where it may be read.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    time::SystemTime,
};

use manifest_model::{Digest, Manifest, MediaType, Tag};

use super::{Directory, StoredFile};
use crate::{
    RepoKey, TagEntry,
    error::CacheError,
    index::{Class, Index, Row},
    sniff,
};

/// What a blob is to those who pull it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An image index or manifest list.
    Index,
    /// The manifest of an image or artifact.
    Manifest,
    /// A layer, a config, or anything else.
    Blob,
}

/// A stored blob and what is known of it.
#[derive(Clone, Debug)]
pub struct Content {
    /// What it is called by.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
    /// What it is.
    pub kind: Kind,
    /// What it says of itself, or what a stored manifest says of it; `None` for a blob no stored manifest names.
    pub media_type: Option<MediaType>,
    /// When it was last used as the index has it; without the index, when it was stored.
    pub used: SystemTime,
    /// Which repositories link it, in order; empty without the index.
    pub repositories: Vec<RepoKey>,
    /// What it names, if it is a manifest or an index; stored or not.
    pub names: Vec<Digest>,
}

/// A tag and the manifest it stands for.
#[derive(Clone, Debug)]
pub struct TaggedManifest {
    /// Of which repository.
    pub repository: RepoKey,
    /// The tag.
    pub tag: Tag,
    /// Where it points, and since when that is known.
    pub entry: TagEntry,
    /// Whether the manifest is stored.
    pub stored: bool,
}

/// Why the index was left out.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// Another process owns the directory.
    #[error("another process, a server most likely, has the index to itself")]
    InUse,
    /// There is none; the next start builds it from the files.
    #[error("there is no index")]
    Missing,
    /// It cannot be opened; the next start, and `gc`, build it anew from the files.
    #[error("the index cannot be read")]
    Damaged(#[source] CacheError),
}

/// What a cache holds.
#[derive(Debug)]
pub struct Contents {
    /// The blobs, in no order.
    pub blobs: Vec<Content>,
    /// The tags, in order of repository and tag; empty without the index.
    pub tags: Vec<TaggedManifest>,
    /// Why the index is not in here; `None` if it is.
    pub unread: Option<Unread>,
}

/// The index at one moment.
#[derive(Default)]
pub(super) struct Snapshot {
    rows: Vec<Row>,
    links: Vec<(RepoKey, Digest)>,
    tags: Vec<(RepoKey, Tag, TagEntry)>,
}

impl Snapshot {
    pub(super) fn of(index: &Index) -> Result<Self, redb::Error> {
        Ok(Self {
            rows: index.rows()?,
            links: index.links()?,
            tags: index.all_tags()?,
        })
    }
}

impl Directory {
    /// Looks at everything. Small files are opened, to tell manifests from blobs.
    pub fn contents(&self) -> Result<Contents, CacheError> {
        match self.with_index(Snapshot::of) {
            Ok(snapshot) => Contents::gather(self, snapshot, None),
            Err(unread) => Contents::gather(self, Snapshot::default(), Some(unread)),
        }
    }
}

impl Contents {
    pub(super) fn gather(
        directory: &Directory,
        snapshot: Snapshot,
        unread: Option<Unread>,
    ) -> Result<Self, CacheError> {
        let files = directory.list()?.files;
        let rows: HashMap<Digest, Row> = snapshot
            .rows
            .into_iter()
            .map(|row| (row.digest, row))
            .collect();
        let mut linked: HashMap<Digest, Vec<RepoKey>> = HashMap::new();
        for (repository, digest) in snapshot.links {
            linked.entry(digest).or_default().push(repository);
        }
        let mut said: HashMap<Digest, MediaType> = HashMap::new();
        let mut blobs = Vec::with_capacity(files.len());
        for file in &files {
            let row = rows.get(&file.digest);
            let manifest = manifest(directory, file, row);
            for link in manifest.iter().flat_map(Manifest::links) {
                said.entry(link.digest)
                    .or_insert_with(|| link.media_type.clone());
            }
            let repositories = linked.remove(&file.digest).unwrap_or_default();
            blobs.push(content(file, row, manifest.as_ref(), repositories));
        }
        for blob in &mut blobs {
            if blob.media_type.is_none() {
                blob.media_type = said.remove(&blob.digest);
            }
        }
        let stored: HashSet<Digest> = files.iter().map(|file| file.digest).collect();
        let tags = snapshot.tags.into_iter();
        let tags = tags.map(|(repository, tag, entry)| TaggedManifest {
            repository,
            tag,
            entry,
            stored: stored.contains(&entry.digest),
        });
        Ok(Self {
            blobs,
            tags: tags.collect(),
            unread,
        })
    }
}

/// The file as a manifest, unless the index knows it to be none.
fn manifest(directory: &Directory, file: &StoredFile, row: Option<&Row>) -> Option<Manifest> {
    if row.is_some_and(|row| row.class != Class::Manifest) || file.size > sniff::LARGEST_MANIFEST {
        return None;
    }
    // One that cannot be read is a blob here; `verify` says what is wrong with it.
    let open = File::open(directory.file(&file.digest)).ok()?;
    sniff::manifest(open, file.size, file.digest.algorithm())
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
