//! Changing a cache that no server runs on.

use std::{collections::HashMap, error::Error};

use manifest_model::{Digest, Tag};
use tracing::warn;

use super::{
    Directory,
    contents::{Content, Contents, Snapshot, TaggedManifest},
};
use crate::{
    Collected, RepoKey,
    collect::{self, Company},
    disk::{Disk, remove_if_there},
    error::CacheError,
    index::{Index, Origin},
    names,
};

/// A cache directory whose lock this process holds.
#[derive(Debug)]
pub struct Owned {
    directory: Directory,
    disk: Disk,
    index: Index,
    origin: Origin,
}

/// What is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// A blob, with all tags that point at it.
    Blob(Digest),
    /// A tag, with all of its image that no other tag, manifest or repository needs.
    Tag(RepoKey, Tag),
}

/// What was removed for one [`Removal`].
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

    /// Whether the index was lost or damaged, and was built from the files.
    pub fn index_was_rebuilt(&self) -> bool {
        self.origin == Origin::Built
    }

    /// Brings the index in line with the files, and gives back what its own file does not need any more.
    pub fn collect(&mut self) -> Result<Collected, CacheError> {
        let collected = collect::collect(&self.index, &self.disk, &Company::Alone)?;
        self.index.compact(&self.disk)?;
        Ok(collected)
    }

    /// Removes one after the other. What is removed is asked of the upstream again when a client wants it.
    pub fn remove(&self, removals: &[Removal]) -> Result<Vec<Removed>, CacheError> {
        let snapshot = Snapshot::of(&self.index)?;
        let mut holdings = Holdings::new(Contents::gather(&self.directory, snapshot, None)?);
        // The copy of links and tags would bring back what is removed.
        remove_if_there(&self.disk.names_path())?;
        let mut done = Vec::with_capacity(removals.len());
        for removal in removals {
            let plan = match removal {
                Removal::Blob(digest) => holdings.take_blob(digest),
                Removal::Tag(repository, tag) => holdings.take_image(repository, tag),
            };
            done.push(self.carry_out(plan)?);
        }
        if let Err(error) = names::copy(&self.index, &self.disk, &|| true) {
            let error = &error as &dyn Error;
            warn!(error, "links and tags could not be copied");
        }
        Ok(done)
    }

    /// Tags first and rows last: a crash in between leaves rows without files, which cost nothing.
    fn carry_out(&self, plan: Plan) -> Result<Removed, CacheError> {
        for (repository, tag) in &plan.tags {
            self.index.drop_tag(repository, tag)?;
        }
        let mut removed = Removed {
            tags: plan.tags,
            blobs: Vec::new(),
        };
        for (digest, size) in plan.blobs {
            if let Some(withdrawn) = self.disk.withdraw(&digest)? {
                withdrawn.delete()?;
                removed.blobs.push((digest, size));
            }
        }
        let gone: Vec<Digest> = removed.blobs.iter().map(|(digest, _)| *digest).collect();
        self.index.erase_blobs(&gone)?;
        self.index.unlink(&plan.links)?;
        Ok(removed)
    }
}

/// What has to go together.
#[derive(Default)]
struct Plan {
    tags: Vec<(RepoKey, Tag)>,
    blobs: Vec<(Digest, u64)>,
    links: Vec<(RepoKey, Digest)>,
}

/// What is left while removals are planned.
struct Holdings {
    blobs: HashMap<Digest, Content>,
    tags: Vec<TaggedManifest>,
    /// The stored manifests that name each digest, those included that have been taken since.
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

    fn take_blob(&mut self, digest: &Digest) -> Plan {
        let mut plan = Plan::default();
        self.take_tags(&mut plan, |tagged| tagged.entry.digest == *digest);
        self.take(*digest, &mut plan);
        plan
    }

    /// The tag, its manifest, and downwards whatever nothing else needs: first the repository lets go of what neither its other
    /// tags nor its other manifests name, and what no repository holds then goes.
    fn take_image(&mut self, repository: &RepoKey, tag: &Tag) -> Plan {
        let mut plan = Plan::default();
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

    /// Moves those tags into the plan; the answer is where they pointed.
    fn take_tags(
        &mut self,
        plan: &mut Plan,
        which: impl Fn(&TaggedManifest) -> bool,
    ) -> Vec<Digest> {
        let mut digests = Vec::new();
        for tagged in self.tags.extract_if(.., |tagged| which(tagged)) {
            digests.push(tagged.entry.digest);
            plan.tags.push((tagged.repository, tagged.tag));
        }
        digests
    }

    /// Moves a blob and all links to it into the plan.
    fn take(&mut self, digest: Digest, plan: &mut Plan) {
        if let Some(blob) = self.blobs.remove(&digest) {
            plan.blobs.push((digest, blob.size));
            let links = blob.repositories.into_iter();
            plan.links
                .extend(links.map(|repository| (repository, digest)));
        }
    }
}
