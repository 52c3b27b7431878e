//! Names of registries: `host[:port]`, and patterns over them.
//!
//! `Host` is what a request, a config key or an image name says about *which* registry is meant. It is parsed once,
//! at the edge, and is then safe to put into a URL, a header or a path. Nothing here resolves or connects.

mod ecr;
pub mod glob;
mod pattern;

use std::{fmt, str::FromStr, sync::Arc};

pub use ecr::every_ecr_host;
pub use ecr::{EcrHost, EcrVariant};
pub use pattern::{HostPattern, HostPatternError};

/// The longest name DNS allows.
const MAX_NAME: usize = 253;
/// The longest label DNS allows.
const MAX_LABEL: usize = 63;

/// A registry's `host[:port]`: lower case, a DNS name, an IPv4 address or an IPv6 address in brackets.
///
/// `https://{host}` is always a valid URL. A clone is a cheap handle.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    text: Arc<str>,
    /// Where the name ends and `:port`, if any, begins.
    name_len: usize,
}

/// Why a text is no `Host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// There is nothing before the port, or nothing at all.
    #[error("the host is empty")]
    Empty,
    /// The name or one of its labels is longer than DNS allows.
    #[error("a host has at most 253 characters, and 63 between two dots")]
    TooLong,
    /// The name is neither a DNS name nor an address.
    #[error(
        "a host is made of letters, digits, `-` and `_` between single dots, or is an IP address"
    )]
    Name,
    /// What stands between brackets is not IPv6.
    #[error("brackets hold an IPv6 address, as in `[::1]:5000`")]
    Ipv6,
    /// The part after the colon is no port.
    #[error("a port is a number from 1 to 65535, without leading zeros")]
    Port,
}

impl Host {
    /// The wire form, `host[:port]`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host without its port; IPv6 keeps its brackets.
    pub fn name(&self) -> &str {
        &self.text[..self.name_len]
    }

    /// The same host without its port.
    #[must_use]
    pub fn without_port(&self) -> Host {
        Host {
            text: self.name().into(),
            name_len: self.name_len,
        }
    }

    /// The one name of a registry that goes by several: Docker Hub's API and index hosts mean `docker.io`.
    #[must_use]
    pub fn canonical(self) -> Host {
        match self.as_str() {
            "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => Host {
                text: "docker.io".into(),
                name_len: "docker.io".len(),
            },
            _ => self,
        }
    }

    /// What the name says, if it is that of a private ECR registry in any partition.
    pub fn ecr(&self) -> Option<EcrHost> {
        EcrHost::parse(self.as_str())
    }
}

/// Whether the first part of an image name is a registry rather than a piece of the repository, by docker's rule:
/// it has a dot or a colon, or is `localhost`.
pub fn looks_like_host(first_part: &str) -> bool {
    first_part.contains(['.', ':']) || first_part == "localhost"
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, port) = split_port(text)?;
        let name = name.to_ascii_lowercase();
        let name = if name.starts_with('[') {
            ipv6(&name)?
        } else {
            dns_or_ipv4(name)?
        };
        let text = match port {
            Some(port) => format!("{name}:{}", parse_port(port)?),
            None => name.clone(),
        };
        Ok(Host {
            text: text.into(),
            name_len: name.len(),
        })
    }
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), HostError> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(HostError::Ipv6)? + 1;
        let (name, rest) = text.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((name, Some(port))),
            None if rest.is_empty() => Ok((name, None)),
            None => Err(HostError::Port),
        };
    }
    Ok(match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    })
}

fn parse_port(text: &str) -> Result<u16, HostError> {
    if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HostError::Port);
    }
    text.parse().map_err(|_| HostError::Port)
}

fn ipv6(name: &str) -> Result<String, HostError> {
    match url::Host::parse(name) {
        Ok(url::Host::Ipv6(address)) => Ok(format!("[{address}]")),
        _ => Err(HostError::Ipv6),
    }
}

/// Takes the name only if a URL would hold it unchanged: `127.1` or `host.0x1f` would become other addresses there.
fn dns_or_ipv4(name: String) -> Result<String, HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > MAX_NAME || name.split('.').any(|label| label.len() > MAX_LABEL) {
        return Err(HostError::TooLong);
    }
    if !name.split('.').all(is_label)
        || url::Host::parse(&name)
            .ok()
            .is_none_or(|host| host.to_string() != name)
    {
        return Err(HostError::Name);
    }
    Ok(name)
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({})", self.text)
    }
}

#[cfg(test)]
mod tests;
