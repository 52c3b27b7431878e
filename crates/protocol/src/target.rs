//! Request targets: the endpoint, upstream and platform that a path names.
//!
//! Clients build their URLs from a prefix in their configuration. containerd puts it before `/v2`,
//! all others behind it, so upstream and platform may be in either place, and repository names
//! contain slashes. One pure function reads every form:
//!
//! ```text
//! [/platform/P][/HOST]/v2/[HOST/]NAME/(manifests|blobs|referrers)/REFERENCE
//! [/platform/P][/HOST]/v2/[HOST/]NAME/tags/list
//!                     /v2/[platform/P/][HOST/]NAME/...
//! ```
//!
//! A repository may be called `platform/...` as well: behind `/v2/` the word is a hint only where
//! it is unlikely to be part of a name, and a listener can have none in paths.

use manifest_model::{Digest, ParseError, Platform, Reference, RepoName};

use crate::{
    host::{Host, HostError, looks_like_host},
    platform_request::{ALL, PlatformRequest},
};

/// The endpoint of a request, without the upstream.
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
    /// The manifests that refer to a manifest.
    Referrers(RepoName, Digest),
    /// The endpoint where the push of a blob begins. A proxy answers where to push instead.
    Uploads(RepoName),
}

impl Target {
    /// The repository; `None` for the ping.
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

/// The parts of a request's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The platform named in the path, still in its path form.
    pub platform: Option<String>,
    /// The upstream named in the path.
    pub host: Option<Host>,
    /// The endpoint.
    pub target: Target,
}

/// Why a path is not a request target.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path is not one of the registry API.
    #[error("no such endpoint")]
    Unknown,
    /// The path has `/platform/` without a platform behind it.
    #[error("the path must name a platform after `/platform/`, as in /platform/linux-arm64/v2/")]
    Platform,
    /// The upstream in the path is not a host name.
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

/// Whether a path may name a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformPaths {
    /// `/platform/P/` is one where it can be.
    Hints,
    /// `platform` is a word like any other.
    Names,
}

/// Parses a path. `namespace` is the upstream of the `ns` query, if there is one; a path that
/// repeats it is read without it.
pub fn parse(
    path: &str,
    namespace: Option<&Host>,
    platforms: PlatformPaths,
) -> Result<Address, PathError> {
    let rest = path.strip_prefix('/').ok_or(PathError::Unknown)?;
    let (before, after) = split_at_version(rest)?;
    let (outer_platform, outer_host) = outer_parts(before, platforms)?;
    // A client that is configured with a prefix before `/v2` puts all of it there, so the rest is
    // the repository's name.
    let (inner_platform, after) = match (before, platforms) {
        ("", PlatformPaths::Hints) => inner_platform(after, namespace),
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

/// Splits at the first path segment `v2`: neither a host nor a platform can be called so.
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
fn outer_parts(
    before: &str,
    platforms: PlatformPaths,
) -> Result<(Option<&str>, Option<Host>), PathError> {
    let (platform, host) = match before.strip_prefix("platform/") {
        None => (None, before),
        Some(_) if platforms == PlatformPaths::Names => return Err(PathError::Unknown),
        Some(rest) => {
            let (platform, host) = rest.split_once('/').unwrap_or((rest, ""));
            (Some(platform), host)
        }
    };
    if platform == Some("") || (before == "platform" && platforms == PlatformPaths::Hints) {
        return Err(PathError::Platform);
    }
    let host = if host.is_empty() {
        None
    } else {
        Some(host.parse().map_err(PathError::Host)?)
    };
    Ok((platform, host))
}

/// `[platform/P/]REST`, where `P` is `all` or has a known architecture and the rest is an endpoint
/// by itself.
///
/// A client that sends `ns` has the names of its upstream, such as `platform/arm64/web`. For it `P`
/// must be `all` or name the operating system too, as in `linux-arm64`, unless the rest repeats the
/// upstream: no name of a repository does that.
///
/// What could be either is read as a hint. A repository of that name is reached through the name of
/// its upstream in the path.
fn inner_platform<'a>(after: &'a str, namespace: Option<&Host>) -> (Option<&'a str>, &'a str) {
    let Some(rest) = after.strip_prefix("platform/") else {
        return (None, after);
    };
    let (platform, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, name) = leading_host(rest).map_or((None, rest), |(host, name)| (Some(host), name));
    let is_platform = match namespace {
        Some(meant) if !host.is_some_and(|host| is_named(meant, host)) => {
            platform == ALL || Platform::is_full_path_form(platform)
        }
        _ => is_platform(platform),
    };
    if is_platform && target(name) != Err(PathError::Unknown) {
        (Some(platform), rest)
    } else {
        (None, after)
    }
}

/// Whether a path segment is a platform rather than part of a repository's name.
fn is_platform(part: &str) -> bool {
    PlatformRequest::from_path_form(part).is_ok_and(|request| {
        request
            .platform()
            .is_none_or(Platform::has_known_architecture)
    })
}

/// Whether a path segment is a name of `host`.
fn is_named(host: &Host, part: &str) -> bool {
    part.parse::<Host>()
        .is_ok_and(|named| named.canonical() == *host)
}

/// Splits `HOST/NAME...`, if the first part is a host by docker's rule.
fn leading_host(after: &str) -> Option<(&str, &str)> {
    let (first, rest) = after.split_once('/').unwrap_or((after, ""));
    looks_like_host(first).then_some((first, rest))
}

/// Reads the endpoint from the right: a repository name may contain the endpoint words.
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
        // The endpoint with a trailing slash, or an upload session.
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
mod tests;
