//! Changing a cache while no server runs on it.

use std::{collections::HashMap, error::Error};

use manifest_model::{Digest, Tag};
use tracing::warn;

use super::{
    Directory,
    contents::{Content, Contents, IndexRows, TaggedManifest},
};
use crate::{
    Collected, RepoKey,
    collect::{self, Company},
    disk::{Disk, delete_if_present},
    error::CacheError,
    index::{Index, Origin},
};

/// A cache directory whose lock this process holds.
#[derive(Debug)]
pub struct Owned {
    directory: Directory,
    disk: Disk,
    index: Index,
    origin: Origin,
}

/// A request to remove something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// A blob, with all tags that point at it.
    Blob(Digest),
    /// A tag, with the parts of its image that no other tag, manifest or repository needs.
    Tag(RepoKey, Tag),
}

/// The outcome of one [`Removal`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The tags.
    pub tags: Vec<(RepoKey, Tag)>,
    /// The blobs, with their sizes.
    pub blobs: Vec<(Digest, u64)>,
}

impl Removed {
    /// Whether there was nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.blobs.is_empty()
    }
}

impl Owned {
    pub(super) fn open(directory: &Directory) -> Result<Self, CacheError> {
        let disk = Disk::open(directory.path())?;
        let (index, origin) = Index::open(&disk)?;
        Ok(Self {
            directory: directory.clone(),
            disk,
            index,
            origin,
        })
    }

    /// Whether the index was lost or damaged, and was rebuilt from the files.
    pub fn index_was_rebuilt(&self) -> bool {
        self.origin == Origin::Built
    }

    /// Makes the index follow the files, and returns the unused space of its own file.
    pub fn collect(&mut self) -> Result<Collected, CacheError> {
        let collected = collect::collect(&self.index, &self.disk, &Company::Alone)?;
        self.index.compact(&self.disk)?;
        Ok(collected)
    }

    /// Removes one after the other, then writes a new snapshot. The next client that asks for a
    /// removed image has it downloaded again.
    pub fn remove(&self, removals: &[Removal]) -> Result<Vec<Removed>, CacheError> {
        let index = IndexRows::of(&self.index)?;
        let mut holdings = Holdings::new(Contents::gather(&self.directory, index, None)?);
        // The old snapshot would restore removed links and tags.
        delete_if_present(&self.disk.snapshot_path())?;
        let mut done = Vec::with_capacity(removals.len());
        for removal in removals {
            let plan = match removal {
                Removal::Blob(digest) => holdings.take_blob(digest),
                Removal::Tag(repository, tag) => holdings.take_image(repository, tag),
            };
            done.push(self.carry_out(plan)?);
        }
        if let Err(error) = self.index.write_snapshot(&self.disk) {
            let error = &error as &dyn Error;
            warn!(error, "cannot write a snapshot of links and tags");
        }
        Ok(done)
    }

    /// Removes tags first and rows last: a crash in between leaves rows without files, which cost
    /// nothing.
    fn carry_out(&self, plan: RemovalPlan) -> Result<Removed, CacheError> {
        for (repository, tag) in &plan.tags {
            self.index.tags.remove(repository, tag)?;
        }
        let mut removed = Removed {
            tags: plan.tags,
            blobs: Vec::new(),
        };
        for (digest, size) in plan.blobs {
            if let Some(unpublished) = self.disk.unpublish(&digest)? {
                unpublished.delete()?;
                removed.blobs.push((digest, size));
            }
        }
        let gone: Vec<Digest> = removed.blobs.iter().map(|(digest, _)| *digest).collect();
        self.index.rows.remove(&gone)?;
        self.index.links.remove(&plan.links)?;
        Ok(removed)
    }
}

/// The tags, blobs and links that go together.
#[derive(Default)]
struct RemovalPlan {
    tags: Vec<(RepoKey, Tag)>,
    blobs: Vec<(Digest, u64)>,
    links: Vec<(RepoKey, Digest)>,
}

/// The contents that are left while removals are planned.
struct Holdings {
    blobs: HashMap<Digest, Content>,
    tags: Vec<TaggedManifest>,
    /// The stored manifests that name each digest, including those that a plan has taken.
    parents: HashMap<Digest, Vec<Digest>>,
}

impl Holdings {
    fn new(contents: Contents) -> Self {
        let mut parents: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for blob in &contents.blobs {
            for name in &blob.names {
                parents.entry(*name).or_default().push(blob.digest);
            }
        }
        let blobs = contents.blobs.into_iter();
        Self {
            blobs: blobs.map(|blob| (blob.digest, blob)).collect(),
            tags: contents.tags,
            parents,
        }
    }

    fn take_blob(&mut self, digest: &Digest) -> RemovalPlan {
        let mut plan = RemovalPlan::default();
        self.take_tags(&mut plan, |tagged| tagged.entry.digest == *digest);
        self.take(*digest, &mut plan);
        plan
    }

    /// Takes the tag, its manifest, and downwards all blobs that nothing else needs. First the
    /// repository's links go to all that neither its other tags nor its other manifests name; then
    /// the blobs go that no repository links.
    fn take_image(&mut self, repository: &RepoKey, tag: &Tag) -> RemovalPlan {
        let mut plan = RemovalPlan::default();
        let mut candidates = self.take_tags(&mut plan, |tagged| {
            tagged.repository == *repository && tagged.tag == *tag
        });
        while let Some(digest) = candidates.pop() {
            let is_ours = |blob: &Content| blob.repositories.contains(repository);
            let kept = |tagged: &TaggedManifest| tagged.repository == *repository;
            if self.is_tagged(&digest, kept) || self.is_named(&digest, is_ours) {
                continue;
            }
            let Some(blob) = self.blobs.get_mut(&digest) else {
                continue;
            };
            candidates.extend(&blob.names);
            blob.repositories.retain(|other| other != repository);
            plan.links.push((repository.clone(), digest));
            let held = !blob.repositories.is_empty();
            if !held && !self.is_tagged(&digest, |_| true) && !self.is_named(&digest, |_| true) {
                self.take(digest, &mut plan);
            }
        }
        plan
    }

    fn is_tagged(&self, digest: &Digest, by: impl Fn(&TaggedManifest) -> bool) -> bool {
        let mut tags = self.tags.iter();
        tags.any(|tagged| tagged.entry.digest == *digest && by(tagged))
    }

    fn is_named(&self, digest: &Digest, by: impl Fn(&Content) -> bool) -> bool {
        let parents = self.parents.get(digest).into_iter().flatten();
        parents.filter_map(|parent| self.blobs.get(parent)).any(by)
    }

    /// Moves the selected tags into the plan. Returns the digests they pointed at.
    fn take_tags(
        &mut self,
        plan: &mut RemovalPlan,
        selects: impl Fn(&TaggedManifest) -> bool,
    ) -> Vec<Digest> {
        let mut digests = Vec::new();
        for tagged in self.tags.extract_if(.., |tagged| selects(tagged)) {
            digests.push(tagged.entry.digest);
            plan.tags.push((tagged.repository, tagged.tag));
        }
        digests
    }

    /// Moves a blob and all links to it into the plan.
    fn take(&mut self, digest: Digest, plan: &mut RemovalPlan) {
        if let Some(blob) = self.blobs.remove(&digest) {
            plan.blobs.push((digest, blob.size));
            let links = blob.repositories.into_iter();
            plan.links
                .extend(links.map(|repository| (repository, digest)));
        }
    }
}
