//! The hop to the blocking pool, where all disk work of `async` methods is done.

use cache_store::CacheError;

/// Runs `work` on the blocking pool. It runs to its end even if this future is dropped.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
) -> Result<T, CacheError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(CacheError::Interrupted(error)))
}
