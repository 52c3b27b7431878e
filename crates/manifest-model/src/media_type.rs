//! Media types: the kinds of manifests.

use std::{convert::Infallible, fmt, str::FromStr};

/// The media type of a manifest, or of the content a descriptor points to.
///
/// Parsing drops parameters (`; charset=utf-8`), lower-cases and never fails: a type that is no
/// known kind of manifest becomes [`Other`](Self::Other). A parsed `Other` never holds the name of
/// another variant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// An OCI image index.
    OciIndex,
    /// An OCI image manifest; artifacts use it too.
    OciManifest,
    /// A Docker manifest list.
    DockerList,
    /// A Docker image manifest, version 2, schema 2.
    DockerManifest,
    /// A Docker image manifest, version 2, schema 1, without signatures.
    DockerSchema1,
    /// A Docker image manifest, version 2, schema 1, signed.
    DockerSchema1Signed,
    /// Any other type, in lower case and without parameters; empty where there was none.
    Other(Box<str>),
}

impl MediaType {
    /// Every known kind of manifest, in the order in which to ask an upstream for them.
    pub const MANIFESTS: [Self; 6] = [
        Self::OciIndex,
        Self::OciManifest,
        Self::DockerList,
        Self::DockerManifest,
        Self::DockerSchema1Signed,
        Self::DockerSchema1,
    ];

    /// The name as a header carries it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::OciIndex => "application/vnd.oci.image.index.v1+json",
            Self::OciManifest => "application/vnd.oci.image.manifest.v1+json",
            Self::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
            Self::DockerManifest => "application/vnd.docker.distribution.manifest.v2+json",
            Self::DockerSchema1 => "application/vnd.docker.distribution.manifest.v1+json",
            Self::DockerSchema1Signed => {
                "application/vnd.docker.distribution.manifest.v1+prettyjws"
            }
            Self::Other(name) => name,
        }
    }

    /// Whether it lists manifests for several platforms.
    pub fn is_index(&self) -> bool {
        matches!(self, Self::OciIndex | Self::DockerList)
    }

    /// Whether it is the manifest of one image, of a kind that today's clients run.
    pub fn is_image(&self) -> bool {
        matches!(self, Self::OciManifest | Self::DockerManifest)
    }

    /// Whether it is neither a known kind of manifest nor absent: the type of some artifact.
    pub(crate) fn is_artifact(&self) -> bool {
        matches!(self, Self::Other(name) if !name.is_empty())
    }

    /// Whether it is the type of an image's configuration.
    pub(crate) fn is_image_config(&self) -> bool {
        let types = [
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.docker.container.image.v1+json",
        ];
        types.contains(&self.as_str())
    }

    /// Whether it is a type of layers that must not be pushed to other registries.
    pub(crate) fn is_foreign(&self) -> bool {
        match self {
            Self::Other(name) => {
                name.starts_with("application/vnd.docker.image.rootfs.foreign.")
                    || name.starts_with("application/vnd.oci.image.layer.nondistributable.")
            }
            _ => false,
        }
    }

    /// Whether it is a manifest of schema 1, signed or not.
    pub(crate) fn is_schema1(&self) -> bool {
        matches!(self, Self::DockerSchema1 | Self::DockerSchema1Signed)
    }

    /// Whether the type identifies a format of manifests. `application/json` and `text/plain` do
    /// not: servers send them for any manifest.
    pub(crate) fn names_a_format(&self) -> bool {
        let is_of_names = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        match self {
            Self::Other(name) => name
                .strip_prefix("application/")
                .is_some_and(|name| name.ends_with("+json") && name.bytes().all(is_of_names)),
            _ => true,
        }
    }
}

impl FromStr for MediaType {
    type Err = Infallible;

    fn from_str(s: &str) -> Result<Self, Infallible> {
        let name = s
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let known = Self::MANIFESTS
            .into_iter()
            .find(|kind| kind.as_str() == name);
        Ok(known.unwrap_or_else(|| Self::Other(name.into_boxed_str())))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> MediaType {
        text.parse().unwrap()
    }

    #[test]
    fn display_is_the_inverse_of_parsing() {
        for kind in MediaType::MANIFESTS {
            assert_eq!(parse(kind.as_str()), kind);
            assert_eq!(kind.to_string(), kind.as_str());
        }
        assert_eq!(parse("text/plain").to_string(), "text/plain");
    }

    #[test]
    fn parameters_case_and_space_do_not_matter() {
        assert_eq!(
            parse(" Application/vnd.OCI.image.index.v1+json; charset=utf-8"),
            MediaType::OciIndex
        );
        assert_eq!(
            parse("text/plain;charset=utf-8"),
            MediaType::Other("text/plain".into())
        );
        assert_eq!(parse(""), MediaType::Other("".into()));
    }

    #[test]
    fn every_kind_is_at_most_one_thing() {
        for kind in MediaType::MANIFESTS {
            let is = [kind.is_index(), kind.is_image(), kind.is_schema1()];
            assert_eq!(is.iter().filter(|&&is| is).count(), 1, "{kind}");
        }
        let other = parse("application/vnd.oci.artifact.manifest.v1+json");
        assert!(!other.is_index() && !other.is_image() && other.names_a_format());
    }

    #[test]
    fn generic_types_name_no_format() {
        for text in [
            "",
            "application/json",
            "text/plain",
            "application/octet-stream",
            "binary/octet-stream",
            "text/html",
            "text/html+json",
            "application/xhtml+xml",
            "application/a\r\nb+json",
        ] {
            assert!(!parse(text).names_a_format(), "{text}");
        }
    }
}
