//! The names of objects in the bucket.
//!
//! | object | what it is |
//! |---|---|
//! | `blobs/<algorithm>/<2>/<hex>` | a blob or a manifest |
//! | `tags/<repository>/<tag>` | where a tag pointed last |
//! | `manifests/<repository>/<algorithm>-<hex>` | that a repository has a manifest |
//! | `inventory` | which blobs there are |
//! | `news/<time>-<replica>` | what was added since |
//! | `uses/<time>-<replica>` | what was used in an hour |

use std::time::SystemTime;

use manifest_model::{Algorithm, Digest, RepoKey, Tag};
use object_store::path::Path;

/// The names in one folder of a bucket.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    /// Those in the folder `prefix`, which is empty for the whole bucket.
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// An object or a folder by its name here.
    pub(crate) fn at(&self, name: &str) -> Path {
        let parts = self.prefix.split('/').chain(name.split('/'));
        parts.filter(|part| !part.is_empty()).collect()
    }

    pub(crate) fn blob(&self, digest: &Digest) -> Path {
        let hex = digest.hex();
        self.at(&format!(
            "blobs/{}/{}/{hex}",
            algorithm(digest.algorithm()),
            &hex[..2]
        ))
    }

    /// The digest of a blob's object; `None` of any other.
    pub(crate) fn digest(&self, path: &Path) -> Option<Digest> {
        let blobs = self.at("blobs");
        let parts: Vec<_> = path.prefix_match(&blobs)?.collect();
        let [algorithm, _, hex] = &parts[..] else {
            return None;
        };
        format!("{}:{}", algorithm.as_ref(), hex.as_ref())
            .parse()
            .ok()
    }

    pub(crate) fn tag(&self, repository: &RepoKey, tag: &Tag) -> Path {
        self.at(&format!("tags/{repository}/{tag}"))
    }

    pub(crate) fn manifest(&self, repository: &RepoKey, digest: &Digest) -> Path {
        let name = format!("{}-{}", algorithm(digest.algorithm()), digest.hex());
        self.manifests(repository).join(name.as_str())
    }

    /// The folder of the manifests of a repository.
    pub(crate) fn manifests(&self, repository: &RepoKey) -> Path {
        self.at(&format!("manifests/{repository}"))
    }

    /// The digest of a manifest's record.
    pub(crate) fn recorded(path: &Path) -> Option<Digest> {
        let (algorithm, hex) = path.filename()?.split_once('-')?;
        format!("{algorithm}:{hex}").parse().ok()
    }
}

/// The seconds since 1970: so objects tell times, in their names and in what they hold.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

fn algorithm(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Sha256 => "sha256",
        Algorithm::Sha512 => "sha512",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_found_by_its_digest_and_named_by_its_object() {
        for (prefix, start) in [("", ""), ("team/archway", "team/archway/")] {
            let names = Names::new(prefix);
            let digest = Digest::of(Algorithm::Sha256, b"hello");
            let path = names.blob(&digest);
            let hex = digest.hex();
            let expected = format!("{start}blobs/sha256/{}/{hex}", &hex[..2]);
            assert_eq!(path.as_ref(), expected);
            assert_eq!(names.digest(&path), Some(digest));
            assert_eq!(names.digest(&names.at("inventory")), None);
        }
    }

    #[test]
    fn a_record_names_its_manifest() {
        let names = Names::new("archway");
        let digest = Digest::of(Algorithm::Sha512, b"hello");
        let repository = RepoKey::from_text("registry.example:5000/team/app");
        let path = names.manifest(&repository, &digest);
        assert_eq!(Names::recorded(&path), Some(digest));
        assert!(path.prefix_matches(&names.manifests(&repository)));
    }
}
