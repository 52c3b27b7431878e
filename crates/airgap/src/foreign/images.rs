//! The images of a layout and the blobs they need, as a lock has them.

use std::collections::{HashMap, HashSet};

use bundle::{Child, Image, Lock, PlatformName, Presence, gathered};
use manifest_model::{
    Descriptor, Digest, MAX_INDEX_DEPTH, MAX_MANIFEST_BYTES, Manifest, MediaType,
};
use protocol::image_name::ImageName;
use serde::Deserialize;

use super::{Entries, ForeignError, names};
use crate::{attached::attached, rename::NewPlace};

/// `index.json`.
#[derive(Deserialize)]
struct Index {
    manifests: Vec<Listed>,
}

/// What it lists.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    digest: Digest,
    media_type: Option<String>,
    size: u64,
    #[serde(default)]
    annotations: Option<HashMap<String, String>>,
}

/// The lock of the images, and of all their blobs: manifests, then configs, then layers.
pub(super) fn read(entries: &Entries, place: Option<&NewPlace>) -> Result<Lock, ForeignError> {
    let index: Index = serde_json::from_slice(&entries.index()?)?;
    let mut gathering = Gathering {
        entries,
        parts: Default::default(),
        known: HashSet::new(),
    };
    let mut images: Vec<Image> = Vec::new();
    let mut taken = HashSet::new();
    let mut nameless = Vec::new();
    for listed in &index.manifests {
        let none = HashMap::new();
        let annotations = listed.annotations.as_ref().unwrap_or(&none);
        let manifest = gathering.root(listed)?;
        if !names::is_named(annotations)
            && let Some(subject) = manifest.subject()
        {
            // Read again below: nothing bounds the sum of them.
            nameless.push((subject.digest, listed));
            continue;
        }
        let name = names::of(annotations, listed.digest, place);
        let name = name.ok_or(ForeignError::NoName {
            digest: listed.digest,
        })?;
        if !taken.insert(name.to_string()) {
            let name = name.to_string();
            return Err(ForeignError::SameName { name });
        }
        images.push(gathering.image(name, &manifest, listed.media_type.as_deref())?);
    }
    for (subject, listed) in nameless {
        // What is attached to nothing that is here would never be asked for.
        let is_about = |image: &&mut Image| image.needs().any(|digest| digest == subject);
        let Some(image) = images.iter_mut().find(is_about) else {
            continue;
        };
        let mut known = image.attached.iter();
        if !known.any(|attached| attached.digest == listed.digest) {
            let manifest = gathering.root(listed)?;
            gathering.carry(&image.name.to_string(), &manifest)?;
            image.attached.push(attached(&manifest, subject, None));
        }
    }
    if images.is_empty() {
        return Err(ForeignError::Empty);
    }
    let [manifests, configs, layers] = gathering.parts;
    let blobs = [manifests, configs, layers].concat();
    Ok(gathered(images, blobs)?)
}

/// The blobs found so far.
struct Gathering<'a> {
    entries: &'a Entries,
    parts: [Vec<(Digest, u64)>; 3],
    known: HashSet<Digest>,
}

impl Gathering<'_> {
    fn root(&self, listed: &Listed) -> Result<Manifest, ForeignError> {
        let media_type = listed.media_type.as_deref();
        let found = self.manifest(&listed.digest, media_type)?;
        let manifest = found.ok_or(ForeignError::Missing {
            digest: listed.digest,
            name: "index.json".to_owned(),
        })?;
        check_size(&listed.digest, manifest.bytes().len() as u64, listed.size)?;
        Ok(manifest)
    }

    /// A manifest with the digest it is called by; `None` if it is not here.
    fn manifest(
        &self,
        digest: &Digest,
        media_type: Option<&str>,
    ) -> Result<Option<Manifest>, ForeignError> {
        let Some(bytes) = self.entries.blob(digest, MAX_MANIFEST_BYTES as u64)? else {
            return Ok(None);
        };
        let media_type = media_type.map(|name| {
            let Ok(media_type) = name.parse::<MediaType>();
            media_type
        });
        let parsed = Manifest::parse(bytes.into(), media_type.as_ref(), digest.algorithm());
        let parsed = parsed.ok().filter(|manifest| manifest.digest() == *digest);
        parsed.map(Some).ok_or(ForeignError::NoManifest(*digest))
    }

    fn image(
        &mut self,
        name: ImageName,
        manifest: &Manifest,
        media_type: Option<&str>,
    ) -> Result<Image, ForeignError> {
        let text = name.to_string();
        let mut children = Vec::new();
        if manifest.is_index() {
            self.add(0, manifest.digest(), manifest.bytes().len() as u64);
            let mut known = HashMap::new();
            if !self.add_children(manifest, &mut children, 0, &mut known)? {
                let first = manifest.entries().first();
                return Err(ForeignError::Missing {
                    digest: first.map_or(manifest.digest(), |entry| entry.digest),
                    name: text,
                });
            }
        } else {
            self.carry(&text, manifest)?;
        }
        let own = manifest.media_type().as_str();
        Ok(Image {
            attached: Vec::new(),
            children,
            digest: manifest.digest(),
            docker: None,
            media_type: media_type.unwrap_or(own).to_owned(),
            name,
            size: manifest.bytes().len() as u64,
            whole: true,
        })
    }

    /// Lists the entries of an index. Returns whether any of them is here, with all it needs. An
    /// entry that is `known` from another place is not read again: indexes that name each other a
    /// thousand times would never end.
    fn add_children(
        &mut self,
        index: &Manifest,
        children: &mut Vec<Child>,
        depth: usize,
        known: &mut HashMap<Digest, bool>,
    ) -> Result<bool, ForeignError> {
        let mut any = false;
        for entry in index.entries() {
            let place = children.len();
            children.push(Child {
                digest: entry.digest,
                platform: PlatformName::of_entry(entry),
                presence: Presence::LeftOut,
            });
            let is_here = match known.get(&entry.digest) {
                Some(&is_here) => is_here,
                None => self.add_child(entry, children, depth, known)?,
            };
            known.insert(entry.digest, is_here);
            if is_here {
                any = true;
                children[place].presence = Presence::Here;
            }
        }
        Ok(any)
    }

    /// Takes note of an entry of an index, if it is here with all it needs. Returns whether it is.
    fn add_child(
        &mut self,
        entry: &Descriptor,
        children: &mut Vec<Child>,
        depth: usize,
        known: &mut HashMap<Digest, bool>,
    ) -> Result<bool, ForeignError> {
        let media_type = entry.media_type.as_str();
        let Some(child) = self.manifest(&entry.digest, Some(media_type))? else {
            return Ok(false);
        };
        let size = child.bytes().len() as u64;
        check_size(&entry.digest, size, entry.size)?;
        if !child.is_index() {
            let is_here = self.missing(&child)?.is_none();
            if is_here {
                self.note(&child);
            }
            return Ok(is_here);
        }
        let is_here =
            depth < MAX_INDEX_DEPTH && self.add_children(&child, children, depth + 1, known)?;
        if is_here {
            self.add(0, entry.digest, size);
        }
        Ok(is_here)
    }

    /// The first blob that a manifest names and that is not here.
    fn missing(&self, manifest: &Manifest) -> Result<Option<Digest>, ForeignError> {
        for link in needed(manifest) {
            match self.entries.size(&link.digest)? {
                Some(found) => check_size(&link.digest, found, link.size)?,
                None => return Ok(Some(link.digest)),
            }
        }
        Ok(None)
    }

    /// Takes note of a manifest of one platform with its config and layers, all of which must be here.
    fn carry(&mut self, name: &str, manifest: &Manifest) -> Result<(), ForeignError> {
        if let Some(digest) = self.missing(manifest)? {
            let name = name.to_owned();
            return Err(ForeignError::Missing { digest, name });
        }
        self.note(manifest);
        Ok(())
    }

    /// Takes note of a manifest of one platform with its config and layers.
    fn note(&mut self, manifest: &Manifest) {
        self.add(0, manifest.digest(), manifest.bytes().len() as u64);
        let config = manifest.config().map(|config| config.digest);
        for link in needed(manifest) {
            let part = if Some(link.digest) == config { 1 } else { 2 };
            self.add(part, link.digest, link.size);
        }
    }

    fn add(&mut self, part: usize, digest: Digest, size: u64) {
        if self.known.insert(digest) {
            self.parts[part].push((digest, size));
        }
    }
}

/// What a manifest of one platform needs, as far as registries have it.
fn needed(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    let subject = manifest.subject().map(|subject| subject.digest);
    let links = manifest.links();
    links.filter(move |link| !link.is_foreign() && Some(link.digest) != subject)
}

fn check_size(digest: &Digest, found: u64, expected: u64) -> Result<(), ForeignError> {
    if found != expected {
        return Err(ForeignError::Size {
            digest: *digest,
            found,
            expected,
        });
    }
    Ok(())
}
