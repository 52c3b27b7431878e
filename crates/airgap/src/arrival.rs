//! What becomes visible at the end of an import, read from the manifests that have arrived.

use std::collections::HashSet;

use bundle::{Lock, Presence};
use cache::{ArrivedManifest, Cache};
use manifest_model::{Digest, MAX_MANIFEST_BYTES, Manifest, MediaType, Tag};

use crate::{error::ImportError, rename::Destination};

/// The manifests of all images, each with what it opens to readers of its repository. Fails if one
/// names a blob that the lock does not list: a client would be left with a hole.
pub(crate) fn manifests(
    lock: &Lock,
    destinations: &[Destination<'_>],
    cache: &Cache,
) -> Result<Vec<ArrivedManifest>, ImportError> {
    let listed: HashSet<Digest> = lock.blobs.iter().map(|blob| blob.digest).collect();
    let mut arrived = Vec::new();
    for destination in destinations {
        let image = destination.image;
        let mut show = |digest: &Digest, media_type: Option<&str>, tag: Option<&Tag>| {
            let reader = Reader {
                cache,
                listed: &listed,
                destination,
            };
            arrived.push(reader.read(digest, media_type, tag)?);
            Ok::<_, ImportError>(())
        };
        for attached in &image.attached {
            let media_type = Some(attached.media_type.as_str());
            show(&attached.digest, media_type, attached.tag.as_ref())?;
        }
        for child in &image.children {
            if child.presence == Presence::Here {
                show(&child.digest, None, None)?;
            }
        }
        show(&image.digest, Some(&image.media_type), destination.tag)?;
    }
    Ok(arrived)
}

/// What indexes of the bundle list, and the bundle does not bring.
pub(crate) fn left_out(lock: &Lock) -> Vec<Digest> {
    let children = lock.images.iter().flat_map(|image| &image.children);
    let left_out = children.filter(|child| child.presence != Presence::Here);
    left_out.map(|child| child.digest).collect()
}

struct Reader<'a> {
    cache: &'a Cache,
    listed: &'a HashSet<Digest>,
    destination: &'a Destination<'a>,
}

impl Reader<'_> {
    fn read(
        &self,
        digest: &Digest,
        media_type: Option<&str>,
        tag: Option<&Tag>,
    ) -> Result<ArrivedManifest, ImportError> {
        let name = || self.destination.image.name.to_string();
        let media_type = media_type.map(parsed);
        let bytes = self.cache.peek_bytes(digest, MAX_MANIFEST_BYTES as u64)?;
        let manifest = bytes
            .and_then(|bytes| {
                Manifest::of_digest(bytes, media_type.as_ref(), digest.algorithm()).ok()
            })
            // A file that was here before the import may have been damaged since.
            .filter(|manifest| manifest.digest() == *digest)
            .ok_or_else(|| ImportError::NoManifest {
                name: name(),
                digest: *digest,
            })?;
        let mut brought = Vec::new();
        for link in manifest.links() {
            if self.listed.contains(&link.digest) {
                brought.push(link.digest);
            } else if !manifest.is_index() && !link.is_foreign() {
                let digest = link.digest;
                let name = name();
                return Err(ImportError::Hole { name, digest });
            }
        }
        let repository = self.destination.repository.clone();
        Ok(ArrivedManifest::new(
            repository,
            tag.cloned(),
            &manifest,
            brought,
        ))
    }
}

fn parsed(name: &str) -> MediaType {
    let Ok(media_type) = name.parse();
    media_type
}
