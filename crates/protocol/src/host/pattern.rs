//! Patterns over hosts: an exact host, or one with `*` for one or more characters of one label.
//!
//! A star never crosses a dot, so `*.dkr.ecr.*.amazonaws.com` cannot match
//! `evil.example.amazonaws.com`. The last label has no star, so no pattern covers every domain.

use std::{
    cmp::{Ordering, Reverse},
    fmt,
    str::FromStr,
};

use super::{EcrHost, Host, HostError, ecr, glob};

/// A host, or a pattern such as `*.dkr.ecr.*.amazonaws.com`.
///
/// Ordered by specificity, the most specific first: exact hosts, then the patterns with the most
/// literal characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HostPattern(Kind);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Kind {
    Exact(Host),
    Glob(String),
}

/// Why a text is not a `HostPattern`.
#[derive(Clone, Debug, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// The text is not a host, even with a letter for every star.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The last label or the port has a star.
    #[error("the part after the last dot must not contain `*`: spell it out")]
    OpenEnd,
}

impl HostPattern {
    /// Whether the pattern covers `host` with its port.
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

    /// Whether some host could match both; never false for two that share one.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Exact(host), _) => other.matches(host),
            (_, Kind::Exact(host)) => self.matches(host),
            (Kind::Glob(a), Kind::Glob(b)) => {
                a.split('.').count() == b.split('.').count()
                    && a.split('.').zip(b.split('.')).all(|(a, b)| {
                        match (a.contains('*'), b.contains('*')) {
                            (true, true) => true,
                            (true, false) => label_matches(a, b),
                            (false, _) => label_matches(b, a),
                        }
                    })
            }
        }
    }

    /// The host, unless this is a pattern with stars.
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

    /// Whether the pattern covers a private ECR registry.
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
        let literal = text.bytes().filter(|&byte| byte != b'*').count();
        (self.exact().is_none(), Reverse(literal), text)
    }
}

/// Patterns that together cover every private ECR registry.
pub fn every_ecr_host() -> impl Iterator<Item = HostPattern> {
    ecr::every_pattern().map(|pattern| {
        pattern
            .parse()
            .expect("a pattern of two stars and a known suffix is valid")
    })
}

/// Compares one label with its pattern; a star needs at least one character.
fn label_matches(pattern: &str, label: &str) -> bool {
    if pattern.contains('*') {
        glob::matches(pattern.replace('*', "?*").as_bytes(), label.as_bytes())
    } else {
        pattern == label
    }
}

impl From<Host> for HostPattern {
    fn from(host: Host) -> Self {
        Self(Kind::Exact(host))
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
        Ok(Self(Kind::Glob(text.to_ascii_lowercase())))
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
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HostPattern({self})")
    }
}
