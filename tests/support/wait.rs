//! Waiting for conditions, with a deadline that names what did not happen.

use std::future::Future;
use std::time::Duration;

/// How long anything that should happen at once may take on a machine with far too much to do.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// How often [`eventually`] looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The future's output; panics with `what` when it does not come before [`DEADLINE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    within_for(DEADLINE, what, future).await
}

/// The same with another deadline, for what moves a lot of data.
pub async fn within_for<T>(deadline: Duration, what: &str, future: impl Future<Output = T>) -> T {
    let output = tokio::time::timeout(deadline, future).await;
    output.unwrap_or_else(|_| panic!("not within {deadline:?}: {what}"))
}

/// Asks `probe` again and again until it gives a value; panics with `what` after [`DEADLINE`].
pub async fn eventually<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_for(DEADLINE, what, probe).await
}

/// The same for what takes longer.
pub async fn eventually_for<T>(
    deadline: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    within_for(deadline, what, async {
        loop {
            if let Some(value) = probe().await {
                return value;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    })
    .await
}
