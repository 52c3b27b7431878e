//! The images that `--image` names for the checks.

use std::str::FromStr;

use manifest_model::{RepoName, Tag};
use protocol::host::Host;
use proxy::pull::official_name;

/// A tag, and its upstream if the user named one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
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
            // Docker's rule for a host.
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

impl Image {
    /// The upstream it names.
    pub(super) fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }
}

/// The images to ask `host` for: those that name it, else those that name no host.
pub(super) fn for_host(images: &[Image], host: &Host) -> Vec<Image> {
    let of = |wanted: Option<&Host>| -> Vec<Image> {
        let images = images.iter().filter(|image| image.host() == wanted);
        let official = images.map(|image| Image {
            repository: official_name(host, &image.repository),
            ..image.clone()
        });
        official.collect()
    };
    let named = of(Some(host));
    if named.is_empty() { of(None) } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_image_is_for_the_host_it_names_or_for_all_that_none_names() {
        let images: Vec<Image> = [
            "localhost:5000/team/app:v1",
            "localhost:5000/team/app:v2",
            "busybox:latest",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        for (host, expected) in [
            ("localhost:5000", &["team/app:v1", "team/app:v2"][..]),
            ("docker.io", &["library/busybox:latest"]),
            ("ghcr.io", &["busybox:latest"]),
        ] {
            let found = for_host(&images, &host.parse().unwrap());
            let found = found
                .iter()
                .map(|image| format!("{}:{}", image.repository, image.tag));
            assert_eq!(found.collect::<Vec<_>>(), expected, "{host}");
        }
        assert_eq!(for_host(&images[..1], &"ghcr.io".parse().unwrap()), []);
    }

    #[test]
    fn an_image_has_a_tag() {
        for text in ["team/app", "localhost:5000/team/app", "a b:c", ":v1", ""] {
            assert!(text.parse::<Image>().is_err(), "{text}");
        }
    }
}
