//! The plan of an export: which manifests, configs and layers a bundle carries.
//!
//! A plan is pure over a [`Catalog`] of manifests that are at hand. It fixes every digest, so a tag
//! that moves while the bundle is written does not matter.

mod attached;
mod blobs;
mod error;
mod selection;

use std::{
    collections::{HashMap, HashSet},
    error::Error,
};

use manifest_model::{
    Choice, Descriptor, Digest, MAX_INDEX_DEPTH, Manifest, Matcher, Platform, offered,
};
use protocol::image_name::ImageName;

use self::{attached::is_signed, blobs::Blobs};
pub use self::{
    error::PlanError,
    selection::{AttachedScope, Selection},
};
use crate::{
    layout,
    lock::{
        Attached, Blob, Child, DockerImage, FORMAT, Image, Lock, Place, PlatformName, Presence,
    },
    series::SeriesName,
};

/// The manifests at hand.
pub trait Catalog {
    /// The stored manifest; `None` if it is not stored.
    fn manifest(&self, digest: &Digest) -> Result<Option<Manifest>, Box<dyn Error + Send + Sync>>;

    /// The size of a stored blob; `None` if it is not stored.
    fn size(&self, digest: &Digest) -> Option<u64>;

    /// The platform in the config of a stored image; `None` if it is not stored or names none.
    fn platform(&self, image: &Manifest) -> Option<Platform>;

    /// What refers to `subject` in the repository of `name`: referrers and tags such as
    /// `sha256-HEX.sig`.
    fn attached(
        &self,
        name: &ImageName,
        subject: &Digest,
    ) -> Result<Vec<Attached>, Box<dyn Error + Send + Sync>>;
}

/// A plan in the making: images are added one by one.
#[derive(Debug)]
pub struct Plan<'a, C> {
    catalog: &'a C,
    selection: Selection,
    images: Vec<Image>,
    manifests: Blobs,
    configs: Blobs,
    layers: Blobs,
    incomplete: Vec<(ImageName, Digest)>,
}

impl<'a, C: Catalog> Plan<'a, C> {
    /// An empty plan.
    pub fn new(catalog: &'a C, selection: Selection) -> Self {
        Self {
            catalog,
            selection,
            images: Vec::new(),
            manifests: Blobs::default(),
            configs: Blobs::default(),
            layers: Blobs::default(),
            incomplete: Vec::new(),
        }
    }

    /// Adds the image `name`, whose manifest or index is `digest`, for platforms of its own or those
    /// of the selection. On an error the plan is of no further use.
    pub fn add(
        &mut self,
        name: &ImageName,
        digest: Digest,
        platforms: Option<&[Platform]>,
    ) -> Result<(), PlanError> {
        let root = self.manifest(name, &digest)?;
        let mut image = Image {
            attached: Vec::new(),
            children: Vec::new(),
            digest,
            docker: None,
            media_type: root.media_type().as_str().to_owned(),
            name: name.clone(),
            size: root.bytes().len() as u64,
            whole: true,
        };
        self.carry(&root, &mut image)?;
        if root.is_index() {
            let wanted = platforms.unwrap_or(&self.selection.platforms).to_vec();
            let wanted = (!wanted.is_empty()).then_some(wanted);
            let mut seen = HashSet::from([digest]);
            self.add_children(&root, &mut image, wanted.as_deref(), 0, &mut seen)?;
        } else if self.selection.docker.is_some() {
            image.docker = docker_image(&root);
        }
        let subjects: Vec<Digest> = image.needs().collect();
        for subject in subjects {
            self.add_attached(&mut image, subject, 1)?;
        }
        if self.selection.require_signatures && !is_signed(&image) {
            return Err(PlanError::Unsigned {
                name: Box::new(name.clone()),
                digest,
            });
        }
        self.images.push(image);
        Ok(())
    }

    /// Whether [`Self::add`] would take an image. Adds nothing.
    pub fn check(
        &self,
        name: &ImageName,
        digest: Digest,
        platforms: Option<&[Platform]>,
    ) -> Result<(), PlanError> {
        let selection = Selection {
            base: HashSet::new(),
            ..self.selection.clone()
        };
        Plan::new(self.catalog, selection).add(name, digest, platforms)
    }

    /// The bytes of the blobs that the bundle carries.
    pub fn carried_bytes(&self) -> u64 {
        let blobs = Blobs::once([&self.manifests, &self.configs, &self.layers]);
        let carried = blobs.filter(|(digest, _)| !self.selection.base.contains(digest));
        carried.fold(0, |sum, (_, size)| sum.saturating_add(size))
    }

    /// What is attached to the images and left out, since parts of it are not stored.
    pub fn incomplete(&self) -> &[(ImageName, Digest)] {
        &self.incomplete
    }

    /// The finished lock. `created` is in RFC 3339; `series` has the number of this bundle in it.
    pub fn finish(
        mut self,
        created: String,
        series: Option<(SeriesName, u64)>,
    ) -> Result<Lock, PlanError> {
        self.images
            .sort_by_cached_key(|image| image.name.to_string());
        let base = &self.selection.base;
        let parts = [&self.manifests, &self.configs, &self.layers];
        let mut blobs: Vec<Blob> = Blobs::once(parts)
            .map(|(digest, size)| Blob {
                digest,
                place: if base.contains(&digest) {
                    Place::Base
                } else {
                    Place::Bundle
                },
                offset: None,
                size,
            })
            .collect();
        layout::set_offsets(&mut blobs)?;
        let (series, sequence) = series.unzip();
        let platforms = self.selection.platforms.into_iter().map(PlatformName);
        Ok(Lock {
            blobs,
            created,
            format: FORMAT.to_owned(),
            images: self.images,
            index: self.selection.index,
            platforms: platforms.collect(),
            requires: self.selection.requires,
            sequence,
            series,
        })
    }

    fn stored(&self, name: &ImageName, digest: &Digest) -> Result<Option<Manifest>, PlanError> {
        let found = self.catalog.manifest(digest);
        found.map_err(|source| PlanError::Catalog {
            name: Box::new(name.clone()),
            digest: *digest,
            source,
        })
    }

    fn manifest(&self, name: &ImageName, digest: &Digest) -> Result<Manifest, PlanError> {
        self.stored(name, digest)?
            .ok_or_else(|| PlanError::NotStored {
                name: Box::new(name.clone()),
                digest: *digest,
            })
    }

    /// Carries a manifest with its config and layers, as far as the registry has them.
    fn carry(&mut self, manifest: &Manifest, image: &mut Image) -> Result<(), PlanError> {
        let name = &image.name;
        let digest = manifest.digest();
        if !manifest.is_index() && manifest.unreadable() > 0 {
            return Err(PlanError::Unreadable {
                name: Box::new(name.clone()),
                digest,
            });
        }
        let config = manifest.config().map(|config| config.digest);
        let links = manifest.links().filter(|_| !manifest.is_index());
        let subject = manifest.subject().map(|subject| subject.digest);
        let mut parts = Vec::new();
        for link in links.filter(|link| !link.is_foreign() && Some(link.digest) != subject) {
            let size = self.catalog.size(&link.digest);
            let size = size.ok_or_else(|| PlanError::NotStored {
                name: Box::new(name.clone()),
                digest: link.digest,
            })?;
            parts.push((link.digest, size));
        }
        let base = &self.selection.base;
        image.whole &= !base.contains(&digest);
        self.manifests.add(digest, manifest.bytes().len() as u64);
        for (part, size) in parts {
            image.whole &= !base.contains(&part);
            if Some(part) == config {
                self.configs.add(part, size);
            } else {
                self.layers.add(part, size);
            }
        }
        Ok(())
    }

    /// Lists all entries of `index`, and carries those for the platforms `wanted` (none: for all),
    /// with what attests them.
    fn add_children(
        &mut self,
        index: &Manifest,
        image: &mut Image,
        wanted: Option<&[Platform]>,
        depth: usize,
        seen: &mut HashSet<Digest>,
    ) -> Result<(), PlanError> {
        if depth > MAX_INDEX_DEPTH {
            return Err(PlanError::TooDeep(Box::new(image.name.clone())));
        }
        let chosen = self.chosen(index, &image.name, wanted)?;
        for entry in index.entries() {
            let own = chosen.get(&entry.digest);
            let child = match own {
                Some(_) if entry.is_attestation() => {
                    // A client that pulls an image asks for no attestation.
                    self.stored(&image.name, &entry.digest)?
                }
                Some(_) => Some(self.manifest(&image.name, &entry.digest)?),
                None => None,
            };
            image.children.push(Child {
                digest: entry.digest,
                platform: PlatformName::of_entry(entry),
                presence: if child.is_some() {
                    Presence::Here
                } else {
                    Presence::LeftOut
                },
            });
            let Some(child) = child.filter(|_| seen.insert(entry.digest)) else {
                continue;
            };
            self.carry(&child, image)?;
            if child.is_index() {
                let wanted = wanted.and(own).map(Vec::as_slice);
                self.add_children(&child, image, wanted, depth + 1, seen)?;
            } else if self.is_for_docker(entry) {
                image.docker = docker_image(&child);
            }
        }
        Ok(())
    }

    /// The entries to carry, each with the platforms it was chosen for; the attestations about them
    /// have none.
    fn chosen(
        &self,
        index: &Manifest,
        name: &ImageName,
        wanted: Option<&[Platform]>,
    ) -> Result<HashMap<Digest, Vec<Platform>>, PlanError> {
        let entries = index.entries();
        let mut chosen: HashMap<_, Vec<_>> = HashMap::new();
        let Some(wanted) = wanted else {
            return Ok(entries
                .iter()
                .map(|entry| (entry.digest, Vec::new()))
                .collect());
        };
        for platform in wanted {
            let entry = self.choose(index, name, platform)?;
            chosen
                .entry(entry.digest)
                .or_default()
                .push(platform.clone());
        }
        let about: HashSet<String> = chosen.keys().map(Digest::to_string).collect();
        let attests = |entry: &&Descriptor| {
            let attested = entry.attested();
            attested.is_some_and(|digest| about.contains(digest))
        };
        for entry in entries.iter().filter(attests) {
            chosen.entry(entry.digest).or_default();
        }
        Ok(chosen)
    }

    /// The entry that a client of this platform would get.
    fn choose<'i>(
        &self,
        index: &'i Manifest,
        name: &ImageName,
        wanted: &Platform,
    ) -> Result<&'i Descriptor, PlanError> {
        let matcher = Matcher::only(wanted);
        let choice = index.choice(&matcher);
        let choice = choice.map_err(|source| PlanError::Ambiguous {
            name: Box::new(name.clone()),
            digest: index.digest(),
            source,
        })?;
        let fits = match choice {
            Choice::Manifest(entry) | Choice::Index(entry) => Some(entry),
            // Its entry names no platform; its config decides.
            Choice::Unverified(entry) => {
                let image = self.manifest(name, &entry.digest)?;
                let platform = self.catalog.platform(&image);
                let fits = image.is_index() || platform.is_some_and(|one| matcher.matches(&one));
                fits.then_some(entry)
            }
            Choice::None => None,
        };
        fits.ok_or_else(|| PlanError::NoPlatform {
            name: Box::new(name.clone()),
            wanted: Box::new(wanted.clone()),
            offered: offered(index.entries()),
        })
    }

    fn is_for_docker(&self, entry: &Descriptor) -> bool {
        let platforms = self.selection.docker.as_ref().zip(entry.platform.as_ref());
        !entry.is_attestation()
            && platforms.is_some_and(|(wanted, platform)| Matcher::only(wanted).matches(platform))
    }
}

fn docker_image(manifest: &Manifest) -> Option<DockerImage> {
    let config = manifest
        .config()
        .filter(|_| manifest.media_type().is_image())?;
    Some(DockerImage {
        config: config.digest,
        layers: manifest.layers().iter().map(|layer| layer.digest).collect(),
    })
}
