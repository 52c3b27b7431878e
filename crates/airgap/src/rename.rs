//! `--as`: images under another name than the bundle gives them.

use std::{collections::HashSet, str::FromStr};

use bundle::Image;
use manifest_model::{Reference, RepoKey, RepoName, Tag};
use protocol::{host::Host, image_name::ImageName, official_name::repository_key};

use crate::error::RenameError;

/// A registry and a repository in place of those in a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPlace {
    host: Host,
    repository: RepoName,
}

impl NewPlace {
    /// The name of an image in it.
    pub(crate) fn name(&self, reference: Reference) -> ImageName {
        ImageName {
            host: Some(self.host.clone()),
            repository: self.repository.clone(),
            reference,
        }
    }
}

impl FromStr for NewPlace {
    type Err = RenameError;

    fn from_str(text: &str) -> Result<Self, RenameError> {
        let name: ImageName = text.parse().map_err(|_| RenameError::Form)?;
        let host = name.host.ok_or(RenameError::Form)?;
        // A tag or a digest of its own would be dropped.
        let is_plain = text.ends_with(name.repository.as_str());
        let repository = name.repository;
        is_plain
            .then_some(Self { host, repository })
            .ok_or(RenameError::Form)
    }
}

/// Where an image of a bundle goes.
#[derive(Clone, Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) image: &'a Image,
    pub(crate) host: &'a Host,
    pub(crate) repository: RepoKey,
    pub(crate) tag: Option<&'a Tag>,
}

/// Where each image goes: to its own name, or to the new place.
pub(crate) fn destinations<'a>(
    images: &'a [Image],
    place: Option<&'a NewPlace>,
) -> Result<Vec<Destination<'a>>, RenameError> {
    if place.is_some() {
        let repositories: HashSet<_> = images
            .iter()
            .map(|image| (image.name.host.as_ref(), image.name.repository.as_str()))
            .collect();
        if repositories.len() > 1 {
            return Err(RenameError::Many(repositories.len()));
        }
    }
    let destination = |image: &'a Image| {
        let (host, repository) = match place {
            Some(place) => (&place.host, &place.repository),
            None => (image.name.host.as_ref()?, &image.name.repository),
        };
        Some(Destination {
            image,
            host,
            repository: repository_key(host, repository),
            tag: match &image.name.reference {
                Reference::Tag(tag) => Some(tag),
                Reference::Digest(_) => None,
            },
        })
    };
    // A lock has no name without a registry: its parser refuses them.
    Ok(images.iter().filter_map(destination).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_place_has_a_registry_and_neither_tag_nor_digest() {
        for text in ["registry.example/team/app", "localhost:5000/app"] {
            assert!(text.parse::<NewPlace>().is_ok(), "{text}");
        }
        let pinned = format!("registry.example/app@sha256:{}", "0".repeat(64));
        for text in ["app", "team/app", "registry.example/app:1", &pinned, ""] {
            assert_eq!(text.parse::<NewPlace>(), Err(RenameError::Form), "{text}");
        }
    }
}
