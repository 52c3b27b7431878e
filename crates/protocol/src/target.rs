//! What a request path names.
//!
//! Clients build all their URLs from what their configuration gives them, so the upstream and the platform may stand before
//! `/v2` (containerd) or after it (everything else), and repository names hold slashes. One pure function reads all of it:
//!
//! ```text
//! [/platform/P][/HOST]/v2/[HOST/]NAME/(manifests|blobs|referrers)/REFERENCE
//! [/platform/P][/HOST]/v2/[HOST/]NAME/tags/list
//!                     /v2/[platform/P/][HOST/]NAME/...
//! ```
//!
//! Repositories are called `platform/...` too: after `/v2/` it is a hint only where it can hardly be a name.

use manifest_model::{Digest, ParseError, Platform, Reference, RepoName};

use super::{
    host::{Host, HostError, looks_like_host},
    wish::Wish,
};

/// The endpoint meant, without the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/v2/`
    Ping,
    /// A manifest or an index.
    Manifest(RepoName, Reference),
    /// A blob.
    Blob(RepoName, Digest),
    /// The list of a repository's tags.
    Tags(RepoName),
    /// What refers to a manifest.
    Referrers(RepoName, Digest),
    /// The endpoint where pushing a blob begins; a proxy only says where to push instead.
    Uploads(RepoName),
}

impl Target {
    /// The repository, except for the ping.
    pub fn repository(&self) -> Option<&RepoName> {
        match self {
            Self::Ping => None,
            Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Tags(name)
            | Self::Referrers(name, _)
            | Self::Uploads(name) => Some(name),
        }
    }
}

/// A request's path, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The platform named in the path, still in its path form.
    pub platform: Option<String>,
    /// The upstream named in the path.
    pub host: Option<Host>,
    /// What is asked of it.
    pub target: Target,
}

/// Why a path names nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is no path of the registry API.
    #[error("no such endpoint")]
    Unknown,
    /// No platform is named where the path announces it.
    #[error("the path must name a platform after `/platform/`, as in /platform/linux-arm64/v2/")]
    Platform,
    /// The part where an upstream is expected is no host name.
    #[error("the path names no valid upstream host")]
    Host(#[source] HostError),
    /// The repository name breaks the spec's grammar.
    #[error(transparent)]
    Name(ParseError),
    /// The reference is neither a tag nor a digest.
    #[error(transparent)]
    Reference(ParseError),
    /// The digest is malformed.
    #[error(transparent)]
    Digest(ParseError),
}

/// Takes a path apart. `namespace` is the upstream of the `ns` query, if given: a path that repeats it is read without it.
pub fn parse(path: &str, namespace: Option<&Host>) -> Result<Address, PathError> {
    let rest = path.strip_prefix('/').ok_or(PathError::Unknown)?;
    let (before, after) = split_at_version(rest)?;
    let (outer_platform, outer_host) = outer_parts(before)?;
    // A client whose configuration says something before `/v2` says it there: what follows is the repository's own.
    let (inner_platform, after) = match before {
        "" => inner_platform(after, namespace),
        _ => (None, after),
    };
    let (inner_host, after) = match (&outer_host, leading_host(after)) {
        (Some(_), _) | (None, None) => (None, after),
        (None, Some((host, name))) => match namespace {
            Some(namespace) if !is_named(namespace, host) => (None, after),
            _ => (Some(host.parse().map_err(PathError::Host)?), name),
        },
    };
    Ok(Address {
        platform: outer_platform.or(inner_platform).map(str::to_owned),
        host: outer_host.or(inner_host),
        target: target(after)?,
    })
}

/// Splits at the path segment `v2`: the first one, since no host and no platform is called so.
fn split_at_version(rest: &str) -> Result<(&str, &str), PathError> {
    if rest == "v2" {
        return Ok(("", ""));
    }
    if let Some(after) = rest.strip_prefix("v2/") {
        return Ok(("", after));
    }
    match rest.split_once("/v2/") {
        Some(parts) => Ok(parts),
        None => rest
            .strip_suffix("/v2")
            .map(|before| (before, ""))
            .ok_or(PathError::Unknown),
    }
}

/// `[platform/P][/HOST]`
fn outer_parts(before: &str) -> Result<(Option<&str>, Option<Host>), PathError> {
    let (platform, host) = match before.strip_prefix("platform/") {
        None => (None, before),
        Some(rest) => {
            let (platform, host) = rest.split_once('/').unwrap_or((rest, ""));
            (Some(platform), host)
        }
    };
    if platform == Some("") || before == "platform" {
        return Err(PathError::Platform);
    }
    let host = if host.is_empty() {
        None
    } else {
        Some(host.parse().map_err(PathError::Host)?)
    };
    Ok((platform, host))
}

/// `[platform/P/]REST`, where `P` is `all` or of a known architecture and the rest is an endpoint of its own. With `ns` the rest
/// repeats the upstream, too: who names it in the query writes nothing into the path but what its configuration put there.
///
/// `/v2/platform/arm64/web/...` alone could be either, and is a hint. A repository called so is reached through its upstream's name.
fn inner_platform<'a>(after: &'a str, namespace: Option<&Host>) -> (Option<&'a str>, &'a str) {
    let Some(rest) = after.strip_prefix("platform/") else {
        return (None, after);
    };
    let (platform, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, name) = leading_host(rest).map_or((None, rest), |(host, name)| (Some(host), name));
    let is_meant = namespace.is_none_or(|meant| host.is_some_and(|host| is_named(meant, host)))
        && target(name) != Err(PathError::Unknown);
    if is_meant && is_platform(platform) {
        (Some(platform), rest)
    } else {
        (None, after)
    }
}

/// Whether this is a platform rather than a piece of a repository's name.
fn is_platform(part: &str) -> bool {
    Wish::from_path_form(part)
        .is_ok_and(|wish| wish.platform().is_none_or(Platform::has_known_architecture))
}

/// Whether `part` of a path is the name of `host`, or one of its names.
fn is_named(host: &Host, part: &str) -> bool {
    part.parse::<Host>()
        .is_ok_and(|named| named.canonical() == *host)
}

/// `HOST/NAME...`, where the first part looks like a host by Docker's rule.
fn leading_host(after: &str) -> Option<(&str, &str)> {
    let (first, rest) = after.split_once('/').unwrap_or((after, ""));
    looks_like_host(first).then_some((first, rest))
}

/// The endpoint words are sought from the right: a repository name may hold them too.
fn target(after: &str) -> Result<Target, PathError> {
    if after.is_empty() {
        return Ok(Target::Ping);
    }
    if let Some(name) = after.strip_suffix("/tags/list") {
        return Ok(Target::Tags(name.parse().map_err(PathError::Name)?));
    }
    let (rest, last) = after.rsplit_once('/').ok_or(PathError::Unknown)?;
    let (name, endpoint) = rest.rsplit_once('/').ok_or(PathError::Unknown)?;
    match endpoint {
        "manifests" => {
            let name = name.parse().map_err(PathError::Name)?;
            Ok(Target::Manifest(
                name,
                last.parse().map_err(PathError::Reference)?,
            ))
        }
        "blobs" if last == "uploads" => Ok(Target::Uploads(name.parse().map_err(PathError::Name)?)),
        // The endpoint with a slash behind it, or one session there.
        "uploads" => {
            let name = name.strip_suffix("/blobs").ok_or(PathError::Unknown)?;
            Ok(Target::Uploads(name.parse().map_err(PathError::Name)?))
        }
        "blobs" => {
            let name = name.parse().map_err(PathError::Name)?;
            Ok(Target::Blob(name, last.parse().map_err(PathError::Digest)?))
        }
        "referrers" => {
            let name = name.parse().map_err(PathError::Name)?;
            Ok(Target::Referrers(
                name,
                last.parse().map_err(PathError::Digest)?,
            ))
        }
        _ => Err(PathError::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn named(path: &str) -> (Option<String>, Option<String>, Target) {
        let address = parse(path, None).unwrap();
        (
            address.platform,
            address.host.map(|host| host.to_string()),
            address.target,
        )
    }

    fn manifest(name: &str, reference: &str) -> Target {
        Target::Manifest(name.parse().unwrap(), reference.parse().unwrap())
    }

    #[test]
    fn the_plain_form_names_neither_upstream_nor_platform() {
        assert_eq!(named("/v2/"), (None, None, Target::Ping));
        assert_eq!(named("/v2"), (None, None, Target::Ping));
        assert_eq!(
            named("/v2/library/hello/manifests/latest"),
            (None, None, manifest("library/hello", "latest"))
        );
        let blob = Target::Blob("a/b/c".parse().unwrap(), DIGEST.parse().unwrap());
        assert_eq!(
            named(&format!("/v2/a/b/c/blobs/{DIGEST}")),
            (None, None, blob)
        );
        assert_eq!(
            named("/v2/a/tags/list"),
            (None, None, Target::Tags("a".parse().unwrap()))
        );
    }

    #[test]
    fn an_upstream_may_stand_before_or_after_the_version() {
        for path in [
            "/quay.io/v2/org/app/manifests/1",
            "/v2/quay.io/org/app/manifests/1",
        ] {
            assert_eq!(
                named(path),
                (None, Some("quay.io".into()), manifest("org/app", "1")),
                "{path}"
            );
        }
        assert_eq!(
            named("/v2/127.0.0.1:5000/app/manifests/1").1.as_deref(),
            Some("127.0.0.1:5000")
        );
        assert_eq!(named("/quay.io/v2/").2, Target::Ping);
        assert_eq!(
            named("/v2/quay.io/"),
            (None, Some("quay.io".into()), Target::Ping)
        );
    }

    #[test]
    fn a_platform_combines_with_every_form() {
        for path in [
            "/platform/linux-arm64/quay.io/v2/app/manifests/1",
            "/v2/platform/linux-arm64/quay.io/app/manifests/1",
            "/platform/linux-arm64/v2/quay.io/app/manifests/1",
        ] {
            let expected = (
                Some("linux-arm64".into()),
                Some("quay.io".into()),
                manifest("app", "1"),
            );
            assert_eq!(named(path), expected, "{path}");
        }
        assert_eq!(
            named("/platform/linux-arm64/v2/").0.as_deref(),
            Some("linux-arm64")
        );
        for path in ["/v2/platform/linux-arm64/", "/v2/platform/linux-arm64"] {
            assert_eq!(
                named(path),
                (Some("linux-arm64".into()), None, Target::Ping)
            );
        }
        let docker = "docker.io".parse().unwrap();
        let path = "/v2/platform/all/registry-1.docker.io/library/app/manifests/1";
        let repeated = parse(path, Some(&docker)).unwrap();
        assert_eq!(repeated.platform.as_deref(), Some("all"));
        assert_eq!(repeated.target, manifest("library/app", "1"));
    }

    #[test]
    fn a_repository_may_be_called_platform() {
        for name in [
            "platform",
            "platform/arm64",
            "platform/go-api",
            "platform/linux/web",
            "platform/android-app/web",
        ] {
            let path = format!("/v2/{name}/manifests/1");
            assert_eq!(named(&path), (None, None, manifest(name, "1")));
            let tags = Target::Tags(name.parse().unwrap());
            assert_eq!(named(&format!("/v2/{name}/tags/list")).2, tags);
        }
    }

    #[test]
    fn a_repository_called_like_a_hint_is_reached_by_its_upstreams_name() {
        let (name, path) = ("platform/arm64/web", "/v2/platform/arm64/web/manifests/1");
        assert_eq!(
            named(path).0.as_deref(),
            Some("arm64"),
            "it could be either"
        );
        let by_query = parse(path, Some(&"quay.io".parse().unwrap())).unwrap();
        assert_eq!(
            (by_query.platform, by_query.target),
            (None, manifest(name, "1"))
        );
        for path in [
            "/quay.io/v2/platform/arm64/web/manifests/1",
            "/v2/quay.io/platform/arm64/web/manifests/1",
        ] {
            let expected = (None, Some("quay.io".into()), manifest(name, "1"));
            assert_eq!(named(path), expected, "{path}");
        }
        assert_eq!(
            named("/platform/all/v2/platform/arm64/web/manifests/1"),
            (Some("all".into()), None, manifest(name, "1"))
        );
    }

    #[test]
    fn a_repository_may_be_called_like_an_endpoint() {
        assert_eq!(
            named("/v2/a/manifests/b/manifests/c").2,
            manifest("a/manifests/b", "c")
        );
        assert_eq!(
            named("/v2/tags/list/manifests/c").2,
            manifest("tags/list", "c")
        );
    }

    #[test]
    fn an_upload_is_what_ends_like_one() {
        for path in ["blobs/uploads", "blobs/uploads/", "blobs/uploads/1f-0"] {
            let uploads = Target::Uploads("a".parse().unwrap());
            assert_eq!(named(&format!("/v2/a/{path}")).2, uploads, "{path}");
        }
        for name in ["a/blobs/uploads", "a/blobs/uploads-api", "blobs/uploads/x"] {
            let path = format!("/v2/{name}/manifests/1");
            assert_eq!(named(&path).2, manifest(name, "1"));
        }
        assert_eq!(parse("/v2/a/uploads/1", None), Err(PathError::Unknown));
    }

    #[test]
    fn a_namespace_that_the_path_repeats_is_no_part_of_the_name() {
        let docker = "docker.io".parse().unwrap();
        let repeated = parse("/v2/docker.io/library/hello/manifests/1", Some(&docker)).unwrap();
        assert_eq!(repeated.target, manifest("library/hello", "1"));
        let other = parse("/v2/mirror.gcr.io/hello/manifests/1", Some(&docker)).unwrap();
        assert_eq!(
            (other.host, other.target),
            (None, manifest("mirror.gcr.io/hello", "1"))
        );
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        assert_eq!(parse("/", None), Err(PathError::Unknown));
        assert_eq!(parse("/v1/x", None), Err(PathError::Unknown));
        assert_eq!(parse("/v2/x", None), Err(PathError::Unknown));
        assert_eq!(parse("/v2/_catalog", None), Err(PathError::Unknown));
        assert_eq!(
            parse("/platform/v2/x/manifests/1", None),
            Err(PathError::Platform)
        );
        assert!(matches!(
            parse("/v2/UPPER/manifests/1", None),
            Err(PathError::Name(_))
        ));
        assert!(matches!(
            parse("/v2/x/manifests/sha256:bad", None),
            Err(PathError::Reference(_))
        ));
        assert!(matches!(
            parse("/v2/x/blobs/latest", None),
            Err(PathError::Digest(_))
        ));
        assert!(matches!(
            parse("/v2/../../etc/manifests/1", None),
            Err(PathError::Host(_) | PathError::Name(_))
        ));
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "\\PC{0,80}") {
            let _ = parse(&path, None);
        }

        #[test]
        fn no_registry_like_path_panics(path in "(/|v2|platform|manifests|blobs|tags/list|quay\\.io|a|:|\\.|sha256:){0,12}") {
            let _ = parse(&path, None);
        }
    }
}
