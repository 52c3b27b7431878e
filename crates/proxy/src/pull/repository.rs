//! A repository of an upstream, as a request means it.
//!
//! Owns its name, its key in the cache and its look-ups in the upstream's settings. Asks the
//! upstream for lists alone, which are never cached.

use std::{borrow::Cow, sync::Arc};

use cache::{Cache, RepoKey};
use config::Rule;
use manifest_model::{Digest, RepoName, Tag};
use protocol::{error_chain::ErrorChain, host::Host};
use tracing::warn;
use upstream::{Listing, ListingKind, Upstream};

use super::PullError;

/// A repository and the upstream it is in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(super) upstream: Arc<Upstream>,
    pub(super) name: RepoName,
    pub(super) key: RepoKey,
}

impl Repository {
    pub(super) fn new(upstream: Arc<Upstream>, name: &RepoName) -> Self {
        let name = official_name(upstream.host(), name);
        let key = RepoKey::new(upstream.host().as_str(), &name);
        Self {
            upstream,
            name,
            key,
        }
    }

    /// The upstream it is in.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Its name at the upstream.
    pub fn name(&self) -> &RepoName {
        &self.name
    }

    /// Its key in the cache.
    pub fn key(&self) -> &RepoKey {
        &self.key
    }

    /// One page of tags or referrers from the upstream. Never cached: both grow at any moment.
    pub async fn list(&self, kind: ListingKind, query: Option<&str>) -> Result<Listing, PullError> {
        Ok(self.upstream.list(&self.name, kind, query).await?)
    }

    /// Another repository of the same upstream.
    pub(super) fn sibling(&self, name: &RepoName) -> Self {
        Self::new(Arc::clone(&self.upstream), name)
    }

    /// The rule that answers `tag`, if the upstream's settings have one. With a rule, the absence
    /// of the tag at the upstream is not the last word.
    pub(super) fn rule(&self, tag: &Tag) -> Option<&Rule> {
        self.upstream.config().rules.of(&self.name, tag)
    }

    /// Whether a tag of this name is configured never to move.
    pub(super) fn is_immutable(&self, tag: &Tag) -> bool {
        let patterns = &self.upstream.config().immutable_tags;
        patterns.iter().any(|pattern| pattern.matches(tag))
    }

    /// The repository to fetch `digest` from: the source repository of a rule where both are known
    /// to link it, else this one.
    pub(super) fn source_of(&self, cache: &Cache, digest: &Digest) -> Cow<'_, Self> {
        let rules = &self.upstream.config().rules;
        if rules.is_empty() || !cache.is_linked(&self.key, digest) {
            return Cow::Borrowed(self);
        }
        let sources = rules.lenders(&self.name);
        let mut siblings = sources.iter().map(|name| self.sibling(name));
        siblings
            .find(|source| cache.is_linked(&source.key, digest))
            .map_or(Cow::Borrowed(self), Cow::Owned)
    }

    /// Records that this repository has `digest`. Where that fails, the next request costs one more
    /// question; this one has its answer.
    pub(super) async fn link(&self, cache: &Cache, digest: &Digest) {
        if let Err(error) = cache.link(&self.key, digest).await {
            warn!(error = %ErrorChain(&error), %digest, "a link could not be recorded");
        }
    }
}

/// The key under which the cache knows a repository.
pub fn repository_key(host: &Host, name: &RepoName) -> RepoKey {
    RepoKey::new(host.as_str(), &official_name(host, name))
}

/// The full name of a repository: a one-word name at Docker Hub is short for `library/NAME`.
pub fn official_name(host: &Host, name: &RepoName) -> RepoName {
    if host.as_str() == "docker.io" && !name.as_str().contains('/') {
        // A name at the length limit stays as it is: the upstream will not know it either.
        return format!("library/{name}")
            .parse()
            .unwrap_or_else(|_| name.clone());
    }
    name.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_names_are_official_at_docker_hub_alone() {
        let name = "hello".parse().unwrap();
        assert_eq!(
            official_name(&"docker.io".parse().unwrap(), &name).as_str(),
            "library/hello"
        );
        assert_eq!(
            official_name(&"quay.io".parse().unwrap(), &name).as_str(),
            "hello"
        );
        let long = "team/hello".parse().unwrap();
        assert_eq!(
            official_name(&"docker.io".parse().unwrap(), &long).as_str(),
            "team/hello"
        );
    }
}
