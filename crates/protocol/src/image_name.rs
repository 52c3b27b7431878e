//! Image names as people write them: `[HOST/]REPOSITORY[:TAG][@DIGEST]`.

use std::{fmt, str::FromStr};

use manifest_model::{ParseError, Reference, RepoName};

use crate::host::{Host, HostError, looks_like_host};

/// The tag that a name without tag and digest means.
const LATEST: &str = "latest";

/// What tools write before a name, and browsers before an address.
const SCHEMES: [&str; 4] = ["docker://", "oci://", "https://", "http://"];

/// The name of an image, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    /// The registry. A name without one means the default upstream of the configuration.
    pub host: Option<Host>,
    /// The repository at the registry.
    pub repository: RepoName,
    /// The digest where the name has one, else the tag: every client lets the digest win.
    pub reference: Reference,
}

/// Why a text is not an image name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The registry is malformed.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The repository, tag or digest is malformed.
    #[error(transparent)]
    Word(#[from] ParseError),
}

impl FromStr for ImageName {
    type Err = NameError;

    /// A scheme before it is left out, as people paste it with one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut schemes = SCHEMES.iter();
        let text = schemes
            .find_map(|scheme| text.strip_prefix(scheme))
            .unwrap_or(text);
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let (host, path) = match name.split_once('/') {
            Some((first, rest)) if looks_like_host(first) => {
                (Some(first.parse::<Host>()?.canonical()), rest)
            }
            _ => (None, name),
        };
        let (repository, tag) = path.rsplit_once(':').unwrap_or((path, LATEST));
        Ok(Self {
            host,
            repository: repository.parse()?,
            reference: match digest {
                Some(digest) => Reference::Digest(digest.parse()?),
                None => Reference::Tag(tag.parse()?),
            },
        })
    }
}

impl ImageName {
    /// The name behind its host, which may begin with a host of its own: what
    /// `127.0.0.1:5000/ghcr.io/a/b` means to whoever listens there.
    #[must_use]
    pub fn behind_host(&self) -> Self {
        let bare = Self {
            host: None,
            ..self.clone()
        };
        bare.to_string().parse().unwrap_or(bare)
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(formatter, "{host}/")?;
        }
        let mark = match self.reference {
            Reference::Tag(_) => ':',
            Reference::Digest(_) => '@',
        };
        write!(formatter, "{}{mark}{}", self.repository, self.reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_docker_reads_it() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let by_digest = format!("quay.io/a/b@{digest}");
        for (text, expected) in [
            ("hello", "hello:latest"),
            ("team/hello:v1", "team/hello:v1"),
            ("localhost/hello", "localhost/hello:latest"),
            ("host:5000/hello:v1", "host:5000/hello:v1"),
            (
                "index.docker.io/library/hello",
                "docker.io/library/hello:latest",
            ),
            (&format!("quay.io/a/b:v1@{digest}"), &by_digest),
            ("docker://quay.io/a/b:v1", "quay.io/a/b:v1"),
            (
                "https://localhost:5000/hello",
                "localhost:5000/hello:latest",
            ),
        ] {
            let name: ImageName = text.parse().unwrap();
            assert_eq!(name.to_string(), expected);
            assert_eq!(expected.parse::<ImageName>().unwrap(), name);
        }
    }

    #[test]
    fn behind_a_host_another_may_stand() {
        let behind = |text: &str| text.parse::<ImageName>().unwrap().behind_host().to_string();
        assert_eq!(behind("127.0.0.1:5000/ghcr.io/a/b:v1"), "ghcr.io/a/b:v1");
        assert_eq!(behind("127.0.0.1:5000/a/b"), "a/b:latest");
        assert_eq!(behind("a/b"), "a/b:latest");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "Hello", "a//b", "a:b:c", "a@sha256:00", "a..b.c:x/d"] {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
    }
}
