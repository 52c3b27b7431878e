//! What an export takes images from: the directory alone, or the directory and the Archway that runs
//! on it, which pulls what is missing.
//!
//! A plan over it pulls manifests, and counts on the blobs that they name, in the sizes that they give.
//! [`Supply::bring`] then has those pulled that are missing; what did not come, or has another size, is
//! known to the next plan.

use std::{
    cell::RefCell,
    collections::HashSet,
    error::Error,
    fmt::{self, Display},
    sync::Arc,
};

use bundle::{Attached, Catalog, Lock};
use manifest_model::{Digest, ImageConfig, Manifest, Platform, Reference, Tag};
use protocol::{error_chain::ErrorChain, image_name::ImageName};

use super::{
    known::{Known, Meaning},
    running::{Cause, Part, PartKind, PullError, Running},
};
use crate::{attached::attached, stored::Stored};

/// What a tag has behind the digest of its subject: nothing for an index of referrers, and what cosign
/// writes.
const SUFFIXES: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// The stored manifests, and behind them those that can be pulled, on one thread.
pub struct Supply<'a> {
    stored: &'a Stored<'a>,
    running: Option<&'a dyn Running>,
    known: RefCell<Known>,
}

impl fmt::Debug for Supply<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Supply").finish_non_exhaustive()
    }
}

impl<'a> Supply<'a> {
    /// What is stored, and what the Archway that runs there can pull.
    pub fn new(stored: &'a Stored<'a>, running: Option<&'a dyn Running>) -> Self {
        Self {
            stored,
            running,
            known: RefCell::default(),
        }
    }

    /// A plan begins that counts on nothing yet.
    pub(super) fn begin(&self) {
        self.known.borrow_mut().begin();
    }

    /// From here on the plan is about `name`.
    pub(super) fn begin_image(&self, name: &ImageName) {
        self.known.borrow_mut().begin_image(name);
    }

    /// The digest that `name` means: that of the running Archway if there is one and it knows, else the
    /// stored one; in all plans the same.
    pub(super) fn meaning(&self, name: &ImageName) -> Meaning {
        if let Reference::Digest(digest) = name.reference {
            return Ok(digest);
        }
        if let Some(known) = self.known.borrow().tag(name) {
            return known.clone();
        }
        let meaning = self.ask_for_tag(name);
        let mut known = self.known.borrow_mut();
        known.keep_tag(name, meaning.clone());
        meaning
    }

    /// The image that the plan was about is left out, so that nothing is to be pulled for it.
    pub(super) fn leave_image(&self) {
        self.known.borrow_mut().leave_image();
    }

    fn ask_for_tag(&self, name: &ImageName) -> Meaning {
        let stored = self.stored.resolve(name);
        let Some(running) = self.running.filter(|running| running.can_pull(name)) else {
            return stored.ok_or(None);
        };
        match running.manifest(name, &name.reference) {
            Ok(manifest) => Ok(self.keep(manifest)),
            // An outage is no reason to leave out what is here.
            Err(error) => stored.ok_or_else(|| Some(Arc::new(error))),
        }
    }

    /// Why that is not here, if it was asked for.
    pub(super) fn absent(&self, digest: &Digest) -> Option<Arc<PullError>> {
        self.known.borrow().absent(digest).cloned()
    }

    /// What did not come and why, but for the digests of which it is `told` already.
    pub(super) fn failures(&self, told: &[Digest]) -> Vec<String> {
        let known = self.known.borrow();
        known.failures(|digest| !told.contains(digest))
    }

    /// Has pulled what a given lock lists, `is_needed` of it and is missing. The answer: what did not
    /// come, and why.
    pub fn bring_lock(
        &self,
        lock: &Lock,
        is_needed: impl Fn(&Digest) -> bool,
    ) -> Result<Vec<String>, Cause> {
        self.begin();
        let mut missing = Vec::new();
        for image in &lock.images {
            self.begin_image(&image.name);
            for digest in image.needs() {
                let Ok(Some(manifest)) = self.manifest(&digest) else {
                    let why = self.absent(&digest).filter(|_| is_needed(&digest));
                    missing.extend(why.map(|why| not_pulled(digest, &why)));
                    continue;
                };
                let links = manifest.links().filter(|_| !manifest.is_index());
                for link in links.filter(|link| is_needed(&link.digest)) {
                    self.size(&link.digest);
                }
            }
        }
        self.bring(&is_needed)?;
        missing.extend(self.known.borrow().failures(is_needed));
        // Two images may lack the same, and what did not come is a failure too.
        let mut told = HashSet::new();
        missing.retain(|line| told.insert(line.clone()));
        Ok(missing)
    }

    /// Has all pulled that the last plan counts on, that `is_carried` and that is missing, and kept from
    /// eviction as long as the running Archway is known here. `true` if any was missing: then another
    /// plan may differ.
    pub(super) fn bring(&self, is_carried: impl Fn(&Digest) -> bool) -> Result<bool, Cause> {
        let Some(running) = self.running else {
            return Ok(false);
        };
        let parts = self.known.borrow().counted(is_carried);
        let digests: Vec<Digest> = parts.iter().map(|part| part.digest).collect();
        // First of all: what is here now stays until the bundle is written.
        running.hold(&digests)?;
        let is_missing = |part: &Part| self.stored.size_on_disk(&part.digest).is_none();
        let missing = parts
            .into_iter()
            .filter(|part| is_missing(part) && running.can_pull(&part.image));
        let missing: Vec<Part> = missing.collect();
        if missing.is_empty() {
            return Ok(false);
        }
        self.pull(running, &missing)?;
        Ok(true)
    }

    fn pull(&self, running: &dyn Running, parts: &[Part]) -> Result<(), Cause> {
        let bytes = self.known.borrow().announced(parts);
        let pulled = running.pull(parts, bytes);
        // What has come to its end is stored a moment later, and then this returns.
        let digests: Vec<Digest> = parts.iter().map(|part| part.digest).collect();
        running.hold(&digests)?;
        for (part, pulled) in parts.iter().zip(pulled) {
            match (pulled, self.stored.size_on_disk(&part.digest)) {
                (_, Some(size)) => self.known.borrow_mut().came(part.digest, size),
                (Err(error), None) => self.note_absent(part.digest, error),
                (Ok(()), None) => self.note_absent(part.digest, PullError::NotStored),
            }
        }
        Ok(())
    }

    /// Notes that it was asked for in vain, and that this is to be told.
    fn note_absent(&self, digest: Digest, why: PullError) {
        let mut known = self.known.borrow_mut();
        known.failed(Some(digest), not_pulled(digest, &why));
        known.note_absent(digest, why);
    }

    /// The running Archway, where it can pull something of the image that is being planned.
    fn running(&self) -> Option<(&'a dyn Running, ImageName)> {
        let name = self.known.borrow().image()?.clone();
        let running = self.running.filter(|running| running.can_pull(&name))?;
        Some((running, name))
    }

    /// The plan counts on a part, which a running Archway may have to pull.
    fn count(&self, digest: Digest, kind: PartKind) {
        if self.running.is_some() {
            self.known.borrow_mut().count_on(digest, kind);
        }
    }

    fn keep(&self, manifest: Manifest) -> Digest {
        self.known.borrow_mut().keep(manifest)
    }

    fn failed(&self, what: impl Display, error: &PullError) {
        let line = not_pulled(what, error);
        self.known.borrow_mut().failed(None, line);
    }

    /// What the upstream has attached to `subject`: its list of referrers, and tags that spell it.
    fn pull_attached(
        &self,
        running: &dyn Running,
        name: &ImageName,
        subject: &Digest,
    ) -> Vec<Attached> {
        let mut found = Vec::new();
        match running.referrers(name, subject) {
            Ok(digests) => found.extend(self.pull_entries(running, name, digests, subject)),
            Err(error) => self.failed(format!("what refers to {subject}"), &error),
        }
        for suffix in SUFFIXES {
            let spelled = format!("{}-{}{suffix}", subject.algorithm(), subject.hex());
            let Ok(tag) = spelled.parse::<Tag>() else {
                continue;
            };
            let reference = Reference::Tag(tag.clone());
            let Some(about) = self.pull_about(running, name, &reference, subject, Some(tag)) else {
                continue;
            };
            // Where the registry has no list of its own, this is the list.
            let list = self.known.borrow().manifest(&about.digest).cloned();
            if suffix.is_empty()
                && let Some(list) = list
            {
                let digests = list.entries().iter().map(|entry| entry.digest);
                found.extend(self.pull_entries(running, name, digests, subject));
            }
            found.push(about);
        }
        found
    }

    /// What a list of referrers names.
    fn pull_entries(
        &self,
        running: &dyn Running,
        name: &ImageName,
        digests: impl IntoIterator<Item = Digest>,
        subject: &Digest,
    ) -> Vec<Attached> {
        let entries = digests.into_iter().filter_map(|digest| {
            let reference = Reference::Digest(digest);
            self.pull_about(running, name, &reference, subject, None)
        });
        entries.collect()
    }

    fn pull_about(
        &self,
        running: &dyn Running,
        name: &ImageName,
        reference: &Reference,
        subject: &Digest,
        tag: Option<Tag>,
    ) -> Option<Attached> {
        match running.manifest(name, reference) {
            Ok(manifest) => {
                let about = attached(&manifest, *subject, tag);
                self.keep(manifest);
                Some(about)
            }
            Err(PullError::Absent(_)) if tag.is_some() => None,
            Err(error) => {
                self.failed(reference, &error);
                None
            }
        }
    }

    fn find(&self, digest: &Digest) -> Result<Option<Manifest>, Cause> {
        if let Some(pulled) = self.known.borrow().manifest(digest) {
            return Ok(Some(pulled.clone()));
        }
        if let Some(stored) = self.stored.manifest(digest)? {
            return Ok(Some(stored));
        }
        let Some((running, name)) = self.running() else {
            return Ok(None);
        };
        match running.manifest(&name, &Reference::Digest(*digest)) {
            Ok(manifest) => Ok(Some(manifest)),
            // Not each manifest that an index lists is there: attestations may be gone.
            Err(error @ PullError::Absent(_)) => {
                self.known.borrow_mut().note_absent(*digest, error);
                Ok(None)
            }
            Err(error) => {
                self.note_absent(*digest, error);
                Ok(None)
            }
        }
    }
}

fn not_pulled(what: impl Display, error: &PullError) -> String {
    format!("{what} could not be pulled: {}", ErrorChain(error))
}

impl Catalog for Supply<'_> {
    fn manifest(&self, digest: &Digest) -> Result<Option<Manifest>, Box<dyn Error + Send + Sync>> {
        if self.known.borrow().absent(digest).is_some() {
            return Ok(None);
        }
        let found = self.find(digest)?;
        if let Some(manifest) = &found {
            self.keep(manifest.clone());
            self.count(*digest, PartKind::Manifest);
        }
        Ok(found)
    }

    fn size(&self, digest: &Digest) -> Option<u64> {
        let known = self.known.borrow();
        if known.absent(digest).is_some() {
            return None;
        }
        let here = known.size(digest).or_else(|| self.stored.size(digest));
        let announced = || self.running().and_then(|_| known.announced_size(digest));
        let size = here.or_else(announced)?;
        drop(known);
        self.count(*digest, PartKind::Blob);
        Some(size)
    }

    fn platform(&self, image: &Manifest) -> Option<Platform> {
        let digest = image.config()?.digest;
        if self.size(&digest)? > ImageConfig::MAX_BYTES as u64 {
            return None;
        }
        // The plan depends on what is in it.
        if let Some((running, image)) = self.running()
            && self.stored.size_on_disk(&digest).is_none()
        {
            let kind = PartKind::Blob;
            let part = Part {
                image,
                digest,
                kind,
            };
            // If nothing of it is here afterwards, the plan says so.
            let _ = self.pull(running, &[part]);
        }
        self.stored.platform(image)
    }

    fn attached(
        &self,
        name: &ImageName,
        subject: &Digest,
    ) -> Result<Vec<Attached>, Box<dyn Error + Send + Sync>> {
        if let Some(known) = self.known.borrow().attached(name, subject) {
            return Ok(known);
        }
        let mut all = self.stored.attached(name, subject)?;
        if let Some((running, name)) = self.running() {
            for found in self.pull_attached(running, &name, subject) {
                if !all.contains(&found) {
                    all.push(found);
                }
            }
        }
        all.sort_by_key(|one| (one.tag.is_some(), one.digest));
        let mut known = self.known.borrow_mut();
        known.keep_attached(name, subject, &all);
        Ok(all)
    }
}
