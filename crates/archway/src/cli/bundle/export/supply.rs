//! What an export takes images from: the directory alone, or the directory and the Archway that runs
//! on it, which pulls what is missing.
//!
//! A plan over it pulls manifests, and counts on the blobs that they name, in the sizes that they give.
//! [`Supply::bring`] then has those pulled that are missing; what did not come, or has another size, is
//! known to the next plan.

mod arrived;

use std::{cell::RefCell, error::Error, fmt::Display};

use airgap::{Stored, attached};
use bundle::{Attached, Catalog, Lock};
use client::ClientError;
use manifest_model::{Digest, ImageConfig, Manifest, Platform, Reference, Tag};
use protocol::{error_chain::ErrorChain, image_name::ImageName};

use self::arrived::Arrived;
use super::live::{Live, Part, PartKind};
use crate::cli::{bundle::error::ExportError, progress::Progress};

/// What a tag has behind the digest of its subject: nothing for an index of referrers, and what cosign
/// writes.
const SUFFIXES: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// The stored manifests, and behind them those that can be pulled.
pub(super) struct Supply<'a> {
    stored: &'a Stored<'a>,
    live: Option<&'a Live>,
    arrived: RefCell<Arrived>,
}

impl<'a> Supply<'a> {
    pub(super) fn new(stored: &'a Stored<'a>, live: Option<&'a Live>) -> Self {
        Self {
            stored,
            live,
            arrived: RefCell::default(),
        }
    }

    /// The Archway that runs on the directory.
    pub(super) fn running(&self) -> Option<&'a Live> {
        self.live
    }

    /// A plan begins that counts on nothing yet.
    pub(super) fn begin(&self) {
        self.arrived.borrow_mut().begin();
    }

    /// From here on the plan is about `name`. The digest it means: that of the running Archway if there
    /// is one and it knows, else the stored one; in all plans the same.
    pub(super) fn begin_image(&self, name: &ImageName) -> Option<Digest> {
        self.arrived.borrow_mut().begin_image(name);
        if let Reference::Digest(digest) = name.reference {
            return Some(digest);
        }
        if let Some(known) = self.arrived.borrow().tag(name) {
            return *known;
        }
        let digest = self.ask_for_tag(name);
        self.arrived.borrow_mut().keep_tag(name, digest);
        digest
    }

    /// The image that the plan was about is left out, so that nothing is to be pulled for it.
    pub(super) fn leave_image(&self) {
        self.arrived.borrow_mut().leave_image();
    }

    fn ask_for_tag(&self, name: &ImageName) -> Option<Digest> {
        let stored = self.stored.resolve(name);
        let Some(live) = self.live.filter(|live| live.can_pull(name)) else {
            return stored;
        };
        match live.manifest(name, &name.reference) {
            Ok(manifest) => Some(self.keep(manifest)),
            // An outage is no reason to leave out what is here.
            Err(error) => {
                if stored.is_none() {
                    self.failed(name, &error);
                }
                stored
            }
        }
    }

    /// What was not pulled, and why; told once.
    pub(super) fn failures(&self) -> Vec<String> {
        self.arrived.borrow_mut().failures()
    }

    /// The plan is the one of `lock`, and takes of it what `is_needed`.
    pub(super) fn count_on(&self, lock: &Lock, is_needed: impl Fn(&Digest) -> bool) {
        self.begin();
        for image in &lock.images {
            self.arrived.borrow_mut().begin_image(&image.name);
            for digest in image.needs() {
                let Ok(Some(manifest)) = self.manifest(&digest) else {
                    continue;
                };
                let links = manifest.links().filter(|_| !manifest.is_index());
                for link in links.filter(|link| is_needed(&link.digest)) {
                    self.size(&link.digest);
                }
            }
        }
    }

    /// Has all pulled that the last plan counts on, that `is_carried` and that is missing, and kept from
    /// eviction as long as this lives. `true` if any was missing: then another plan may differ.
    pub(super) fn bring(&self, is_carried: impl Fn(&Digest) -> bool) -> Result<bool, ExportError> {
        let Some(live) = self.live else {
            return Ok(false);
        };
        let parts = self.arrived.borrow().counted(is_carried);
        let digests: Vec<Digest> = parts.iter().map(|part| part.digest).collect();
        // First of all: what is here now stays until the bundle is written.
        let held = live.hold(&digests)?;
        self.arrived.borrow_mut().keep_held(held);
        let is_missing = |part: &Part| self.stored.size_on_disk(&part.digest).is_none();
        let missing = parts
            .into_iter()
            .filter(|part| is_missing(part) && live.can_pull(&part.image));
        let missing: Vec<Part> = missing.collect();
        if missing.is_empty() {
            return Ok(false);
        }
        self.pull(live, &missing)?;
        Ok(true)
    }

    fn pull(&self, live: &Live, parts: &[Part]) -> Result<(), ExportError> {
        let total = self.arrived.borrow().announced(parts);
        let progress = Progress::of("pulled", total);
        let pulled = live.pull(parts, &progress);
        progress.end();
        // What has come to its end is stored a moment later.
        let digests: Vec<Digest> = parts.iter().map(|part| part.digest).collect();
        let held = live.hold(&digests)?;
        let mut arrived = self.arrived.borrow_mut();
        arrived.keep_held(held);
        for (part, pulled) in parts.iter().zip(pulled) {
            let size = self.stored.size_on_disk(&part.digest);
            arrived.came(part.digest, size);
            match pulled {
                Err(error) => arrived.failed(not_pulled(part.digest, &error)),
                Ok(()) if size.is_none() => arrived.failed(not_stored(&part.digest)),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// The running Archway, where it can pull something of the image that is being planned.
    fn live(&self) -> Option<(&'a Live, ImageName)> {
        let name = self.arrived.borrow().image()?.clone();
        let live = self.live.filter(|live| live.can_pull(&name))?;
        Some((live, name))
    }

    /// The plan counts on a part, which a running Archway may have to pull.
    fn count(&self, digest: Digest, kind: PartKind) {
        if self.live.is_some() {
            self.arrived.borrow_mut().count_on(digest, kind);
        }
    }

    fn keep(&self, manifest: Manifest) -> Digest {
        self.arrived.borrow_mut().keep(manifest)
    }

    fn failed(&self, what: impl Display, error: &ClientError) {
        self.arrived.borrow_mut().failed(not_pulled(what, error));
    }

    /// What the upstream has attached to `subject`: its list of referrers, and tags that spell it.
    fn pull_attached(&self, live: &Live, name: &ImageName, subject: &Digest) -> Vec<Attached> {
        let mut found = Vec::new();
        match live.referrers(name, subject) {
            Ok(digests) => {
                for digest in digests {
                    let reference = Reference::Digest(digest);
                    found.extend(self.pull_about(live, name, &reference, subject, None));
                }
            }
            Err(error) => self.failed(format!("what refers to {subject}"), &error),
        }
        for suffix in SUFFIXES {
            let spelled = format!("{}-{}{suffix}", subject.algorithm(), subject.hex());
            let Ok(tag) = spelled.parse::<Tag>() else {
                continue;
            };
            let reference = Reference::Tag(tag.clone());
            found.extend(self.pull_about(live, name, &reference, subject, Some(tag)));
        }
        found
    }

    fn pull_about(
        &self,
        live: &Live,
        name: &ImageName,
        reference: &Reference,
        subject: &Digest,
        tag: Option<Tag>,
    ) -> Option<Attached> {
        match live.manifest(name, reference) {
            Ok(manifest) => {
                let about = attached(&manifest, *subject, tag);
                self.keep(manifest);
                Some(about)
            }
            Err(error) if error.is_not_found() && tag.is_some() => None,
            Err(error) => {
                self.failed(reference, &error);
                None
            }
        }
    }

    fn find(&self, digest: &Digest) -> Result<Option<Manifest>, Box<dyn Error + Send + Sync>> {
        if let Some(pulled) = self.arrived.borrow().manifest(digest) {
            return Ok(Some(pulled.clone()));
        }
        if let Some(stored) = self.stored.manifest(digest)? {
            return Ok(Some(stored));
        }
        let Some((live, name)) = self.live() else {
            return Ok(None);
        };
        match live.manifest(&name, &Reference::Digest(*digest)) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) => {
                // Not each manifest that an index lists is there: attestations may be gone.
                if !error.is_not_found() {
                    self.failed(digest, &error);
                }
                self.arrived.borrow_mut().came(*digest, None);
                Ok(None)
            }
        }
    }
}

fn not_pulled(what: impl Display, error: &ClientError) -> String {
    format!("{what} could not be pulled: {}", ErrorChain(error))
}

/// What cannot be stored has only passed through.
fn not_stored(digest: &Digest) -> String {
    format!("{digest} came, and could not be stored: is the cache large enough, and its disk?")
}

impl Catalog for Supply<'_> {
    fn manifest(&self, digest: &Digest) -> Result<Option<Manifest>, Box<dyn Error + Send + Sync>> {
        if self.arrived.borrow().is_absent(digest) {
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
        let arrived = self.arrived.borrow();
        if arrived.is_absent(digest) {
            return None;
        }
        let here = arrived.size(digest).or_else(|| self.stored.size(digest));
        let announced = || self.live().and_then(|_| arrived.announced_size(digest));
        let size = here.or_else(announced)?;
        drop(arrived);
        self.count(*digest, PartKind::Blob);
        Some(size)
    }

    fn platform(&self, image: &Manifest) -> Option<Platform> {
        let digest = image.config()?.digest;
        if self.size(&digest)? > ImageConfig::MAX_BYTES as u64 {
            return None;
        }
        // The plan depends on what is in it.
        if let Some((live, image)) = self.live()
            && self.stored.size_on_disk(&digest).is_none()
        {
            let kind = PartKind::Blob;
            let part = Part {
                image,
                digest,
                kind,
            };
            // If nothing of it is here afterwards, the plan says so.
            let _ = self.pull(live, &[part]);
        }
        self.stored.platform(image)
    }

    fn attached(
        &self,
        name: &ImageName,
        subject: &Digest,
    ) -> Result<Vec<Attached>, Box<dyn Error + Send + Sync>> {
        if let Some(known) = self.arrived.borrow().attached(name, subject) {
            return Ok(known);
        }
        let mut all = self.stored.attached(name, subject)?;
        if let Some((live, name)) = self.live() {
            for found in self.pull_attached(live, &name, subject) {
                if !all.contains(&found) {
                    all.push(found);
                }
            }
        }
        all.sort_by_key(|one| (one.tag.is_some(), one.digest));
        self.arrived.borrow_mut().keep_attached(name, subject, &all);
        Ok(all)
    }
}
