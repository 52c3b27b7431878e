//! What goes with a name that is removed: the same for a stopped cache and for one that serves.

use std::collections::{BTreeSet, HashMap};

use cache_store::{CacheError, index::Index};
use manifest_model::{Digest, Tag};

use super::{
    contents::{Content, Contents, TaggedManifest},
    kept::Kept,
};
use crate::RepoKey;

/// A request to remove something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// A blob, with all tags that point at it.
    Blob(Digest),
    /// A tag, with the parts of its image that no other tag, manifest or repository needs.
    Tag(RepoKey, Tag),
    /// A manifest of one repository, with its tags there, and parts as of a tag.
    Manifest(RepoKey, Digest),
    /// A blob that a bundle brought to these repositories, with all tags that point at it, unless
    /// another repository has it too.
    Brought(Digest, BTreeSet<RepoKey>),
}

/// The outcome of one [`Removal`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The tags.
    pub tags: Vec<(RepoKey, Tag)>,
    /// The blobs, with their sizes.
    pub blobs: Vec<(Digest, u64)>,
    /// The bundles that keep what was to be removed: then nothing was.
    pub kept_by: Vec<Digest>,
}

impl Removed {
    /// Whether there was nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.blobs.is_empty() && self.kept_by.is_empty()
    }
}

/// The tags, blobs and links that go together.
#[derive(Debug, Default)]
pub(crate) struct RemovalPlan {
    tags: Vec<(RepoKey, Tag)>,
    blobs: Vec<(Digest, u64)>,
    links: Vec<(RepoKey, Digest)>,
    kept_by: Vec<Digest>,
}

impl RemovalPlan {
    /// Removes tags first and rows last: a crash in between leaves rows without files, which cost
    /// nothing. A blob that is stored again meanwhile keeps its row. `delete` deletes the file of a
    /// blob, and says whether there was one. Blocks.
    pub(crate) fn carry_out(
        self,
        index: &Index,
        delete: impl Fn(&Digest) -> Result<bool, CacheError>,
    ) -> Result<Removed, CacheError> {
        for (repository, tag) in &self.tags {
            index.tags.remove(repository, tag)?;
        }
        let mut removed = Removed {
            tags: self.tags,
            blobs: Vec::new(),
            kept_by: self.kept_by,
        };
        let mut rows = Vec::new();
        for (digest, size) in self.blobs {
            let row = index.rows.seen(&digest)?;
            if delete(&digest)? {
                removed.blobs.push((digest, size));
                rows.extend(row);
            }
        }
        index.rows.remove_unchanged(&rows)?;
        index.links.remove(&self.links)?;
        Ok(removed)
    }
}

/// The contents that are left while removals are planned.
#[derive(Debug)]
pub(crate) struct Holdings {
    blobs: HashMap<Digest, Content>,
    tags: Vec<TaggedManifest>,
    /// The stored manifests that name each digest, including those that a plan has taken.
    parents: HashMap<Digest, Vec<Digest>>,
    kept: Kept,
}

impl Holdings {
    pub(crate) fn new(contents: Contents) -> Self {
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
            kept: contents.kept,
        }
    }

    /// What goes with a removal. Every removal, of a stopped cache and of a running one, is decided
    /// here: what must stay is left out of the plan.
    pub(crate) fn plan(&mut self, removal: &Removal) -> RemovalPlan {
        let kept_by = self.kept_by(removal).to_vec();
        if !kept_by.is_empty() {
            return RemovalPlan {
                kept_by,
                ..RemovalPlan::default()
            };
        }
        match removal {
            Removal::Blob(digest) => self.take_blob(digest),
            Removal::Tag(repository, tag) => self.take_image(repository, None, |tagged| {
                tagged.repository == *repository && tagged.tag == *tag
            }),
            Removal::Manifest(repository, digest) => {
                self.take_image(repository, Some(*digest), |tagged| {
                    tagged.repository == *repository && tagged.entry.digest == *digest
                })
            }
            Removal::Brought(digest, repositories) => {
                let blob = self.blobs.get(digest);
                let mut linking = blob.iter().flat_map(|blob| &blob.repositories);
                if linking.all(|repository| repositories.contains(repository)) {
                    self.take_blob(digest)
                } else {
                    RemovalPlan::default()
                }
            }
        }
    }

    /// The bundles that keep what a removal is about.
    fn kept_by(&self, removal: &Removal) -> &[Digest] {
        match removal {
            Removal::Blob(digest) | Removal::Manifest(_, digest) | Removal::Brought(digest, _) => {
                self.kept.pinning(digest)
            }
            Removal::Tag(repository, tag) => {
                let is_meant =
                    |row: &&TaggedManifest| row.repository == *repository && row.tag == *tag;
                self.tags.iter().find(is_meant).map_or(&[], |row| {
                    self.kept.naming(repository, tag, &row.entry.digest)
                })
            }
        }
    }

    fn take_blob(&mut self, digest: &Digest) -> RemovalPlan {
        let mut plan = RemovalPlan::default();
        self.take_tags(&mut plan, |tagged| tagged.entry.digest == *digest);
        self.take(*digest, &mut plan);
        plan
    }

    /// Takes the tags, the manifests they and `root` name, and downwards all blobs that nothing else
    /// needs. First the repository's links go to all that neither its other tags nor its other
    /// manifests name; then the blobs go that no repository links. What a bundle pins stays.
    fn take_image(
        &mut self,
        repository: &RepoKey,
        root: Option<Digest>,
        tags: impl Fn(&TaggedManifest) -> bool,
    ) -> RemovalPlan {
        let mut plan = RemovalPlan::default();
        let mut candidates = self.take_tags(&mut plan, tags);
        candidates.extend(root.filter(|root| {
            let blob = self.blobs.get(root);
            blob.is_some_and(|blob| blob.repositories.contains(repository))
        }));
        while let Some(digest) = candidates.pop() {
            if !self.kept.pinning(&digest).is_empty() {
                continue;
            }
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

#[cfg(test)]
mod tests {
    use cache_store::disk::Disk;
    use manifest_model::Algorithm;

    use super::*;

    #[test]
    fn a_blob_that_is_stored_again_while_it_is_removed_keeps_its_row() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let (index, _) = Index::open(&disk).unwrap();
        let digest = Digest::of(Algorithm::Sha256, b"blob");
        index.rows.record_blobs(&[(digest, 4)]).unwrap();
        let before = index.rows.last_used(&digest).unwrap();
        let plan = RemovalPlan {
            blobs: vec![(digest, 4)],
            ..RemovalPlan::default()
        };
        let removed = plan.carry_out(&index, |digest| {
            // A row has milliseconds.
            while index.rows.last_used(digest).unwrap() == before {
                index.rows.record_blobs(&[(*digest, 5)]).unwrap();
            }
            Ok(true)
        });
        assert_eq!(removed.unwrap().blobs, [(digest, 4)]);
        assert_eq!(index.rows.size(&digest).unwrap(), Some(5));
    }
}
