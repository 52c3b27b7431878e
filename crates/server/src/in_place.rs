//! How the answers of an HTTP/2 connection run: in its own task as far as that goes at once.
//!
//! hyper gives each request of such a connection a task of its own. Most answers are small and
//! stored: they are whole at the first look, and the task is more work than the answer. Those that
//! have to wait, for their client or for us, go on in a task.

use std::{
    future::Future,
    task::{Context, Poll, Waker},
};

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::task::coop;

/// Runs what is ready at once where it is, and all else as a task.
#[derive(Clone, Debug)]
pub(crate) struct InPlace(TokioExecutor);

impl InPlace {
    pub(crate) fn new() -> Self {
        Self(TokioExecutor::new())
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
        if let Poll::Ready(turn) = coop::poll_proceed(&mut look) {
            turn.made_progress();
            if future.as_mut().poll(&mut look).is_ready() {
                return;
            }
        }
        self.0.execute(future);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::sync::oneshot;

    use super::*;

    /// More than a task may do in one turn.
    const MANY: usize = 1000;

    #[tokio::test]
    async fn what_is_ready_is_done_at_once() {
        let done = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&done);
        InPlace::new().execute(async move {
            count.fetch_add(1, Ordering::Relaxed);
        });
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
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..MANY {
            let count = Arc::clone(&done);
            InPlace::new().execute(async move {
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert!(done.load(Ordering::Relaxed) < MANY);
        while done.load(Ordering::Relaxed) < MANY {
            tokio::task::yield_now().await;
        }
    }
}
