//! A cache directory as the source of a bundle.

use std::{
    collections::HashMap,
    error::Error,
    fs::{self, File},
    io,
};

use bundle::{Attached, Catalog, Contents};
use cache::{
    RepoKey,
    inspect::{self, Content, Directory, Kind},
};
use manifest_model::{Digest, ImageConfig, Manifest, MediaType, Platform, Reference, Tag};
use protocol::{image_name::ImageName, official_name::repository_key};

use crate::attached::attached;

/// The blobs, tags and attachments of a directory at one moment.
#[derive(Debug)]
pub struct Stored<'a> {
    directory: &'a Directory,
    tags: HashMap<(RepoKey, String), Digest>,
    manifests: HashMap<Digest, Option<MediaType>>,
    sizes: HashMap<Digest, u64>,
    attached: HashMap<(RepoKey, Digest), Vec<Attached>>,
}

impl<'a> Stored<'a> {
    /// Takes note of all manifests and tags.
    pub fn of(directory: &'a Directory, contents: &inspect::Contents) -> Self {
        let manifests: HashMap<_, _> = contents
            .blobs
            .iter()
            .filter(|content| content.kind != Kind::Blob)
            .map(|content| (content.digest, content.media_type.clone()))
            .collect();
        let tags = contents.tags.iter().map(|tagged| {
            let tag = (tagged.repository.clone(), tagged.tag.to_string());
            (tag, tagged.entry.digest)
        });
        let mut stored = Self {
            directory,
            tags: tags.collect(),
            manifests,
            sizes: contents
                .blobs
                .iter()
                .map(|content| (content.digest, content.size))
                .collect(),
            attached: HashMap::new(),
        };
        stored.note_referrers(&contents.blobs);
        stored.note_tags_of_subjects(contents);
        stored
    }

    /// The digest that `name` means here.
    pub fn resolve(&self, name: &ImageName) -> Option<Digest> {
        let host = name.host.as_ref()?;
        match &name.reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(tag) => {
                let key = (repository_key(host, &name.repository), tag.to_string());
                self.tags.get(&key).copied()
            }
        }
    }

    /// The size of a blob that was stored after the contents were listed; `None` if there is none.
    pub fn size_on_disk(&self, digest: &Digest) -> Option<u64> {
        let metadata = fs::metadata(self.directory.file(digest)).ok()?;
        Some(metadata.len())
    }

    fn read(&self, digest: &Digest) -> io::Result<Option<Manifest>> {
        let Some(media_type) = self.manifests.get(digest) else {
            return Ok(None);
        };
        let bytes = match fs::read(self.directory.file(digest)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let parsed = Manifest::of_digest(bytes.into(), media_type.as_ref(), digest.algorithm());
        Ok(parsed.ok().filter(|manifest| manifest.digest() == *digest))
    }

    /// Manifests with a `subject` refer to it.
    fn note_referrers(&mut self, blobs: &[Content]) {
        for content in blobs
            .iter()
            .filter(|content| content.kind == Kind::Manifest)
        {
            let Ok(Some(manifest)) = self.read(&content.digest) else {
                continue;
            };
            let Some(subject) = manifest.subject() else {
                continue;
            };
            let attached = attached(&manifest, subject.digest, None);
            for repository in &content.repositories {
                let key = (repository.clone(), subject.digest);
                self.attached.entry(key).or_default().push(attached.clone());
            }
        }
    }

    /// A tag such as `sha256-HEX.sig` is about the digest it spells.
    fn note_tags_of_subjects(&mut self, contents: &inspect::Contents) {
        for tagged in contents.tags.iter().filter(|tagged| tagged.stored) {
            let Some(subject) = subject(&tagged.tag) else {
                continue;
            };
            let Ok(Some(manifest)) = self.read(&tagged.entry.digest) else {
                continue;
            };
            let key = (tagged.repository.clone(), subject);
            let attached = attached(&manifest, subject, Some(tagged.tag.clone()));
            self.attached.entry(key).or_default().push(attached);
        }
    }
}

/// The digest of a tag in cosign's form, or of the fallback for referrers: `sha256-HEX[.KIND]`.
fn subject(tag: &Tag) -> Option<Digest> {
    let (digest, added) = tag.subject()?;
    (added.is_empty() || added.starts_with('.')).then_some(digest)
}

impl Catalog for Stored<'_> {
    fn size(&self, digest: &Digest) -> Option<u64> {
        self.sizes.get(digest).copied()
    }

    fn platform(&self, image: &Manifest) -> Option<Platform> {
        let config = image.config()?.digest;
        // A manifest may call a layer of any size its config.
        self.size(&config)
            .filter(|size| *size <= ImageConfig::MAX_BYTES as u64)?;
        let config = fs::read(self.directory.file(&config)).ok()?;
        ImageConfig::parse(&config).ok()?.platform().cloned()
    }

    fn manifest(&self, digest: &Digest) -> Result<Option<Manifest>, Box<dyn Error + Send + Sync>> {
        Ok(self.read(digest)?)
    }

    fn attached(
        &self,
        name: &ImageName,
        subject: &Digest,
    ) -> Result<Vec<Attached>, Box<dyn Error + Send + Sync>> {
        let repository = name
            .host
            .as_ref()
            .map(|host| repository_key(host, &name.repository));
        let found = repository.and_then(|repository| self.attached.get(&(repository, *subject)));
        let mut attached = found.cloned().unwrap_or_default();
        attached.sort_by_key(|attached| (attached.tag.is_some(), attached.digest));
        Ok(attached)
    }
}

impl Contents for Stored<'_> {
    fn open(&self, digest: &Digest) -> io::Result<File> {
        File::open(self.directory.file(digest))
    }
}
