//! What an export takes images from: the directory alone, or the directory and the Archway that runs
//! on it, which pulls what is missing.

use std::{cell::RefCell, collections::HashMap, error::Error, time::Instant};

use airgap::{Stored, attached};
use bundle::{Attached, Catalog};
use client::ClientError;
use manifest_model::{Descriptor, Digest, ImageConfig, Manifest, Platform, Reference, Tag};
use protocol::image_name::ImageName;

use super::live::{self, Live};

/// What a tag has behind the digest of its subject: nothing for an index of referrers, and what cosign
/// writes.
const SUFFIXES: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// The stored manifests, and behind them those that can be pulled.
pub(super) struct Supply<'a> {
    stored: &'a Stored<'a>,
    live: Option<&'a Live>,
    pulled: RefCell<Pulled>,
}

/// What has come so far.
#[derive(Default)]
struct Pulled {
    /// The image that is being planned: blobs are pulled from its repository.
    image: Option<ImageName>,
    manifests: HashMap<Digest, Manifest>,
    /// By image and subject.
    attached: HashMap<(String, Digest), Vec<Attached>>,
    /// Why the tag of that image could not be asked for.
    unresolved: Option<ClientError>,
    /// Why something did not come.
    failures: Vec<(Digest, ClientError)>,
}

impl<'a> Supply<'a> {
    pub(super) fn new(stored: &'a Stored<'a>, live: Option<&'a Live>) -> Self {
        Self {
            stored,
            live,
            pulled: RefCell::default(),
        }
    }

    /// From here on the plan is about `name`. The digest it means: that of the running Archway if there
    /// is one and it knows, else the stored one.
    pub(super) fn begin(&self, name: &ImageName) -> Option<Digest> {
        self.pulled.borrow_mut().image = Some(name.clone());
        let Reference::Tag(_) = name.reference else {
            return self.stored.resolve(name);
        };
        let Some(live) = self.live.filter(|live| live.can_pull(name)) else {
            return self.stored.resolve(name);
        };
        match live.manifest(name, &name.reference) {
            Ok(manifest) => Some(self.keep(manifest)),
            // An outage is no reason to leave out what is here.
            Err(error) => {
                self.pulled.borrow_mut().unresolved = Some(error);
                self.stored.resolve(name)
            }
        }
    }

    /// Why the tag that was asked for last has no answer; told once.
    pub(super) fn unresolved(&self) -> Option<ClientError> {
        self.pulled.borrow_mut().unresolved.take()
    }

    /// The Archway that runs on the directory.
    pub(super) fn running(&self) -> Option<&'a Live> {
        self.live
    }

    /// Why something was not pulled, each with its digest.
    pub(super) fn failures(&self) -> Vec<(Digest, ClientError)> {
        std::mem::take(&mut self.pulled.borrow_mut().failures)
    }

    /// Why that did not come, if it was asked for; told once.
    pub(super) fn failure_of(&self, digest: &Digest) -> Option<ClientError> {
        let failures = &mut self.pulled.borrow_mut().failures;
        let at = failures.iter().position(|(failed, _)| failed == digest)?;
        Some(failures.remove(at).1)
    }

    /// The running Archway, where it can pull something of the image that is being planned.
    fn live(&self) -> Option<(&'a Live, ImageName)> {
        let name = self.pulled.borrow().image.clone()?;
        let live = self.live.filter(|live| live.can_pull(&name))?;
        Some((live, name))
    }

    fn keep(&self, manifest: Manifest) -> Digest {
        let digest = manifest.digest();
        let manifests = &mut self.pulled.borrow_mut().manifests;
        manifests.insert(digest, manifest);
        digest
    }

    fn failed(&self, digest: Digest, error: ClientError) {
        self.pulled.borrow_mut().failures.push((digest, error));
    }

    /// What the upstream has attached to `subject`: its list of referrers, and tags that spell it.
    fn pull_attached(&self, live: &Live, name: &ImageName, subject: &Digest) -> Vec<Attached> {
        let mut found = Vec::new();
        match live.referrers(name, subject) {
            Ok(index) => {
                let entries = index.iter().flat_map(Manifest::entries);
                found.extend(self.pull_entries(live, name, entries, subject));
            }
            Err(error) => self.failed(*subject, error),
        }
        for suffix in SUFFIXES {
            let spelled = format!("{}-{}{suffix}", subject.algorithm(), subject.hex());
            let Ok(tag) = spelled.parse::<Tag>() else {
                continue;
            };
            let reference = Reference::Tag(tag.clone());
            let Some(about) = self.pull_about(live, name, &reference, subject, Some(tag)) else {
                continue;
            };
            // Where the registry has no list of its own, this is the list.
            if suffix.is_empty()
                && let Some(list) = self.pulled_manifest(&about.digest)
            {
                found.extend(self.pull_entries(live, name, list.entries().iter(), subject));
            }
            found.push(about);
        }
        found
    }

    /// What a list of referrers names.
    fn pull_entries<'e>(
        &self,
        live: &Live,
        name: &ImageName,
        entries: impl Iterator<Item = &'e Descriptor>,
        subject: &Digest,
    ) -> Vec<Attached> {
        let mut found = Vec::new();
        for entry in entries {
            let reference = Reference::Digest(entry.digest);
            found.extend(self.pull_about(live, name, &reference, subject, None));
        }
        found
    }

    fn pulled_manifest(&self, digest: &Digest) -> Option<Manifest> {
        self.pulled.borrow().manifests.get(digest).cloned()
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
            Err(error) if error.is_not_found() => None,
            Err(error) => {
                self.failed(*subject, error);
                None
            }
        }
    }
}

impl Catalog for Supply<'_> {
    fn manifest(&self, digest: &Digest) -> Result<Option<Manifest>, Box<dyn Error + Send + Sync>> {
        if let Some(pulled) = self.pulled_manifest(digest) {
            return Ok(Some(pulled));
        }
        if let Some(stored) = self.stored.manifest(digest)? {
            return Ok(Some(stored));
        }
        let Some((live, name)) = self.live() else {
            return Ok(None);
        };
        match live.manifest(&name, &Reference::Digest(*digest)) {
            Ok(manifest) => {
                self.keep(manifest.clone());
                Ok(Some(manifest))
            }
            Err(error) => {
                self.failed(*digest, error);
                Ok(None)
            }
        }
    }

    fn size(&self, digest: &Digest) -> Option<u64> {
        if let Some(size) = self.stored.size(digest) {
            return Some(size);
        }
        let (live, name) = self.live()?;
        match live.pull_blob(&name, digest) {
            Ok(()) => live::stored_size(self.stored, digest, Instant::now()),
            Err(error) => {
                self.failed(*digest, error);
                None
            }
        }
    }

    fn platform(&self, image: &Manifest) -> Option<Platform> {
        let config = image.config()?.digest;
        let size = self.size(&config)?;
        if size > ImageConfig::MAX_BYTES as u64 {
            return None;
        }
        self.stored.platform(image)
    }

    fn attached(
        &self,
        name: &ImageName,
        subject: &Digest,
    ) -> Result<Vec<Attached>, Box<dyn Error + Send + Sync>> {
        let key = (name.to_string(), *subject);
        if let Some(known) = self.pulled.borrow().attached.get(&key) {
            return Ok(known.clone());
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
        let attached = &mut self.pulled.borrow_mut().attached;
        attached.insert(key, all.clone());
        Ok(all)
    }
}
