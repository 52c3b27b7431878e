//! The names that can be removed, as people write them.

use std::str::FromStr;

use cache::inspect::Removal;
use config::Config;
use manifest_model::{Digest, Reference};
use protocol::image_name::{ImageName, NameError};
use pull::repository_key;

/// Something that can be removed: a digest wherever it is, or an image of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemovalName {
    /// A digest, in all repositories.
    Digest(Digest),
    /// An image by its name.
    Image(ImageName),
}

/// Why a text names nothing that could be removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}: write a digest, or an image as `docker pull` takes it")]
pub struct RemovalNameError {
    text: String,
    source: NameError,
}

impl RemovalName {
    /// What it means for an Archway with this configuration.
    pub fn removal(&self, config: &Config) -> Removal {
        let (host, image) = match self {
            Self::Digest(digest) => return Removal::Blob(*digest),
            Self::Image(image) => config.meant(image),
        };
        let repository = repository_key(&host, &image.repository);
        match image.reference {
            Reference::Tag(tag) => Removal::Tag(repository, tag),
            Reference::Digest(digest) => Removal::Manifest(repository, digest),
        }
    }
}

impl FromStr for RemovalName {
    type Err = RemovalNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A digest could be read as a repository with a tag.
        if let Ok(digest) = text.parse() {
            return Ok(Self::Digest(digest));
        }
        let image = text.parse();
        image.map(Self::Image).map_err(|source| RemovalNameError {
            text: text.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removal(text: &str) -> Removal {
        let config = "default_upstream = \"hub.test\"\n\
                      [upstream.\"hub.test\"]\n[upstream.\"docker.io\"]\n\
                      [[listener]]\naddress = \"127.0.0.1:5000\"\nnames = [\"mirror.test\"]";
        let config = Config::parse("archway.toml", config).unwrap();
        text.parse::<RemovalName>().unwrap().removal(&config)
    }

    #[test]
    fn a_name_is_a_digest_or_an_image_as_people_write_it() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let parsed: Digest = digest.parse().unwrap();
        assert_eq!(removal(&digest), Removal::Blob(parsed));
        let tag = |repository: &str, tag: &str| {
            let (host, name) = repository.split_once('/').unwrap();
            let key = repository_key(&host.parse().unwrap(), &name.parse().unwrap());
            Removal::Tag(key, tag.parse().unwrap())
        };
        for (text, repository, name) in [
            (
                "docker.io/library/hello:v1",
                "docker.io/library/hello",
                "v1",
            ),
            ("docker.io/hello", "docker.io/library/hello", "latest"),
            ("team/hello:v1", "hub.test/team/hello", "v1"),
            (
                "docker://hub.test/team/hello:v1",
                "hub.test/team/hello",
                "v1",
            ),
            (
                "127.0.0.1:5000/hub.test/team/hello:v1",
                "hub.test/team/hello",
                "v1",
            ),
            ("127.0.0.1:5000/team/hello:v1", "hub.test/team/hello", "v1"),
            ("mirror.test/team/hello:v1", "hub.test/team/hello", "v1"),
            (
                "mirror.test:5000/team/hello:v1",
                "hub.test/team/hello",
                "v1",
            ),
        ] {
            assert_eq!(removal(text), tag(repository, name), "{text}");
        }
        let by_digest = removal(&format!("hub.test/team/hello@{digest}"));
        let key = repository_key(&"hub.test".parse().unwrap(), &"team/hello".parse().unwrap());
        assert_eq!(by_digest, Removal::Manifest(key, parsed));
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for text in ["", "sha256:abc:", "a/b:v 1", "a/:v1", "A/b"] {
            assert!(text.parse::<RemovalName>().is_err(), "{text}");
        }
    }
}
