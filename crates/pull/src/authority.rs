//! The authority of a repository: the one replica that asks its upstream for tags.
//!
//! Every other replica asks the authority, at most once in [`LEASH`] for each tag, and gives its
//! answer out meanwhile. So a tag that has moved is seen everywhere within that time, and one replica
//! asks the upstream where each did.
//!
//! No replica goes back: an answer that is older than what this one knows is not taken, and then, as
//! without any answer, this one decides for itself. The ages that replicas send make that comparable
//! without comparing clocks. Owns what was asked when; refuses what a tag's age allows (`resolver`).

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use cache::{Cache, RepoKey, TagEntry};
use manifest_model::{Algorithm, Digest, Manifest, MediaType, Reference, Tag};
use protocol::error_chain::ErrorChain;
use replicas::{PeerAnswer, PeerManifest};
use tokio::sync::Mutex;
use tracing::{debug, warn};
use upstream::{FetchError, Resource};

use crate::{
    Outcome, PullError, Repository,
    answer::{ManifestAnswer, ManifestResult},
    manifests::Manifests,
    nearby::Nearby,
};

/// How long an answer of the authority is given out without asking it again.
const LEASH: Duration = Duration::from_secs(1);

/// Tags whose last question is remembered.
const MAX_LEASHES: u64 = 100_000;

/// How much older the row of a tag becomes than the authority's before it is written again.
const ROW_LAG: Duration = Duration::from_secs(20);

/// The way to the authorities of all repositories.
#[derive(Debug)]
pub(super) struct Authority {
    cache: Cache,
    nearby: Nearby,
    manifests: Arc<Manifests>,
    leashes: moka::sync::Cache<(RepoKey, Tag), Arc<Mutex<Option<Leash>>>>,
}

/// What the authority said of a tag, and when. Whoever asks holds the lock: others wait for the same
/// answer.
#[derive(Clone, Copy, Debug)]
struct Leash {
    asked: Instant,
    said: Said,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    /// It points where the row of the tag says; the upstream may not have confirmed that in time.
    Here(Option<Duration>),
    Absent,
}

impl Authority {
    pub(super) fn new(cache: Cache, nearby: Nearby, manifests: Arc<Manifests>) -> Self {
        Self {
            cache,
            nearby,
            manifests,
            leashes: moka::sync::Cache::new(MAX_LEASHES),
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
        let key = (repository.key.clone(), tag.clone());
        let leash = self.leashes.get_with(key, Arc::default);
        let mut leash = leash.lock().await;
        if let Some(last) = leash.filter(|last| last.asked.elapsed() < LEASH) {
            return self.given(repository, tag, last.said).await;
        }
        let known = self.cache.tag(&repository.key, tag);
        let (reference, digest) = (Reference::Tag(tag.clone()), known.map(|row| row.digest));
        let limit = repository.deadline().left() / 2;
        let answer = peers.get(&reference, digest.as_ref(), limit).await?;
        let said = match answer {
            PeerAnswer::Absent => {
                self.forget(repository, tag).await;
                Said::Absent
            }
            PeerAnswer::Unchanged { age, is_stale } => {
                let row = known?;
                if is_due(&row, age) {
                    self.note(repository, tag, &row.digest, age).await;
                }
                Said::Here(is_stale.then_some(age))
            }
            PeerAnswer::Manifest(manifest) => {
                let (age, is_stale) = (manifest.age, manifest.is_stale);
                let manifest = parsed(manifest)?;
                if known.is_some_and(|row| is_newer(&row, &manifest.digest(), age)) {
                    debug!(repository = %repository.key, %tag, "the authority knows less of a tag than this replica");
                    return None;
                }
                self.manifests.store(repository, &manifest, None).await;
                self.note(repository, tag, &manifest.digest(), age).await;
                Said::Here(is_stale.then_some(age))
            }
        };
        *leash = Some(Leash {
            asked: Instant::now(),
            said,
        });
        self.given(repository, tag, said).await
    }

    /// What was said, as an answer; `None` where what it needs has gone meanwhile.
    async fn given(
        &self,
        repository: &Repository,
        tag: &Tag,
        said: Said,
    ) -> Option<ManifestResult> {
        let stale_for = match said {
            Said::Absent => return Some(Err(absent(repository))),
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
        let keeps = repository.upstream.config().serve_deleted_tags;
        if keeps || self.cache.tag(&repository.key, tag).is_none() {
            return;
        }
        if let Err(error) = self.cache.remove_tag(&repository.key, tag).await {
            warn!(error = %ErrorChain(&error), %tag, "a tag that is gone could not be removed");
        }
    }
}

fn absent(repository: &Repository) -> PullError {
    PullError::from(FetchError::NotFound {
        upstream: repository.upstream.host().clone(),
        what: Resource::Manifest,
        from_fallback: false,
    })
}

/// How long ago the upstream confirmed the row.
fn age_of(row: &TagEntry) -> Duration {
    let since = SystemTime::now().duration_since(row.confirmed);
    since.unwrap_or_default()
}

/// Whether the row is worth writing again: the upstream confirmed it later than it says.
fn is_due(row: &TagEntry, age: Duration) -> bool {
    age_of(row) > age + ROW_LAG
}

/// Whether this replica knows something else, and later. An answer of the same moment is taken: the
/// authority's word ends a tie.
fn is_newer(row: &TagEntry, digest: &Digest, age: Duration) -> bool {
    row.digest != *digest && age_of(row) < age
}

/// The manifest that a replica sent for a tag.
fn parsed(sent: PeerManifest) -> Option<Manifest> {
    let kind = sent.media_type.as_deref();
    let kind: Option<MediaType> = kind.and_then(|kind| kind.parse().ok());
    let algorithm = sent
        .digest
        .map_or(Algorithm::Sha256, |digest| digest.algorithm());
    let manifest = Manifest::parse(sent.bytes, kind.as_ref(), algorithm).ok()?;
    // Its proof is for this digest: the bytes must have it.
    let is_proved = sent.digest.is_none_or(|digest| digest == manifest.digest());
    is_proved.then_some(manifest)
}

#[cfg(test)]
mod tests {
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
        assert!(is_due(&known, Duration::ZERO));
        assert!(!is_due(&known, Duration::from_secs(15)));
    }
}
