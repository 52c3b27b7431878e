//! One image with all that it consists of, as far as its manifests are stored.

use std::collections::BTreeMap;

use admin_api::{ImageDetail, LinkRole, LinkedBlob, ManifestDetail};
use cache::{Cache, CacheError};
use manifest_model::{Descriptor, Manifest, Platform};
use serde::Deserialize;

use super::{eviction::eviction_class, image::Image, stored::stored};

/// Manifests that are told.
const MAX_MANIFESTS: usize = 64;

/// Links of one manifest that are told.
const MAX_LINKS: usize = 512;

/// Annotations of one manifest that are told, and the longest value, in bytes.
const MAX_ANNOTATIONS: usize = 64;
const MAX_ANNOTATION: usize = 1024;

/// Tags of the repository that are looked through, and those that are told.
const MAX_TAGS: usize = 2000;
const MAX_SAME: usize = 50;

/// The part of a manifest's JSON that only people read.
#[derive(Deserialize)]
struct Annotated {
    #[serde(default)]
    annotations: Option<BTreeMap<String, Option<String>>>,
}

/// Tells of an image. Blocks.
pub fn detail(cache: &Cache, image: Image) -> Result<ImageDetail<Image>, CacheError> {
    let mut manifests = Vec::new();
    let mut next = vec![image.digest];
    while let Some(digest) = next.pop() {
        let is_known = manifests
            .iter()
            .any(|known: &ManifestDetail| known.digest == digest);
        if is_known || manifests.len() == MAX_MANIFESTS {
            continue;
        }
        let Some(manifest) = stored(cache, &digest)? else {
            continue;
        };
        let entries = manifest.entries().iter().rev();
        next.extend(entries.map(|entry| entry.digest));
        manifests.push(told(cache, &image, &manifest)?);
    }
    Ok(ImageDetail {
        same_digest: same_digest(cache, &image)?,
        image,
        manifests,
    })
}

fn told(cache: &Cache, image: &Image, manifest: &Manifest) -> Result<ManifestDetail, CacheError> {
    let digest = manifest.digest();
    let mut parts = image.parts.iter();
    let part = parts.find(|part| part.digest == digest);
    let platform = part.and_then(|part| part.platform.as_ref());
    let config = manifest.config().map(|config| config.digest);
    let mut links = Vec::new();
    for link in manifest.links().take(MAX_LINKS) {
        let role = if manifest.is_index() {
            LinkRole::Manifest
        } else if Some(link.digest) == config {
            LinkRole::Config
        } else {
            LinkRole::Layer
        };
        links.push(linked(cache, link, role)?);
    }
    Ok(ManifestDetail {
        digest,
        media_type: manifest.media_type().as_str().to_owned(),
        size: manifest.bytes().len() as u64,
        platform: platform.map(ToString::to_string),
        used: cache.ranked(&digest)?.map(|blob| blob.used.into()),
        annotations: annotations(manifest),
        links,
    })
}

fn linked(cache: &Cache, link: &Descriptor, role: LinkRole) -> Result<LinkedBlob, CacheError> {
    let is_stored = cache.peek_size(&link.digest)?.is_some();
    let ranked = if is_stored {
        cache.ranked(&link.digest)?
    } else {
        None
    };
    Ok(LinkedBlob {
        role,
        digest: link.digest,
        media_type: link.media_type.as_str().to_owned(),
        size: link.size,
        stored: is_stored,
        class: ranked.and_then(|blob| eviction_class(blob.class)),
        used: ranked.map(|blob| blob.used.into()),
        platform: link.platform.as_ref().map(Platform::to_string),
    })
}

fn annotations(manifest: &Manifest) -> BTreeMap<String, String> {
    let annotated = serde_json::from_slice::<Annotated>(manifest.bytes()).ok();
    let all = annotated.and_then(|annotated| annotated.annotations);
    let told = all.unwrap_or_default().into_iter();
    let told = told.filter_map(|(key, value)| {
        let mut value = value?;
        value.truncate(value.floor_char_boundary(MAX_ANNOTATION));
        Some((key, value))
    });
    told.take(MAX_ANNOTATIONS).collect()
}

/// The other tags that point at the same digest.
fn same_digest(cache: &Cache, image: &Image) -> Result<Vec<String>, CacheError> {
    let of = format!("{}/{}", image.upstream, image.repository);
    let rows = cache.tags(Some(&format!("{of}:")), MAX_TAGS)?;
    let rows = rows
        .iter()
        .take_while(|row| row.repository.to_string() == of);
    let same =
        rows.filter(|row| row.entry.digest == image.digest && Some(&row.tag) != image.tag.as_ref());
    let names = same.map(|row| format!("{of}:{}", row.tag));
    Ok(names.take(MAX_SAME).collect())
}
