//! The image that a check asks for.

use std::str::FromStr;

use manifest_model::{RepoName, Tag};

use crate::{protocol::host::Host, pull::official_name};

/// A tag, and perhaps the upstream it is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    host: Option<Host>,
    pub(super) repository: RepoName,
    pub(super) tag: Tag,
}

impl FromStr for Image {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, tag) = text
            .rsplit_once(':')
            .filter(|(_, tag)| !tag.contains('/'))
            .ok_or("the tag is missing")?;
        let (host, name) = match name.split_once('/') {
            // What docker takes for a host.
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
                let host: Host = host.parse().map_err(|error| format!("{host}: {error}"))?;
                (Some(host.canonical()), rest)
            }
            _ => (None, name),
        };
        Ok(Self {
            host,
            repository: name.parse().map_err(|error| format!("{name}: {error}"))?,
            tag: tag.parse().map_err(|error| format!("{tag}: {error}"))?,
        })
    }
}

/// The image to ask `host` for: the one that names it, else the one that names no host.
pub(super) fn for_host(images: &[Image], host: &Host) -> Option<Image> {
    let of = |wanted: Option<&Host>| images.iter().find(|image| image.host.as_ref() == wanted);
    let image = of(Some(host)).or_else(|| of(None))?;
    Some(Image {
        repository: official_name(host, &image.repository),
        ..image.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_for_the_host_it_names_or_for_all() {
        let images: Vec<Image> = ["localhost:5000/team/app:v1", "busybox:latest"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        for (host, repository, tag) in [
            ("localhost:5000", "team/app", "v1"),
            ("docker.io", "library/busybox", "latest"),
            ("ghcr.io", "busybox", "latest"),
        ] {
            let found = for_host(&images, &host.parse().unwrap()).unwrap();
            assert_eq!(found.repository.as_str(), repository);
            assert_eq!(found.tag.to_string(), tag);
        }
        assert_eq!(for_host(&images[..1], &"ghcr.io".parse().unwrap()), None);
    }

    #[test]
    fn an_image_has_a_tag() {
        for text in ["team/app", "localhost:5000/team/app", "a b:c", ":v1", ""] {
            assert!(text.parse::<Image>().is_err(), "{text}");
        }
    }
}
