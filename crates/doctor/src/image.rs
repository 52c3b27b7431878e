//! The tag that a check asks for.

use std::str::FromStr;

use manifest_model::{ParseError, RepoName, Tag};
use protocol::{
    host::{Host, HostError, looks_like_host},
    official_name::official_name,
};

/// A tag in a repository, perhaps of one upstream: `[HOST/]REPO:TAG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageTag {
    host: Option<Host>,
    pub(super) repository: RepoName,
    pub(super) tag: Tag,
}

/// Why a text is not an image with a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageTagError {
    /// There is no colon behind the last slash.
    #[error("the tag is missing: write [HOST/]REPO:TAG")]
    NoTag,
    /// The host is malformed.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The repository or the tag is malformed.
    #[error(transparent)]
    Word(#[from] ParseError),
}

impl FromStr for ImageTag {
    type Err = ImageTagError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, tag) = text
            .rsplit_once(':')
            .filter(|(_, tag)| !tag.contains('/'))
            .ok_or(ImageTagError::NoTag)?;
        let (host, name) = match name.split_once('/') {
            Some((host, rest)) if looks_like_host(host) => {
                (Some(host.parse::<Host>()?.canonical()), rest)
            }
            _ => (None, name),
        };
        Ok(Self {
            host,
            repository: name.parse()?,
            tag: tag.parse()?,
        })
    }
}

impl ImageTag {
    /// The upstream, where one is named.
    pub(super) fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }
}

/// The tags to ask `host` for: those that name it, else those without a host.
pub(super) fn for_host(images: &[ImageTag], host: &Host) -> Vec<ImageTag> {
    let of = |wanted: Option<&Host>| -> Vec<ImageTag> {
        let images = images.iter().filter(|image| image.host() == wanted);
        let official = images.map(|image| ImageTag {
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
        let images: Vec<ImageTag> = [
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
            assert!(text.parse::<ImageTag>().is_err(), "{text}");
        }
    }
}
