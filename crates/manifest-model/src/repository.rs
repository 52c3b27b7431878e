//! The key under which links and tags are kept.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{ParseError, RepoName};

/// A repository of one upstream, as a key: `docker.io/library/hello`.
///
/// Two upstreams never share a key, so a blob linked by one is not readable through the other.
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoKey(Arc<str>);

impl RepoKey {
    /// The key of `name` at the upstream called `upstream`, which must not contain a slash.
    pub fn new(upstream: &str, name: &RepoName) -> Self {
        debug_assert!(!upstream.contains('/'), "an upstream is a host");
        Self(format!("{upstream}/{name}").into())
    }

    /// The key of a text that [`Self::as_str`] gave, unchecked.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The upstream's part of the key.
    pub fn upstream(&self) -> &str {
        self.0
            .split_once('/')
            .map_or(&self.0, |(upstream, _)| upstream)
    }

    /// The repository's name at its upstream.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }

    /// The key's text, shared.
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The inverse of `Display`: the upstream, a slash, and the name of a repository.
impl FromStr for RepoKey {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        // Without a slash the name is empty, and its parser reports that.
        let (upstream, name) = text.split_once('/').unwrap_or((text, ""));
        Ok(Self::new(upstream, &name.parse()?))
    }
}

impl fmt::Display for RepoKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
