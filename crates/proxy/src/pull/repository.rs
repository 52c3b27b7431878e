//! A repository of an upstream, as a request means it.

use std::sync::Arc;

use cache::RepoKey;
use manifest_model::RepoName;

use super::{Pull, PullError};
use crate::{protocol::host::Host, upstream::Upstream};

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
}

impl Pull {
    /// `name` at the upstream `host`; `None` where that upstream is not configured.
    pub fn repository(
        &self,
        host: &Host,
        name: &RepoName,
    ) -> Result<Option<Repository>, PullError> {
        let Some(upstream) = self.inner.upstreams.find(host)? else {
            return Ok(None);
        };
        let name = official_name(host, name);
        let key = RepoKey::new(host.as_str(), &name);
        Ok(Some(Repository {
            upstream,
            name,
            key,
        }))
    }
}

/// Docker Hub's own images have one-word names, which stand for `library/NAME`.
pub(crate) fn official_name(host: &Host, name: &RepoName) -> RepoName {
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
