//! A repository of an upstream, as a request means it.

use std::sync::Arc;

use cache::RepoKey;
use manifest_model::RepoName;
use protocol::host::Host;
use upstream::Upstream;

use super::{Pull, PullError};

/// A repository and the upstream it is in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(super) upstream: Arc<Upstream>,
    pub(super) name: RepoName,
    pub(super) key: RepoKey,
}

impl Repository {
    /// Where it is.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Its name there.
    pub fn name(&self) -> &RepoName {
        &self.name
    }

    /// Another repository of the same upstream.
    pub(super) fn sibling(&self, name: &RepoName) -> Self {
        Self::at(Arc::clone(&self.upstream), name)
    }

    fn at(upstream: Arc<Upstream>, name: &RepoName) -> Self {
        let name = official_name(upstream.host(), name);
        let key = RepoKey::new(upstream.host().as_str(), &name);
        Self {
            upstream,
            name,
            key,
        }
    }
}

impl Pull {
    /// `name` at the upstream `host`; `None` where that upstream is not configured.
    pub fn repository(
        &self,
        host: &Host,
        name: &RepoName,
    ) -> Result<Option<Repository>, PullError> {
        let upstream = self.inner.upstreams.find(host)?;
        Ok(upstream.map(|upstream| Repository::at(upstream, name)))
    }
}

/// The key under which the cache knows a repository.
pub fn repository_key(host: &Host, name: &RepoName) -> RepoKey {
    RepoKey::new(host.as_str(), &official_name(host, name))
}

/// Docker Hub's own images have one-word names, which stand for `library/NAME`.
pub fn official_name(host: &Host, name: &RepoName) -> RepoName {
    if host.as_str() == "docker.io" && !name.as_str().contains('/') {
        // A name that cannot be lengthened any more is left as it is: the upstream will not know it either.
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
