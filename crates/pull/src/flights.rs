//! One run for all callers that ask for the same thing at the same time.
//!
//! A run goes on when its callers leave, since a client that was cut off comes again, but not for
//! ever and not at the cost of others: before it has its slot it ends with its last caller, later
//! after a grace, or as soon as somebody else waits for the slot.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::Shared};
use parking_lot::Mutex;
use slots::{Claim, Slot, Slots};
use tokio::sync::{oneshot, watch};
use tracing::Instrument;
use upstream::Deadline;

use crate::tasks::Tasks;

/// How long a run goes on without a caller. Longer than an upstream may take to answer by default:
/// a slow one must be heard at last, or a stale tag would never be confirmed.
const GRACE: Duration = Duration::from_secs(30);

/// Why a run has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRun {
    /// No slot came free in time.
    NoSlot,
    /// Shutdown or a panic ended it.
    Cut,
    /// The caller cannot wait for it any longer. The run goes on.
    OutOfTime,
}

/// The slot that a run needs before it may begin.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) slots: Slots,
    pub(super) claim: Claim,
    /// How long it waits for the slot.
    pub(super) wait: Duration,
}

/// Runs under way, by key.
#[derive(Debug)]
pub(super) struct Flights<K, V> {
    running: Runs<K, V>,
    tasks: Tasks,
}

type Runs<K, V> = Arc<Mutex<HashMap<K, Run<V>>>>;

type Landed<V> = Result<V, NoRun>;

/// Of a run: what comes of it, and the time it has.
type Awaited<V> = (Shared<oneshot::Receiver<Landed<V>>>, Deadline);

#[derive(Debug)]
struct Run<V> {
    outcome: Shared<oneshot::Receiver<Landed<V>>>,
    /// The number of callers. It grows under the lock of the map alone.
    callers: Arc<watch::Sender<usize>>,
    /// Of the caller that began it: no call of it lasts longer.
    deadline: Deadline,
    began: Instant,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(tasks: Tasks) -> Self {
        Self {
            running: Arc::default(),
            tasks,
        }
    }

    /// The result of `work`, or of the run of the same key that is under way. A new run begins once
    /// it has its `seat`, where it needs one.
    pub(super) async fn join<F>(
        &self,
        key: K,
        seat: Option<Seat>,
        deadline: &Deadline,
        work: impl FnOnce() -> F,
    ) -> Result<V, NoRun>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let ((outcome, of_run), _caller) = self.start(key, seat, deadline, work);
        match deadline.bound_with(&of_run, outcome).await {
            Some(outcome) => outcome.unwrap_or(Err(NoRun::Cut)),
            None => Err(NoRun::OutOfTime),
        }
    }

    /// For how long a run has been under way; `None` if it is not.
    pub(super) fn under_way(&self, key: &K) -> Option<Duration> {
        self.running.lock().get(key).map(|run| run.began.elapsed())
    }

    fn start<F>(
        &self,
        key: K,
        seat: Option<Seat>,
        deadline: &Deadline,
        work: impl FnOnce() -> F,
    ) -> (Awaited<V>, Caller)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut running = self.running.lock();
        if let Some(run) = running.get(&key) {
            let outcome = (run.outcome.clone(), run.deadline.clone());
            return (outcome, Caller::of(&run.callers));
        }
        let (sender, receiver) = oneshot::channel();
        let outcome = receiver.shared();
        let callers = Arc::new(watch::Sender::new(0));
        let caller = Caller::of(&callers);
        let run = Run {
            outcome: outcome.clone(),
            callers: Arc::clone(&callers),
            deadline: deadline.clone(),
            began: Instant::now(),
        };
        running.insert(key.clone(), run);
        let landing = Landing {
            running: Arc::clone(&self.running),
            key,
            callers,
        };
        let (work, tasks) = (work(), self.tasks.clone());
        let run = async move {
            let outcome = tasks.until_cut(landing.run(seat, work)).await;
            // Off the map before the answer goes out: a caller that comes after it starts anew.
            drop(landing);
            if let Some(Some(outcome)) = outcome {
                let _ = sender.send(outcome);
            }
        };
        self.tasks.spawn(run.in_current_span());
        ((outcome, deadline.clone()), caller)
    }
}

/// A caller of a run, for as long as it waits.
struct Caller(Arc<watch::Sender<usize>>);

impl Caller {
    fn of(callers: &Arc<watch::Sender<usize>>) -> Self {
        callers.send_modify(|count| *count += 1);
        Self(Arc::clone(callers))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Takes a run off the map, also when its task panics or is dropped.
struct Landing<K: Eq + Hash, V> {
    running: Runs<K, V>,
    key: K,
    callers: Arc<watch::Sender<usize>>,
}

impl<K: Eq + Hash, V> Landing<K, V> {
    /// The outcome; `None` if the run has ended for want of callers.
    async fn run(&self, seat: Option<Seat>, work: impl Future<Output = V>) -> Option<Landed<V>> {
        let slot = match seat {
            None => None,
            Some(Seat { slots, claim, wait }) => tokio::select! {
                slot = slots.take(claim, wait) => match slot {
                    Some(slot) => Some(slot),
                    None => return Some(Err(NoRun::NoSlot)),
                },
                () = self.abandoned(Duration::ZERO) => return None,
            },
        };
        tokio::select! {
            value = work => Some(Ok(value)),
            () = self.abandoned(GRACE) => None,
            () = self.recalled(slot.as_ref()) => None,
        }
    }

    /// Returns once there was no caller for `grace`, and the run is off the map.
    async fn abandoned(&self, grace: Duration) {
        let mut callers = self.callers.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        loop {
            let _ = callers.wait_for(|count| *count == 0).await;
            let again = callers.wait_for(|count| *count > 0);
            let is_over = tokio::time::timeout(grace, again).await.is_err();
            if is_over && self.leave_unless_called() {
                return;
            }
        }
    }

    /// Returns once the slot is wanted by others and there is no caller; the run is off the map.
    async fn recalled(&self, slot: Option<&Slot>) {
        let Some(slot) = slot else {
            return std::future::pending().await;
        };
        loop {
            slot.recalled_unless(|| *self.callers.borrow() > 0).await;
            if self.leave_unless_called() {
                return;
            }
        }
    }

    /// Takes the run off the map, unless a caller has come: no later one can wait for it then.
    fn leave_unless_called(&self) -> bool {
        let mut running = self.running.lock();
        let is_called = *self.callers.borrow() > 0;
        if !is_called {
            self.remove_from(&mut running);
        }
        !is_called
    }

    fn remove_from(&self, running: &mut HashMap<K, Run<V>>) {
        let current = running.get(&self.key);
        if current.is_some_and(|run| Arc::ptr_eq(&run.callers, &self.callers)) {
            running.remove(&self.key);
        }
    }
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.remove_from(&mut self.running.lock());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::IpAddr,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use slots::{Asker, SlotCounts};

    use super::*;

    fn deadline() -> Deadline {
        let config = config::Config::parse("archway.toml", "").unwrap().upstreams;
        let host = "docker.io".parse().unwrap();
        Deadline::new(&config.find(&host).unwrap())
    }

    #[tokio::test]
    async fn all_who_ask_at_the_same_time_share_one_run() {
        let deadline = deadline();
        let flights = Flights::new(Tasks::default());
        let runs = Arc::new(AtomicUsize::new(0));
        let (release, gate) = oneshot::channel::<()>();
        let gate = gate.shared();
        let ask = || {
            let (runs, gate) = (Arc::clone(&runs), gate.clone());
            flights.join("key", None, &deadline, move || async move {
                runs.fetch_add(1, Ordering::SeqCst);
                let _ = gate.await;
                42
            })
        };
        let asked = futures_util::future::join_all([ask(), ask(), ask()]);
        let release = async { release.send(()) };
        let (answers, _) = tokio::join!(asked, release);
        assert_eq!(answers, [Ok(42), Ok(42), Ok(42)]);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_run_goes_on_when_the_one_who_asked_leaves() {
        let flights = Flights::new(Tasks::default());
        let (release, gate) = oneshot::channel::<()>();
        let (done, finished) = oneshot::channel();
        drop(flights.start("key", None, &deadline(), move || async move {
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
            flights
                .join("key", None, &deadline(), || async { panic!("on purpose") })
                .await,
            Err(NoRun::Cut)
        );
        assert_eq!(
            flights.join("key", None, &deadline(), || async { 1 }).await,
            Ok(1)
        );
    }

    fn seat(slots: &Slots, client: [u8; 4]) -> Seat {
        Seat {
            slots: slots.clone(),
            claim: Claim {
                upstream: "registry.test".parse().unwrap(),
                asker: Asker::Client(IpAddr::from(client).into()),
            },
            wait: Duration::from_mins(1),
        }
    }

    #[tokio::test]
    async fn a_run_without_callers_gives_its_slot_to_who_waits() {
        let flights = Flights::<_, u8>::new(Tasks::default());
        let slots = Slots::new(1, SlotCounts::default());
        let stuck = || std::future::pending();
        drop(flights.start(
            "left",
            Some(seat(&slots, [192, 0, 2, 1])),
            &deadline(),
            stuck,
        ));
        let own = deadline();
        let next = flights.join("next", Some(seat(&slots, [192, 0, 2, 2])), &own, || async {
            1
        });
        assert_eq!(next.await, Ok(1));
        assert!(flights.running.lock().is_empty());
    }

    #[tokio::test]
    async fn a_run_that_has_no_slot_yet_ends_with_its_last_caller() {
        let flights = Flights::<_, u8>::new(Tasks::default());
        let slots = Slots::new(1, SlotCounts::default());
        let stuck = || std::future::pending();
        let (_, _caller) = flights.start(
            "first",
            Some(seat(&slots, [192, 0, 2, 1])),
            &deadline(),
            stuck,
        );
        tokio::task::yield_now().await;
        for key in ["second", "third"] {
            drop(flights.start(key, Some(seat(&slots, [192, 0, 2, 1])), &deadline(), stuck));
        }
        while flights.running.lock().len() > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(slots.usage(), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_without_callers_ends_after_a_grace() {
        let flights = Flights::<_, u8>::new(Tasks::default());
        drop(flights.start("left", None, &deadline(), std::future::pending));
        tokio::time::sleep(GRACE / 2).await;
        assert_eq!(flights.running.lock().len(), 1);
        tokio::time::sleep(GRACE).await;
        assert!(flights.running.lock().is_empty());
    }
}
