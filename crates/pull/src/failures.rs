//! What failed after somebody had waited for it, so that nobody waits for the same again.
//!
//! For a moment after such a failure, whoever asks for the same gets that answer at once. The next
//! request after the moment begins anew, and that goes on by itself: its client waits only as long as
//! it takes to see whether something comes. The first byte ends the memory.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cache::RepoKey;
use manifest_model::Digest;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use upstream::Backoff;

use crate::error::PullError;

/// The moment after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long a client waits for the first sign of what has failed before.
const FIRST_BYTE_WAIT: Duration = Duration::from_millis(700);

/// How long a failure is remembered that nobody has asked about since.
const MEMORY: Duration = Duration::from_mins(1);

/// Failures that are remembered at the same time.
const MAX_FAILURES: usize = 10_000;

/// A blob, and the repository in whose name it is asked for.
pub(super) type BlobKey = (Digest, RepoKey);

/// What has failed, by what was asked for.
#[derive(Debug)]
pub(super) struct Failures<K>(Mutex<HashMap<K, Failure>>);

#[derive(Debug)]
struct Failure {
    error: PullError,
    backoff: Backoff,
    noted: Instant,
    /// Dropped when it is forgotten.
    ongoing: watch::Sender<()>,
}

/// A failure, as one client meets it.
#[derive(Debug)]
pub(super) struct PastFailure {
    error: PullError,
    /// When to begin anew; zero if that may be now.
    retry_in: Duration,
    ongoing: watch::Receiver<()>,
}

impl<K> Default for Failures<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash> Failures<K> {
    /// The failure that a client meets who asks for this now.
    pub(super) fn of(&self, key: &K) -> Option<PastFailure> {
        self.of_at(key, Instant::now())
    }

    fn of_at(&self, key: &K, now: Instant) -> Option<PastFailure> {
        let failures = self.0.lock();
        let failure = failures
            .get(key)
            .filter(|failure| failure.is_remembered(now))?;
        Some(PastFailure {
            error: failure.error.clone(),
            retry_in: (failure.noted + failure.backoff.pause()).saturating_duration_since(now),
            ongoing: failure.ongoing.subscribe(),
        })
    }

    /// What somebody had, or could have, waited for has failed.
    pub(super) fn note(&self, key: &K, error: PullError) {
        self.note_at(key, error, Instant::now(), Backoff::lengthen);
    }

    /// The same of what has failed soon, and may be taken up any moment: its moment does not grow.
    pub(super) fn note_soon(&self, key: &K, error: PullError) {
        self.note_at(key, error, Instant::now(), Backoff::reset);
    }

    fn note_at(&self, key: &K, error: PullError, now: Instant, again: impl FnOnce(&mut Backoff)) {
        let mut failures = self.0.lock();
        if let Some(failure) = failures.get_mut(key)
            && failure.is_remembered(now)
        {
            failure.error = error;
            again(&mut failure.backoff);
            failure.noted = now;
            return;
        }
        if failures.len() >= MAX_FAILURES {
            failures.retain(|_, failure| failure.is_remembered(now));
        }
        if failures.len() < MAX_FAILURES {
            let failure = Failure {
                error,
                backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
                noted: now,
                ongoing: watch::Sender::new(()),
            };
            failures.insert(key.clone(), failure);
        }
    }

    /// The upstream has answered: nobody waits for that again.
    pub(super) fn forget(&self, key: &K) {
        self.0.lock().remove(key);
    }
}

impl Failure {
    fn is_remembered(&self, now: Instant) -> bool {
        now < self.noted + self.backoff.pause() + MEMORY
    }
}

impl PastFailure {
    /// Whether it is too early to begin anew.
    pub(super) fn is_fresh(&self) -> bool {
        !self.retry_in.is_zero()
    }

    /// The answer for who does not wait.
    pub(super) fn error(&self) -> PullError {
        PullError::GaveUp {
            source: Box::new(self.error.clone()),
            retry_in: self.retry_in,
        }
    }

    /// The output of `work`, which has begun anew, if it comes in a moment. As cancel safe as `work`.
    pub(super) async fn bound<T>(&self, work: impl Future<Output = T>) -> Result<T, PullError> {
        let done = timeout(FIRST_BYTE_WAIT, work).await;
        done.map_err(|_| self.error())
    }

    /// Waits a moment for the first byte of a download that has begun anew. Cancel safe.
    pub(super) async fn first_byte(self) -> Result<(), PullError> {
        let mut ongoing = self.ongoing.clone();
        // It has no value: it ends when the failure is forgotten.
        self.bound(async move { ongoing.changed().await.is_err() })
            .await?;
        Ok(())
    }
}

/// Ends the memory of a blob with the first byte of one download, whoever sent it.
#[derive(Debug)]
pub(super) struct FirstByte {
    failures: Arc<Failures<BlobKey>>,
    digest: Digest,
    seen: AtomicBool,
}

impl FirstByte {
    pub(super) fn new(failures: &Arc<Failures<BlobKey>>, digest: Digest) -> Self {
        Self {
            failures: Arc::clone(failures),
            digest,
            seen: AtomicBool::default(),
        }
    }

    /// A byte has come, or there is none to wait for. It is cheap, for each chunk.
    pub(super) fn note(&self) {
        if !self.seen.load(Ordering::Relaxed) && !self.seen.swap(true, Ordering::Relaxed) {
            let mut failures = self.failures.0.lock();
            failures.retain(|(digest, _), _| *digest != self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn blob(name: &str, repository: &str) -> BlobKey {
        let digest = Digest::of(Algorithm::Sha256, name.as_bytes());
        (
            digest,
            RepoKey::new("registry.test", &repository.parse().unwrap()),
        )
    }

    #[test]
    fn a_failure_is_told_at_once_for_a_moment_that_grows_and_only_in_its_repository() {
        let (failures, now) = (Failures::default(), Instant::now());
        let key = blob("layer", "team/app");
        failures.note_at(&key, PullError::Busy, now, Backoff::lengthen);
        let met = failures.of_at(&key, now).unwrap();
        assert!(met.is_fresh());
        assert!(matches!(met.error(), PullError::GaveUp { retry_in, .. } if retry_in == SECOND));
        assert!(!failures.of_at(&key, now + SECOND).unwrap().is_fresh());
        failures.note_at(&key, PullError::Busy, now + SECOND, Backoff::lengthen);
        assert!(failures.of_at(&key, now + 2 * SECOND).unwrap().is_fresh());
        assert!(failures.of_at(&blob("layer", "team/other"), now).is_none());
    }

    #[test]
    fn what_failed_soon_is_told_for_the_first_moment_only_however_often() {
        let (failures, now) = (Failures::default(), Instant::now());
        let key = blob("layer", "team/app");
        for _ in 0..3 {
            failures.note_at(&key, PullError::Busy, now, Backoff::lengthen);
        }
        failures.note_at(&key, PullError::Busy, now, Backoff::reset);
        assert_eq!(failures.of_at(&key, now).unwrap().retry_in, FIRST_PAUSE);
    }

    #[test]
    fn a_failure_that_nobody_asks_about_is_forgotten() {
        let (failures, now) = (Failures::default(), Instant::now());
        let key = blob("layer", "team/app");
        failures.note_at(&key, PullError::Busy, now, Backoff::lengthen);
        let later = now + FIRST_PAUSE + MEMORY;
        assert!(failures.of_at(&key, later).is_none());
        failures.note_at(&key, PullError::Busy, later, Backoff::lengthen);
        let met = failures.of_at(&key, later).unwrap();
        assert_eq!(met.retry_in, FIRST_PAUSE, "it begins anew");
    }

    #[test]
    fn no_more_failures_are_kept_than_there_is_room_for() {
        let (failures, now) = (Failures::default(), Instant::now());
        for at in 0..=MAX_FAILURES {
            failures.note_at(&at, PullError::Busy, now, Backoff::lengthen);
        }
        assert_eq!(failures.0.lock().len(), MAX_FAILURES);
        let later = now + FIRST_PAUSE + MEMORY;
        failures.note_at(&MAX_FAILURES, PullError::Busy, later, Backoff::lengthen);
        assert_eq!(failures.0.lock().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_ends_the_wait_and_the_memory() {
        let failures = Arc::new(Failures::default());
        let key = blob("layer", "team/app");
        failures.note(&key, PullError::Busy);
        let met = || failures.of(&key).unwrap().first_byte();
        assert!(matches!(met().await, Err(PullError::GaveUp { .. })));
        let first = FirstByte::new(&failures, key.0);
        let (waited, ()) = tokio::join!(met(), async { first.note() });
        assert!(waited.is_ok());
        assert!(failures.of(&key).is_none());
        failures.note(&key, PullError::Busy);
        first.note();
        assert!(failures.of(&key).is_some(), "only the first one");
    }
}
