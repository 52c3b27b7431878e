//! How the answers of an HTTP/2 connection run: in its own task as far as that goes at once.
//!
//! hyper gives each request of such a connection a task of its own. Most answers are small and
//! stored: they are whole at the first look, and the task is more work than the answer. Those that
//! have to wait, for their client or for us, go on in a task.
//!
//! What a task of its own would keep from the other requests of the connection, and from those of
//! other connections, is kept from them here: a panic, by catching it; a look that takes long, by
//! making tasks of the requests after it; a client that asks without end, by tokio's budget.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::task::coop;

/// A look that takes longer is at no small stored answer: the choice from a very large index, or a
/// disk that does not answer. It is some ten small answers long.
const LONG_LOOK: Duration = Duration::from_micros(250);

/// How many requests are tasks from their beginning after a long look: as many as a connection may
/// have open.
const TASKS_AFTER_LONG_LOOK: u32 = 100;

/// Runs what is ready at once where it is, and all else as a task. Each connection has its own;
/// clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct InPlace {
    tasks: TokioExecutor,
    /// How many of the next requests are tasks from their beginning.
    to_be_tasks: Arc<AtomicU32>,
}

impl InPlace {
    pub(crate) fn new() -> Self {
        Self {
            tasks: TokioExecutor::new(),
            to_be_tasks: Arc::default(),
        }
    }

    /// Whether the next request may be looked at in the connection's task. Only that task asks.
    fn may_look(&self) -> bool {
        let left = self.to_be_tasks.load(Ordering::Relaxed);
        if left > 0 {
            self.to_be_tasks.store(left - 1, Ordering::Relaxed);
        }
        left == 0
    }
}

impl<F> Executor<F> for InPlace
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut future = Box::pin(future);
        // Nobody is woken by this look: a task of its own looks again.
        let mut look = Context::from_waker(Waker::noop());
        // A client that asks without end must not keep the worker for itself: when the turn of its
        // connection is over, its requests become tasks and queue.
        if self.may_look()
            && let Poll::Ready(turn) = coop::poll_proceed(&mut look)
        {
            turn.made_progress();
            let begun = Instant::now();
            // As in a task of its own, a panic ends this request alone: what is left of it is
            // dropped, which resets its stream. The panic hook has said where it was.
            let looked = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut look)));
            if begun.elapsed() > LONG_LOOK {
                self.to_be_tasks
                    .store(TASKS_AFTER_LONG_LOOK, Ordering::Relaxed);
            }
            if looked.unwrap_or(Poll::Ready(())).is_ready() {
                return;
            }
        }
        self.tasks.execute(future);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::oneshot;

    use super::*;

    /// More than a task may do in one turn.
    const MANY: usize = 1000;

    /// How many of so many futures, which are ready at once, are done when they have been handed over.
    fn done_at_once(executor: &InPlace, futures: usize) -> Arc<AtomicUsize> {
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..futures {
            let count = Arc::clone(&done);
            executor.execute(async move {
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
        done
    }

    async fn until_done(done: &AtomicUsize, futures: usize) {
        while done.load(Ordering::Relaxed) < futures {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_ready_is_done_at_once() {
        let done = done_at_once(&InPlace::new(), 1);
        assert_eq!(done.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_has_to_wait_goes_on_by_itself() {
        let (give, wait) = oneshot::channel();
        let (done, end) = oneshot::channel();
        InPlace::new().execute(async move {
            let given: usize = wait.await.unwrap();
            done.send(given).unwrap();
        });
        give.send(7).unwrap();
        assert_eq!(end.await, Ok(7));
    }

    #[tokio::test]
    async fn a_turn_ends_whoever_asks() {
        let done = done_at_once(&InPlace::new(), MANY);
        assert!(done.load(Ordering::Relaxed) < MANY);
        until_done(&done, MANY).await;
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_request_and_lets_go_of_what_that_held() {
        let executor = InPlace::new();
        let (held, end) = oneshot::channel::<()>();
        executor.execute(async move {
            let _held = held;
            panic!("a route has a fault");
        });
        assert!(end.await.is_err(), "it is dropped");
        until_done(&done_at_once(&executor, 1), 1).await;
    }

    /// A route that holds the thread, as one that waits for a disk or chooses from thousands of
    /// platforms: the requests beside it are not put behind further ones like it.
    #[tokio::test]
    async fn after_a_long_look_as_many_requests_as_can_be_open_are_tasks() {
        let executor = InPlace::new();
        executor.execute(async {
            let begun = Instant::now();
            while begun.elapsed() <= LONG_LOOK {
                std::hint::spin_loop();
            }
        });
        let open = TASKS_AFTER_LONG_LOOK as usize;
        let done = done_at_once(&executor, open);
        assert_eq!(done.load(Ordering::Relaxed), 0);
        until_done(&done, open).await;
        assert!(executor.may_look(), "then it is tried again");
    }
}
