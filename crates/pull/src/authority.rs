//! The authority of a repository: the one replica that asks its upstream for tags.
//!
//! Every other replica asks the authority, at most once in [`LEASH`] for each tag, and gives its
//! answer out meanwhile. So a tag that has moved is seen everywhere within that time, and one replica
//! asks the upstream where each did.
//!
//! No replica goes back: an answer that is older than what this one knows is not taken, and then, as
//! without any answer, this one decides for itself. That goes for "not found" too, which the authority may
//! repeat for a while. The ages that replicas send make that comparable without comparing clocks. Owns what
//! is taken of an answer; refuses what a tag's age allows (`resolver`).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use cache::{Cache, RepoKey, TagEntry};
use manifest_model::{Digest, Reference, Tag};
use protocol::error_chain::ErrorChain;
use replicas::{LEASH, Leashes, PeerAnswer, PeerManifests, ROW_LAG};
use tracing::{debug, warn};
use upstream::Resource;

use crate::{
    Outcome, Repository,
    answer::{ManifestAnswer, ManifestResult},
    manifests::Manifests,
    nearby::Nearby,
};

/// The way to the authorities of all repositories.
#[derive(Debug)]
pub(super) struct Authority {
    cache: Cache,
    nearby: Nearby,
    manifests: Arc<Manifests>,
    leashes: Leashes<(RepoKey, Tag), Said>,
}

/// What the authority said of a tag.
#[derive(Clone, Copy, Debug)]
enum Said {
    /// It points where the row of the tag says; the upstream may not have confirmed that in time.
    Here(Option<Duration>),
    Absent,
    /// Nothing that this replica could take: it decides for itself.
    Nothing,
}

impl Authority {
    pub(super) fn new(cache: Cache, nearby: Nearby, manifests: Arc<Manifests>) -> Self {
        Self {
            cache,
            nearby,
            manifests,
            leashes: Leashes::default(),
        }
    }

    /// Whether there are other replicas at all.
    pub(super) fn is_elsewhere_perhaps(&self) -> bool {
        self.nearby.replicas.is_some()
    }

    /// How long the answer for a tag may be repeated unasked: among replicas no longer than the leash.
    pub(super) fn holds_for(&self) -> Duration {
        if self.is_elsewhere_perhaps() {
            LEASH
        } else {
            Duration::MAX
        }
    }

    /// The answer of the authority, if that is another replica and answers; else this one decides.
    pub(super) async fn answer(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Option<ManifestResult> {
        let peers = self.nearby.authority(repository)?;
        // The rest is this replica's own, if it has to ask the upstream after all.
        let limit = repository.deadline().left() / 2;
        let key = (repository.key.clone(), tag.clone());
        let ask = |limit| self.ask(repository, tag, peers, limit);
        let said = self.leashes.said(key, limit, ask).await?;
        self.given(repository, tag, said).await
    }

    async fn ask(
        &self,
        repository: &Repository,
        tag: &Tag,
        peers: PeerManifests,
        limit: Duration,
    ) -> Said {
        let known = self.cache.tag(&repository.key, tag);
        let (reference, digest) = (Reference::Tag(tag.clone()), known.map(|row| row.digest));
        let Some(answer) = peers.get(&reference, digest.as_ref(), limit).await else {
            return Said::Nothing;
        };
        let keeps = repository.upstream.config().serve_deleted_tags;
        match (answer, known) {
            (PeerAnswer::Absent { age }, Some(row)) if keeps || !is_older(&row, age) => {
                Said::Nothing
            }
            (PeerAnswer::Absent { .. }, known) => {
                if known.is_some() {
                    self.forget(repository, tag).await;
                }
                Said::Absent
            }
            (PeerAnswer::Unchanged { age, is_stale }, Some(row)) => {
                if is_older(&row, age) {
                    self.note(repository, tag, &row.digest, age).await;
                }
                here(repository, tag, age, is_stale)
            }
            (PeerAnswer::Unchanged { .. }, None) => Said::Nothing,
            (PeerAnswer::Manifest(sent), known) => {
                let (age, is_stale) = (sent.age, sent.is_stale);
                let Some(manifest) = sent.proved() else {
                    return Said::Nothing;
                };
                if known.is_some_and(|row| is_newer(&row, &manifest.digest(), age)) {
                    debug!(repository = %repository.key, %tag, "the authority knows less of a tag than this replica");
                    return Said::Nothing;
                }
                self.manifests.store(repository, &manifest, None).await;
                self.note(repository, tag, &manifest.digest(), age).await;
                here(repository, tag, age, is_stale)
            }
        }
    }

    /// What was said, as an answer; `None` where what it needs has gone meanwhile.
    async fn given(
        &self,
        repository: &Repository,
        tag: &Tag,
        said: Said,
    ) -> Option<ManifestResult> {
        let stale_for = match said {
            Said::Nothing => return None,
            // What has come since is from the upstream itself, while the authority was not to be asked.
            Said::Absent if self.cache.tag(&repository.key, tag).is_some() => return None,
            Said::Absent => return Some(Err(repository.absent(Resource::Manifest))),
            Said::Here(stale_for) => stale_for,
        };
        let row = self.cache.tag(&repository.key, tag)?;
        let answer = self.manifests.get(repository, &row.digest).await;
        Some(answer.map(|answer| match stale_for {
            None => answer,
            Some(age) => ManifestAnswer {
                outcome: Outcome::Stale,
                age: Some(age),
                ..answer
            },
        }))
    }

    async fn note(&self, repository: &Repository, tag: &Tag, digest: &Digest, age: Duration) {
        let key = &repository.key;
        let noted = self.cache.confirm_tag_aged(key, tag, digest, age).await;
        if let Err(error) = noted {
            warn!(error = %ErrorChain(&error), %tag, "a tag that another replica knows could not be recorded");
        }
    }

    async fn forget(&self, repository: &Repository, tag: &Tag) {
        if let Err(error) = self.cache.remove_tag(&repository.key, tag).await {
            warn!(error = %ErrorChain(&error), %tag, "a tag that is gone could not be removed");
        }
    }
}

/// A tag that the upstream confirmed so long ago, if it may go out at that age.
fn here(repository: &Repository, tag: &Tag, age: Duration, is_stale: bool) -> Said {
    match is_stale.then_some(age) {
        Some(age) if !repository.may_be_copied(tag, age) => Said::Nothing,
        stale_for => Said::Here(stale_for),
    }
}

/// How long ago the upstream confirmed the row.
fn age_of(row: &TagEntry) -> Duration {
    let since = SystemTime::now().duration_since(row.confirmed);
    since.unwrap_or_default()
}

/// Whether the upstream said something of this age later than what the row says, which may lag.
fn is_older(row: &TagEntry, age: Duration) -> bool {
    age_of(row) > age.saturating_add(ROW_LAG)
}

/// Whether this replica knows something else, and later. An answer of the same moment is taken: the
/// authority's word ends a tie.
fn is_newer(row: &TagEntry, digest: &Digest, age: Duration) -> bool {
    row.digest != *digest && age_of(row) < age
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::*;

    fn row(age: Duration) -> TagEntry {
        TagEntry {
            digest: Digest::of(Algorithm::Sha256, b"known"),
            confirmed: SystemTime::now() - age,
        }
    }

    #[test]
    fn an_older_answer_is_not_taken_and_a_later_one_is() {
        let (known, other) = (row(Duration::from_secs(10)), b"other");
        let other = Digest::of(Algorithm::Sha256, other);
        assert!(is_newer(&known, &other, Duration::from_secs(30)));
        assert!(!is_newer(&known, &other, Duration::from_secs(2)));
        assert!(!is_newer(&known, &known.digest, Duration::from_secs(30)));
    }

    #[test]
    fn a_row_is_written_again_only_now_and_then() {
        let known = row(Duration::from_secs(30));
        assert!(is_older(&known, Duration::ZERO));
        assert!(!is_older(&known, Duration::from_secs(15)));
    }

    #[test]
    fn a_not_found_that_may_be_older_than_the_row_deletes_nothing() {
        let not_found = Duration::from_secs(10);
        assert!(!is_older(&row(Duration::from_secs(5)), not_found));
        assert!(
            !is_older(&row(Duration::from_secs(29)), not_found),
            "its row may lag"
        );
        assert!(is_older(&row(Duration::from_secs(31)), not_found));
    }
}
