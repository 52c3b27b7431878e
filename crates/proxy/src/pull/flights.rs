//! One run for all callers that ask for the same thing at the same time.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use futures_util::{FutureExt, future::Shared};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::tasks::Tasks;

type RunsByKey<K, V> = Arc<Mutex<HashMap<K, Shared<oneshot::Receiver<V>>>>>;

/// Runs under way, by key.
///
/// A run has a task of its own: it continues when the callers that wait for it leave.
#[derive(Debug)]
pub(super) struct Flights<K, V> {
    running: RunsByKey<K, V>,
    tasks: Tasks,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(tasks: Tasks) -> Self {
        Self {
            running: Arc::default(),
            tasks,
        }
    }

    /// The result of `work`, or of the run of the same key that is under way. `None` if shutdown or
    /// a panic ended it.
    pub(super) async fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        self.start(key, work).await.ok()
    }

    fn start<F>(&self, key: K, work: impl FnOnce() -> F) -> Shared<oneshot::Receiver<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut running = self.running.lock();
        if let Some(shared) = running.get(&key) {
            return shared.clone();
        }
        let (sender, receiver) = oneshot::channel();
        let shared = receiver.shared();
        running.insert(key.clone(), shared.clone());
        let landing = Landing {
            running: Arc::clone(&self.running),
            key,
        };
        let (work, tasks) = (work(), self.tasks.clone());
        self.tasks.spawn(async move {
            let outcome = tasks.until_cut(work).await;
            // Off the map before the answer goes out: a caller that comes after it starts anew.
            drop(landing);
            if let Some(outcome) = outcome {
                let _ = sender.send(outcome);
            }
        });
        shared
    }
}

/// Takes a run off the map, also when its task panics or is dropped.
struct Landing<K: Eq + Hash, V> {
    running: RunsByKey<K, V>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.running.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn all_who_ask_at_the_same_time_share_one_run() {
        let flights = Flights::new(Tasks::default());
        let runs = Arc::new(AtomicUsize::new(0));
        let (release, gate) = oneshot::channel::<()>();
        let gate = gate.shared();
        let ask = || {
            let (runs, gate) = (Arc::clone(&runs), gate.clone());
            flights.join("key", move || async move {
                runs.fetch_add(1, Ordering::SeqCst);
                let _ = gate.await;
                42
            })
        };
        let asked = futures_util::future::join_all([ask(), ask(), ask()]);
        let release = async { release.send(()) };
        let (answers, _) = tokio::join!(asked, release);
        assert_eq!(answers, [Some(42), Some(42), Some(42)]);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_run_goes_on_when_the_one_who_asked_leaves() {
        let flights = Flights::new(Tasks::default());
        let (release, gate) = oneshot::channel::<()>();
        let (done, finished) = oneshot::channel();
        drop(flights.start("key", move || async move {
            let _ = gate.await;
            let _ = done.send(());
        }));
        release.send(()).unwrap();
        finished.await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_leaves_no_run_behind() {
        let flights = Flights::<_, u8>::new(Tasks::default());
        assert_eq!(
            flights.join("key", || async { panic!("on purpose") }).await,
            None
        );
        assert_eq!(flights.join("key", || async { 1 }).await, Some(1));
    }
}
