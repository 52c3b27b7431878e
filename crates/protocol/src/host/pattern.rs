//! Patterns over hosts: an exact host, or one with `*` for one or more characters of one label.
//!
//! A star never crosses a dot, so that `*.dkr.ecr.*.amazonaws.com` cannot match `evil.example.amazonaws.com`, and the
//! last label has none, so that no pattern reaches arbitrary addresses.

use std::{
    cmp::{Ordering, Reverse},
    fmt,
    str::FromStr,
};

use super::{EcrHost, Host, HostError, glob};

/// A host, or a pattern such as `*.dkr.ecr.*.amazonaws.com`.
///
/// Ordered by specificity, the most specific first: exact hosts, then by how many characters are spelled out.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HostPattern(Kind);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Kind {
    Exact(Host),
    Glob(String),
}

/// Why a text is no `HostPattern`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// With every star replaced by a letter it would still be no host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A star stands in the last label, or in the port.
    #[error("the last part has no `*`: spell out what follows the last dot")]
    OpenEnd,
}

impl HostPattern {
    /// Whether `host`, with its port, is meant.
    pub fn matches(&self, host: &Host) -> bool {
        match &self.0 {
            Kind::Exact(exact) => exact == host,
            Kind::Glob(pattern) => {
                let labels = pattern.split('.');
                let count = labels.clone().count();
                count == host.as_str().split('.').count()
                    && labels
                        .zip(host.as_str().split('.'))
                        .all(|(pattern, label)| label_matches(pattern, label))
            }
        }
    }

    /// The host, when this is one rather than a pattern.
    pub fn exact(&self) -> Option<&Host> {
        match &self.0 {
            Kind::Exact(host) => Some(host),
            Kind::Glob(_) => None,
        }
    }

    /// The text it was parsed from, in lower case.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kind::Exact(host) => host.as_str(),
            Kind::Glob(pattern) => pattern,
        }
    }

    /// Whether any host it matches can be a private ECR registry.
    pub fn may_be_ecr(&self) -> bool {
        let (account, rest) = self.as_str().split_once('.').unwrap_or((self.as_str(), ""));
        let account = if account.contains('*') {
            "000000000000"
        } else {
            account
        };
        EcrHost::may_be(&format!("{account}.{rest}"))
    }

    fn specificity(&self) -> (bool, Reverse<usize>, &str) {
        let text = self.as_str();
        let spelled_out = text.bytes().filter(|&byte| byte != b'*').count();
        (self.exact().is_none(), Reverse(spelled_out), text)
    }
}

/// One label against another; a star needs at least one character.
fn label_matches(pattern: &str, label: &str) -> bool {
    if pattern.contains('*') {
        glob::matches(pattern.replace('*', "?*").as_bytes(), label.as_bytes())
    } else {
        pattern == label
    }
}

impl From<Host> for HostPattern {
    fn from(host: Host) -> Self {
        HostPattern(Kind::Exact(host))
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.contains('*') {
            return Ok(text.parse::<Host>()?.into());
        }
        let last = text.rsplit_once('.').map_or(text, |(_, last)| last);
        if last.contains('*') {
            return Err(HostPatternError::OpenEnd);
        }
        text.replace('*', "x").parse::<Host>()?;
        Ok(HostPattern(Kind::Glob(text.to_ascii_lowercase())))
    }
}

impl Ord for HostPattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.specificity().cmp(&other.specificity())
    }
}

impl PartialOrd for HostPattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostPattern({self})")
    }
}
