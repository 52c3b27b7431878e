//! Manifests by way of other replicas: a digest is asked of its repository's authority before its
//! upstream.

use std::{sync::Arc, time::Duration};

use manifest_model::{Digest, Manifest, MediaType, Reference};
use replicas::{PeerAnswer, PeerManifests};

use super::Manifests;
use crate::{
    Outcome, Repository,
    answer::{ManifestAnswer, ManifestResult},
};

/// How long each replica has to say that it holds what the upstream does not have.
const HELD_WAIT: Duration = Duration::from_millis(500);

impl Manifests {
    /// The manifest of a digest from another replica, else from the upstream.
    pub(super) async fn brought(
        self: &Arc<Self>,
        repository: &Repository,
        digest: &Digest,
        peers: PeerManifests,
    ) -> ManifestResult {
        let key = (repository.key.clone(), Reference::Digest(*digest));
        let (manifests, asked, digest) = (Arc::clone(self), repository.clone(), *digest);
        let work = move || async move {
            let limit = asked.deadline().left() / 2;
            match sent(&peers, &digest, limit).await {
                Some(manifest) => {
                    manifests.store(&asked, &manifest, None).await;
                    Ok(ManifestAnswer::new(manifest, Outcome::Miss))
                }
                None => manifests.fetch(&asked, Reference::Digest(digest)).await,
            }
        };
        let deadline = repository.deadline();
        let joined = self.peer_flights.join(key, None, deadline, work).await;
        joined.unwrap_or_else(|missed| Err(repository.without_result(missed)))
    }

    /// A manifest that the upstream does not have, of a replica that does: one that a rule has made.
    pub(super) async fn held_by_anyone(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Option<ManifestAnswer> {
        if repository.upstream.config().rules.is_empty() {
            return None;
        }
        let peers = self.nearby.anyone(repository)?;
        let manifest = sent(&peers, digest, HELD_WAIT).await?;
        self.store(repository, &manifest, None).await;
        Some(ManifestAnswer::new(manifest, Outcome::Miss))
    }
}

/// The manifest of a digest as one of the replicas sends it, if its bytes are those.
async fn sent(peers: &PeerManifests, digest: &Digest, limit: Duration) -> Option<Manifest> {
    let reference = Reference::Digest(*digest);
    let answer = peers.get(&reference, None, limit).await?;
    let PeerAnswer::Manifest(sent) = answer else {
        return None;
    };
    if Digest::of(digest.algorithm(), &sent.bytes) != *digest {
        return None;
    }
    let kind = sent.media_type.as_deref();
    let kind: Option<MediaType> = kind.and_then(|kind| kind.parse().ok());
    Manifest::of_digest(sent.bytes, kind.as_ref(), digest.algorithm()).ok()
}
