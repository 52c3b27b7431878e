//! Names of registries: `host[:port]`, and patterns over them.
//!
//! A [`Host`] names the registry in a request, a config key or an image name. It is parsed once, at
//! the edge, and is then safe in a URL, a header or a path. Nothing here resolves or connects.

mod ecr;
pub mod glob;
mod pattern;

use std::{fmt, net::Ipv4Addr, str::FromStr, sync::Arc};

pub use self::{
    ecr::{EcrHost, EcrVariant},
    pattern::{HostPattern, HostPatternError, every_ecr_host},
};

/// DNS bounds a name ...
const MAX_NAME_CHARS: usize = 253;
/// ... and each of its labels.
const MAX_LABEL_CHARS: usize = 63;

/// A registry's `host[:port]`: lower case, a DNS name, an IPv4 address or an IPv6 address in
/// brackets.
///
/// `https://{host}` is always a valid URL. A clone shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    text: Arc<str>,
    /// The length of the name, before `:port`.
    name_len: usize,
}

/// Why a text is not a `Host`.
#[derive(Clone, Debug, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The name before the port is empty.
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
    /// The text in brackets is not an IPv6 address.
    #[error("brackets hold an IPv6 address, as in `[::1]:5000`")]
    Ipv6,
    /// The part after the colon is not a port.
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

    /// Whether it is an IP address or `localhost`: a name that nobody else can point at us.
    pub fn is_address_or_localhost(&self) -> bool {
        let name = self.name();
        name == "localhost" || name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok()
    }

    /// The same host without its port.
    #[must_use]
    pub fn without_port(&self) -> Self {
        Self {
            text: self.name().into(),
            name_len: self.name_len,
        }
    }

    /// Whether it is one of these names, with or without its port.
    pub fn is_one_of(&self, names: &[Self]) -> bool {
        names.contains(self) || names.contains(&self.without_port())
    }

    /// The canonical name of a registry with several: Docker Hub's API and index hosts become
    /// `docker.io`.
    #[must_use]
    pub fn canonical(self) -> Self {
        match self.as_str() {
            "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => Self {
                text: "docker.io".into(),
                name_len: "docker.io".len(),
            },
            _ => self,
        }
    }

    /// The account, region and variant, if the host is a private ECR registry of any partition.
    pub fn ecr(&self) -> Option<EcrHost> {
        EcrHost::parse(self.as_str())
    }
}

/// Whether the first part of an image name is a registry rather than part of the repository. The
/// rule is docker's: a dot, a colon, or `localhost`.
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
        Ok(Self {
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

/// Accepts a name only if a URL keeps it unchanged: `127.1` or `host.0x1f` would become other
/// addresses there.
fn dns_or_ipv4(name: String) -> Result<String, HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > MAX_NAME_CHARS || name.split('.').any(|label| label.len() > MAX_LABEL_CHARS) {
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
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Host({})", self.text)
    }
}

#[cfg(test)]
mod tests;
