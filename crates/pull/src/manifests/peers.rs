//! Manifests by way of other replicas: a digest is asked of its repository's authority before its
//! upstream.

use std::{sync::Arc, time::Duration};

use manifest_model::{Digest, Manifest, Reference};
use replicas::{PeerAnswer, PeerManifests};

use super::Manifests;
use crate::{
    Outcome, Repository,
    answer::{ManifestAnswer, ManifestResult},
};

/// How long all replicas together have to say that one of them holds what the upstream does not have.
const HELD_WAIT: Duration = Duration::from_secs(2);

impl Manifests {
    /// The manifest of a digest from another replica, else from the upstream.
    pub(super) async fn brought(
        self: &Arc<Self>,
        repository: &Repository,
        digest: &Digest,
        peers: PeerManifests,
    ) -> ManifestResult {
        let key = (repository.key.clone(), Reference::Digest(*digest));
        // The wait begins before the clone, so that both have the same one.
        let deadline = repository.deadline();
        let (manifests, asked, digest) = (Arc::clone(self), repository.clone(), *digest);
        let work = move || async move {
            let limit = asked.deadline().left() / 2;
            let reference = Reference::Digest(digest);
            match sent(peers.get(&reference, None, limit).await, &digest) {
                Some(manifest) => {
                    manifests.store(&asked, &manifest, None).await;
                    Ok(ManifestAnswer::new(manifest, Outcome::Miss))
                }
                None => manifests.fetch(&asked, Reference::Digest(digest)).await,
            }
        };
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
        let reference = Reference::Digest(*digest);
        let manifest = sent(peers.get_of_any(&reference, HELD_WAIT).await, digest)?;
        self.store(repository, &manifest, None).await;
        Some(ManifestAnswer::new(manifest, Outcome::Miss))
    }
}

/// The manifest of a digest as one of the replicas has sent it, if its bytes are those.
fn sent(answer: Option<PeerAnswer>, digest: &Digest) -> Option<Manifest> {
    match answer? {
        PeerAnswer::Manifest(sent) => sent.of_digest(digest),
        PeerAnswer::Unchanged { .. } | PeerAnswer::Absent { .. } => None,
    }
}
