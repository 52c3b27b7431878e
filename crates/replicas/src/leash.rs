//! What the authority said of a tag, for the moment in which it is not asked again.

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

/// How long an answer of the authority is given out without asking it again.
pub const LEASH: Duration = Duration::from_secs(1);

/// How much older the record of a tag becomes than the authority's before it is written again.
pub const ROW_LAG: Duration = Duration::from_secs(20);

/// Names whose last question is remembered.
const MAX_LEASHES: u64 = 100_000;

/// The last answer for each name. Whoever asks holds a lock: others wait for the same answer.
pub struct Leashes<K, S>(moka::sync::Cache<K, Leash<S>>);

type Leash<S> = Arc<Mutex<Option<(Instant, S)>>>;

impl<K, S> fmt::Debug for Leashes<K, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Leashes")
    }
}

impl<K, S> Default for Leashes<K, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    S: Send + Sync + 'static,
{
    fn default() -> Self {
        Self(moka::sync::Cache::new(MAX_LEASHES))
    }
}

impl<K, S> Leashes<K, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    S: Copy + Send + Sync + 'static,
{
    /// What was said of `key` a moment ago, else what `ask` says now, which gets the rest of `limit`.
    /// Waiting for another's question is part of that, too: `None` if it takes all of it.
    pub async fn said<F: Future<Output = S>>(
        &self,
        key: K,
        limit: Duration,
        ask: impl FnOnce(Duration) -> F,
    ) -> Option<S> {
        let end = Instant::now() + limit;
        let leash = self.0.get_with(key, Arc::default);
        let mut last = timeout_at(end, leash.lock()).await.ok()?;
        if let Some((at, said)) = *last
            && at.elapsed() < LEASH
        {
            return Some(said);
        }
        let said = ask(end.saturating_duration_since(Instant::now())).await;
        *last = Some((Instant::now(), said));
        Some(said)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicU32, Ordering},
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(4);

    #[tokio::test(start_paused = true)]
    async fn one_question_is_asked_for_all_and_for_a_second() {
        let (leashes, asked) = (Leashes::<u8, u32>::default(), AtomicU32::new(0));
        let ask = |_| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            asked.fetch_add(1, Ordering::Relaxed)
        };
        let both = tokio::join!(leashes.said(1, LIMIT, ask), leashes.said(1, LIMIT, ask));
        assert_eq!(both, (Some(0), Some(0)));
        tokio::time::advance(LEASH).await;
        assert_eq!(leashes.said(1, LIMIT, ask).await, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_anothers_question_is_part_of_ones_own() {
        let leashes = Leashes::<u8, u32>::default();
        let begun = Instant::now();
        let first = leashes.said(1, LIMIT, |limit| async move {
            tokio::time::sleep(limit).await;
            7
        });
        let late = async {
            tokio::time::sleep(LIMIT / 2).await;
            leashes.said(1, LIMIT, |_| pending()).await
        };
        let (first, late) = tokio::join!(first, late);
        assert_eq!((first, late), (Some(7), Some(7)));
        assert_eq!(begun.elapsed(), LIMIT);

        let leash = leashes.0.get(&1).unwrap();
        let _held = leash.lock().await;
        assert_eq!(leashes.said(1, LIMIT, |_| pending()).await, None);
    }
}
