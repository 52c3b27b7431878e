//! A whole pull, as containerd does it: HEAD the tag, then everything by digest, each byte hashed.

use manifest_model::{Algorithm, Digest, Manifest, MediaType};

use super::{Answer, Client, blob_path};

/// What a pull recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// What the name led to.
    pub root: Digest,
    /// Every manifest and blob that was fetched, in order, the root first.
    pub parts: Vec<Digest>,
}

impl Client {
    /// Pulls `repository:tag` with all children of all indexes, and panics at the first wrong byte.
    pub async fn pull(&self, repository: &str, tag: &str) -> Pulled {
        let tag_path = format!("/v2/{repository}/manifests/{tag}");
        let head = self.head(&tag_path).await.expect(200);
        let root = header_digest(&head);
        let mut parts = Vec::new();
        let mut waiting = vec![root];
        while let Some(digest) = waiting.pop() {
            if parts.contains(&digest) {
                continue;
            }
            parts.push(digest);
            let manifest = self.verified_manifest(repository, digest).await;
            for link in manifest.links() {
                if manifest.is_index() {
                    waiting.push(link.digest);
                } else if !parts.contains(&link.digest) {
                    self.verified_blob(repository, link.digest, link.size).await;
                    parts.push(link.digest);
                }
            }
        }
        Pulled { root, parts }
    }

    async fn verified_manifest(&self, repository: &str, digest: Digest) -> Manifest {
        let answer = self.manifest(repository, digest).await.expect(200);
        assert_eq!(Digest::of(digest.algorithm(), &answer.body), digest);
        let kind: MediaType = answer.header("content-type").parse().expect("a media type");
        let manifest = Manifest::parse(answer.body, Some(&kind), Algorithm::Sha256);
        manifest.expect("a manifest")
    }

    async fn verified_blob(&self, repository: &str, digest: Digest, size: u64) {
        let answer = self.get(&blob_path(repository, digest)).await.expect(200);
        assert_eq!(answer.body.len() as u64, size, "size of {digest}");
        assert_eq!(Digest::of(digest.algorithm(), &answer.body), digest);
    }
}

fn header_digest(answer: &Answer) -> Digest {
    let text = answer.header("docker-content-digest");
    text.parse()
        .unwrap_or_else(|error| panic!("Docker-Content-Digest {text:?}: {error:?}"))
}
