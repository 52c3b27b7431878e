//! Names in full: what a one-word name at Docker Hub is short for.

use manifest_model::{RepoKey, RepoName};

use crate::host::Host;

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
