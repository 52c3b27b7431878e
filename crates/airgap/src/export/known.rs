//! What has come for an export so far, and what its plan counts on.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bundle::Attached;
use manifest_model::{Digest, Manifest};
use protocol::image_name::ImageName;

use super::running::{Part, PartKind, PullError};

/// What a tag means, or why that is not known.
pub(super) type Meaning = Result<Digest, Option<Arc<PullError>>>;

/// What is remembered between the plans of one export: whatever was asked is asked once.
#[derive(Default)]
pub(super) struct Known {
    tags: HashMap<String, Meaning>,
    manifests: HashMap<Digest, Manifest>,
    /// By image and subject.
    attached: HashMap<(String, Digest), Vec<Attached>>,
    /// The sizes that manifests give.
    announced: HashMap<Digest, u64>,
    /// The sizes of blobs that have come.
    sizes: HashMap<Digest, u64>,
    /// What was asked for and is not here, and why.
    absent: HashMap<Digest, Arc<PullError>>,
    /// What is told of what did not come: the digest, if it has one, and a line.
    failures: Vec<(Option<Digest>, String)>,
    /// What the plan counts on, in its order; the rest of it from `image_at` on for one image.
    counted: Vec<Part>,
    image_at: usize,
    image: Option<ImageName>,
}

impl Known {
    pub(super) fn begin(&mut self) {
        self.counted.clear();
        self.image_at = 0;
        self.image = None;
    }

    pub(super) fn begin_image(&mut self, name: &ImageName) {
        self.image_at = self.counted.len();
        self.image = Some(name.clone());
    }

    pub(super) fn leave_image(&mut self) {
        self.counted.truncate(self.image_at);
    }

    /// The image that the plan is about.
    pub(super) fn image(&self) -> Option<&ImageName> {
        self.image.as_ref()
    }

    /// What a tag meant when it was asked for.
    pub(super) fn tag(&self, name: &ImageName) -> Option<&Meaning> {
        self.tags.get(&name.to_string())
    }

    pub(super) fn keep_tag(&mut self, name: &ImageName, meaning: Meaning) {
        self.tags.insert(name.to_string(), meaning);
    }

    pub(super) fn manifest(&self, digest: &Digest) -> Option<&Manifest> {
        self.manifests.get(digest)
    }

    pub(super) fn keep(&mut self, manifest: Manifest) -> Digest {
        for link in manifest.links() {
            self.announced.entry(link.digest).or_insert(link.size);
        }
        let digest = manifest.digest();
        self.manifests.insert(digest, manifest);
        digest
    }

    pub(super) fn attached(&self, name: &ImageName, subject: &Digest) -> Option<Vec<Attached>> {
        self.attached.get(&(name.to_string(), *subject)).cloned()
    }

    pub(super) fn keep_attached(&mut self, name: &ImageName, subject: &Digest, all: &[Attached]) {
        let key = (name.to_string(), *subject);
        self.attached.insert(key, all.to_vec());
    }

    /// Notes that the plan counts on a part of the image it is about.
    pub(super) fn count_on(&mut self, digest: Digest, kind: PartKind) {
        let Some(image) = self.image.clone() else {
            return;
        };
        self.counted.push(Part {
            image,
            digest,
            kind,
        });
    }

    /// What the plan counts on and `is_wanted`, each digest once.
    pub(super) fn counted(&self, is_wanted: impl Fn(&Digest) -> bool) -> Vec<Part> {
        let mut seen = HashSet::new();
        let counted = self.counted.iter();
        let counted = counted.filter(|part| is_wanted(&part.digest) && seen.insert(part.digest));
        counted.cloned().collect()
    }

    /// The bytes of the blobs among these, as manifests give them.
    pub(super) fn announced(&self, parts: &[Part]) -> u64 {
        let blobs = parts.iter().filter(|part| part.kind == PartKind::Blob);
        let sizes = blobs.filter_map(|part| self.announced.get(&part.digest));
        sizes.fold(0, |sum, size| sum.saturating_add(*size))
    }

    pub(super) fn announced_size(&self, digest: &Digest) -> Option<u64> {
        self.announced.get(digest).copied()
    }

    /// The size of what has come.
    pub(super) fn size(&self, digest: &Digest) -> Option<u64> {
        self.sizes.get(digest).copied()
    }

    pub(super) fn came(&mut self, digest: Digest, size: u64) {
        self.sizes.insert(digest, size);
    }

    pub(super) fn note_absent(&mut self, digest: Digest, why: PullError) {
        self.absent.insert(digest, Arc::new(why));
    }

    /// Why it is not here, if it was asked for.
    pub(super) fn absent(&self, digest: &Digest) -> Option<&Arc<PullError>> {
        self.absent.get(digest)
    }

    pub(super) fn failed(&mut self, digest: Option<Digest>, what_and_why: String) {
        self.failures.push((digest, what_and_why));
    }

    /// What did not come and why, of digests those that `is_told`.
    pub(super) fn failures(&self, is_told: impl Fn(&Digest) -> bool) -> Vec<String> {
        let failures = self.failures.iter();
        let told = failures.filter(|(digest, _)| digest.as_ref().is_none_or(&is_told));
        told.map(|(_, line)| line.clone()).collect()
    }
}
