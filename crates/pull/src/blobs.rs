//! Blobs: stored, being filled, filled from now on, or past the cache where they cannot be stored.
//!
//! Owns the rule that bytes are readable through a repository only if its upstream has them there. Refuses how a fill gets its bytes (`fill`) and
//! how they reach a client (`body`).

mod confirmations;

use std::{sync::Arc, time::Duration};

use cache::{Blob, Cache, CacheError, FillError, Follower, Joined};
use manifest_model::Digest;
use slots::{AllSlots, Asker, Slots};
use tier::Tier;
use tokio::time::timeout;
use tracing::{debug, error};
use upstream::Resource;

use self::confirmations::Confirmations;
use crate::{
    Outcome, PullError, Repository,
    announced::AnnouncedSizes,
    body::{BlobBytes, BlobPlace},
    error::FillFailure,
    failures::PastFailure,
    fill::{Filler, SLOT_WAIT, sources},
    flights::NoRun,
    tasks::Tasks,
};

/// How many fills of other repositories may fail one after another for one request that joins them.
const MAX_JOINS: usize = 3;

/// How long who has waited for a slot already waits for one past the cache: the moment in which one that
/// its client makes no use of is taken back.
const RECALL_WAIT: Duration = Duration::from_millis(200);

/// The size of a blob whose fill was answered, or why there is none.
type FilledSize = Result<Option<u64>, Arc<FillError>>;

/// A blob and where it came from.
#[derive(Debug)]
pub struct BlobAnswer {
    /// Its size; unknown only for a fill whose upstream does not send it.
    pub size: Option<u64>,
    /// Where it came from.
    pub outcome: Outcome,
    /// Its bytes, to be read.
    pub bytes: BlobBytes,
}

/// The way to the bytes of every blob.
#[derive(Debug)]
pub(super) struct Blobs {
    cache: Cache,
    filler: Arc<Filler>,
    announced: AnnouncedSizes,
    /// One slot for each client of a download that bypasses the cache.
    bypasses: Slots,
    confirmations: Confirmations,
}

impl Blobs {
    pub(super) fn new(
        cache: Cache,
        filler: Arc<Filler>,
        announced: AnnouncedSizes,
        slots: &AllSlots,
        tier: Option<Tier>,
        tasks: Tasks,
    ) -> Self {
        Self {
            confirmations: Confirmations::new(cache.clone(), slots.calls.clone(), tier, tasks),
            cache,
            filler,
            announced,
            bypasses: slots.bypasses.clone(),
        }
    }

    /// The blob `digest`, if `repository` has it. The first request for a blob that is not stored
    /// starts its fill; the others follow. Returns when the size is known, before the bytes are
    /// there.
    ///
    /// A fill asks in the name of the repository that started it. If the upstream fails it, that is
    /// no answer for another repository: its followers join anew, and may start a fill in their own
    /// name.
    pub(super) async fn get(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<BlobAnswer, PullError> {
        let repository = &*repository.source_of(&self.cache, digest);
        if repository.upstream.is_offline() {
            let blob = self.held(repository, digest)?;
            if !blob.is_sound().await {
                error!(%digest, "a blob of a bundle that is served as it is is damaged");
                return Err(Arc::new(CacheError::Damaged { digest: *digest }).into());
            }
            let (size, place) = (Some(blob.size()), BlobPlace::Stored(blob));
            return Ok(self.blob(repository, digest, size, Outcome::Hit, place));
        }
        for _ in 0..MAX_JOINS {
            match self.join(repository, digest).await {
                Err(PullError::Fill(error)) if is_of_another(&error, repository) => {
                    debug!(%digest, "the download of another repository failed; joining anew");
                }
                Err(PullError::Fill(error))
                    if matches!(FillFailure::of(&error), FillFailure::GaveWay) =>
                {
                    debug!(%digest, "the download gave way as somebody came; joining anew");
                }
                answer => return answer,
            }
        }
        self.bypass(repository, digest, Outcome::Miss, SLOT_WAIT)
            .await
    }

    async fn join(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<BlobAnswer, PullError> {
        let failure = self.failure(repository, digest)?;
        match self.cache.join(digest)? {
            Joined::Leading(fill, mut follower) => {
                repository.deadline();
                let announced = self.announced.of(&repository.key, digest);
                self.filler.start(repository.clone(), fill, announced);
                if let Some(failure) = failure {
                    failure.first_byte().await?;
                }
                // A follower's upstream may have answered in place of this one.
                if let Ok(size) = self.size_in_time(repository, digest, &mut follower).await? {
                    self.confirmations.link(repository, digest, size).await?;
                }
                self.following(repository, digest, follower, Outcome::Fill)
                    .await
            }
            Joined::Stored(blob) => {
                let size = Some(blob.size());
                self.confirmations.link(repository, digest, size).await?;
                let place = BlobPlace::Stored(blob);
                Ok(self.blob(repository, digest, size, Outcome::Hit, place))
            }
            Joined::Following(mut follower) => {
                debug!(%digest, "following a download");
                if matches!(repository.asker, Asker::Replica(_))
                    && let Some(sources) = self.filler.running().of(digest)
                {
                    sources.ask_no_replica();
                }
                // The client waits from here on; a confirmation gets what is left.
                repository.deadline();
                if let Some(failure) = failure {
                    failure.first_byte().await?;
                }
                let Some(answered) = self.shared(repository, digest, &mut follower).await? else {
                    debug!(%digest, "another upstream is silent; going past its download");
                    return self
                        .bypass(repository, digest, Outcome::Miss, SLOT_WAIT)
                        .await;
                };
                if let Ok(size) = answered {
                    self.confirmations.link(repository, digest, size).await?;
                    // Its upstream has it, and the download may go on there.
                    self.filler.running().add(digest, repository);
                }
                let outcome = if follower.blob().is_some() {
                    Outcome::Hit
                } else {
                    Outcome::Follow
                };
                self.following(repository, digest, follower, outcome).await
            }
        }
    }

    /// The size of the blob that is followed, or why there is none; `None` if it comes from another
    /// upstream, which has not answered in time. One's own is worth the whole wait.
    async fn answered(
        &self,
        repository: &Repository,
        digest: &Digest,
        follower: &mut Follower,
    ) -> Result<Option<FilledSize>, PullError> {
        let (host, running) = (repository.upstream.host(), self.filler.running().of(digest));
        if running.is_some_and(|sources| !sources.are_of(host)) {
            return Ok(timeout(sources::PAUSE, follower.size()).await.ok());
        }
        let size = self.size_in_time(repository, digest, follower).await?;
        Ok(Some(size))
    }

    /// The size of the blob that is followed, or why there is none; an error if it does not come
    /// while the client waits. The time in which the fill waits for rates does not count.
    async fn size_in_time(
        &self,
        repository: &Repository,
        digest: &Digest,
        follower: &mut Follower,
    ) -> Result<FilledSize, PullError> {
        let Some(sources) = self.filler.running().of(digest) else {
            // It has just ended.
            return Ok(follower.size().await);
        };
        let (deadline, of_fill) = (repository.deadline(), sources.deadline());
        let size = deadline.bound_with(of_fill, follower.size()).await;
        size.ok_or_else(|| repository.without_result(NoRun::OutOfTime))
    }

    /// The same for a client that is to have the bytes. If another upstream is silent, the download
    /// may go on at this one, which has said that it has the blob: so all its clients share that
    /// download. `None` if they may not.
    async fn shared(
        &self,
        repository: &Repository,
        digest: &Digest,
        follower: &mut Follower,
    ) -> Result<Option<FilledSize>, PullError> {
        let answered = self.answered(repository, digest, follower).await?;
        if answered.is_some() {
            return Ok(answered);
        }
        self.confirmations.size(repository, digest).await?;
        repository.link(&self.cache, digest).await;
        if !self.filler.running().add(digest, repository) {
            return Ok(None);
        }
        debug!(%digest, "another upstream is silent; its download may go on at this one");
        let size = self.size_in_time(repository, digest, follower).await?;
        Ok(Some(size))
    }

    /// The failure of an earlier download, where this client is not to wait for the next one; an
    /// error where none is to begin yet.
    fn failure(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<PastFailure>, PullError> {
        let key = (*digest, repository.key.clone());
        let Some(failure) = self.filler.failures().of(&key) else {
            return Ok(None);
        };
        let is_coming = self.cache.follow(digest).is_some() || self.cache.stored(digest)?.is_some();
        if failure.is_fresh() && !is_coming {
            debug!(%digest, "its download has failed just now");
            return Err(failure.error());
        }
        Ok(Some(failure))
    }

    /// The size of the blob `digest`, for a client that only wants to know whether it is there:
    /// nothing is downloaded for it.
    pub(super) async fn size(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(Option<u64>, Outcome), PullError> {
        let repository = &*repository.source_of(&self.cache, digest);
        if repository.upstream.is_offline() {
            let blob = self.held(repository, digest)?;
            return Ok((Some(blob.size()), Outcome::Hit));
        }
        if let Some(blob) = self.cache.stored(digest)? {
            let size = Some(blob.size());
            self.confirmations.link(repository, digest, size).await?;
            return Ok((size, Outcome::Hit));
        }
        if let Some(mut follower) = self.cache.follow(digest) {
            debug!(%digest, "following a download");
            repository.deadline();
            match self.answered(repository, digest, &mut follower).await? {
                // A stranger's upstream is silent; ours may not be.
                None => {}
                Some(Ok(size)) => {
                    self.confirmations.link(repository, digest, size).await?;
                    return Ok((size, Outcome::Follow));
                }
                // Neither tells whether the upstream has the blob in this repository.
                Some(Err(error))
                    if is_unstored(&error)
                        || is_of_another(&error, repository)
                        || has_yielded(&error) => {}
                Some(Err(error)) => return Err(reported(error)),
            }
        }
        let size = self.confirmations.size(repository, digest).await?;
        repository.link(&self.cache, digest).await;
        let size = size.or_else(|| self.announced.of(&repository.key, digest));
        Ok((size, Outcome::Miss))
    }

    /// A blob of an offline upstream, which nobody will ever bring or prove: it is stored and was
    /// proved, or is not here.
    fn held(&self, repository: &Repository, digest: &Digest) -> Result<Blob, PullError> {
        let absent = || repository.not_here(Resource::Blob);
        if !self.cache.is_confirmed(&repository.key, digest) {
            return Err(absent());
        }
        self.cache.stored(digest)?.ok_or_else(absent)
    }

    async fn following(
        &self,
        repository: &Repository,
        digest: &Digest,
        mut follower: Follower,
        outcome: Outcome,
    ) -> Result<BlobAnswer, PullError> {
        match follower.size().await {
            Ok(size) => {
                let place = BlobPlace::Arriving(follower);
                Ok(self.blob(repository, digest, size, outcome, place))
            }
            Err(error) if is_unstored(&error) => {
                if !error.is_sent_past() {
                    debug!(%digest, "the disk will not take a blob; it bypasses the cache");
                }
                self.bypass(repository, digest, outcome, SLOT_WAIT).await
            }
            // It has waited already.
            Err(error)
                if matches!(FillFailure::of(&error), FillFailure::NoSlot)
                    && repository.asker != Asker::Ahead =>
            {
                self.bypass(repository, digest, outcome, RECALL_WAIT).await
            }
            Err(error) => Err(reported(error)),
        }
    }

    async fn bypass(
        &self,
        repository: &Repository,
        digest: &Digest,
        outcome: Outcome,
        wait: Duration,
    ) -> Result<BlobAnswer, PullError> {
        let wait = wait.min(repository.deadline().left());
        let slot = self.bypasses.take(repository.claim(), wait).await;
        let place = BlobPlace::Upstream(slot.ok_or(PullError::Busy)?);
        let size = self.confirmations.size(repository, digest).await?;
        Ok(self.blob(repository, digest, size, outcome, place))
    }

    fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: Option<u64>,
        outcome: Outcome,
        place: BlobPlace,
    ) -> BlobAnswer {
        BlobAnswer {
            size,
            outcome,
            bytes: BlobBytes {
                digest: *digest,
                repository: repository.clone(),
                size,
                bypasses: self.bypasses.clone(),
                place,
            },
        }
    }
}

/// Whether the fill has made room for others, so that the upstream was not heard out.
fn has_yielded(error: &FillError) -> bool {
    matches!(
        FillFailure::of(error),
        FillFailure::NoSlot | FillFailure::GaveWay
    )
}

/// Whether our disk failed, and not the source of the bytes.
fn is_unstored(error: &FillError) -> bool {
    matches!(FillFailure::of(error), FillFailure::Storage)
}

/// Whether the fill failed over an answer to another repository's question.
fn is_of_another(error: &FillError, repository: &Repository) -> bool {
    match FillFailure::of(error) {
        FillFailure::Source { repository: of, .. } => *of != repository.key,
        _ => false,
    }
}

/// The error a client gets: failures of our own making have a name of their own.
fn reported(error: Arc<FillError>) -> PullError {
    match FillFailure::of(&error) {
        FillFailure::NoSlot => PullError::Busy,
        FillFailure::Abandoned => PullError::Interrupted,
        _ => PullError::Fill(error),
    }
}
