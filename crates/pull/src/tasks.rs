//! Work that outlives the request which started it, and its end at shutdown.
//!
//! Owns the tasks of pulling, prefetching and housekeeping. There are two signals: *closing* ends
//! at once the work no client waits for, *cutting* ends the rest when the grace period is over.
//! Refuses connections and requests: those belong to `server`.

use std::time::Duration;

use cache::DutyCycle;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long cut tasks may take to end. One that cannot, as in a look-up of a name or on a disk
/// that hangs, must not keep the process.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

/// The tasks of the process. Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    closing: CancellationToken,
    cutting: CancellationToken,
}

impl Tasks {
    /// Runs `work` on a task of its own, which shutdown waits for.
    pub fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tracker.spawn(work)
    }

    /// Runs `work` on a thread where it may block; shutdown waits for it.
    pub fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        self.tracker.spawn_blocking(work);
    }

    /// Runs work that clients may wait for; `None` if shutdown has cut it.
    pub async fn until_cut<F: Future>(&self, work: F) -> Option<F::Output> {
        self.cutting.run_until_cancelled(work).await
    }

    /// Runs work that no client waits for; `None` if shutdown began first.
    pub async fn until_closing<F: Future>(&self, work: F) -> Option<F::Output> {
        self.closing.run_until_cancelled(work).await
    }

    /// Whether shutdown has begun.
    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// The pace of background work. Called between its steps, the function rests where that is due
    /// and returns false once shutdown has begun.
    pub fn background_pace(&self) -> impl Fn() -> bool + Send + use<> {
        let (duty, closing) = (DutyCycle::begin(), self.closing.clone());
        move || {
            duty.rest();
            !closing.is_cancelled()
        }
    }

    /// Ends the work that no client waits for.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Begins shutdown: gives fetches and fills `grace` to reach the disk, then cuts them. To be
    /// called when no client is left.
    pub async fn drain(&self, grace: Duration) {
        self.close();
        self.tracker.close();
        if timeout(grace, self.tracker.wait()).await.is_ok() {
            return;
        }
        let unfinished = self.tracker.len();
        tracing::warn!(unfinished, "cutting downloads that did not finish in time");
        self.cutting.cancel();
        if timeout(CUT_TIMEOUT, self.tracker.wait()).await.is_err() {
            let unfinished = self.tracker.len();
            tracing::warn!(unfinished, "some tasks do not stop; leaving them behind");
        }
    }
}
