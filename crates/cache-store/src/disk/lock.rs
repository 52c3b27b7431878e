//! The directory's lock: exclusive for its owner, or shared for a moment by readers of the index.

use std::{
    fs::{File, TryLockError},
    io, mem,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use tracing::info;

use super::private;
use crate::error::CacheError;

/// How long an owner waits for readers of the index. On a large index they need seconds.
const READERS_TIMEOUT: Duration = Duration::from_secs(10);

/// The time between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Takes the directory for this process alone, until the file is closed. Waits for readers of the
/// index, but not for another owner.
pub(super) fn own(root: &Path) -> Result<File, CacheError> {
    let path = root.join("lock");
    let lock = private::create(&path).map_err(CacheError::io("create", &path))?;
    let mut has_logged = false;
    let taken = retry(|| match lock.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let answer = is_only_read(&lock);
            if answer.is_none() && !mem::replace(&mut has_logged, true) {
                info!(path = %root.display(), "waiting for readers of the cache index");
            }
            answer
        }
        Err(TryLockError::Error(error)) => Some(Err(error)),
        Ok(()) => Some(Ok(true)),
    });
    match taken {
        Some(Ok(true)) => Ok(lock),
        Some(Ok(false)) | None => Err(CacheError::Locked { path: root.into() }),
        Some(Err(error)) => Err(CacheError::io("lock", path)(error)),
    }
}

/// `None` while only readers hold the lock; `false` if an owner does.
fn is_only_read(lock: &File) -> Option<io::Result<bool>> {
    match lock.try_lock_shared() {
        Ok(()) => lock.unlock().err().map(Err),
        Err(TryLockError::WouldBlock) => Some(Ok(false)),
        Err(TryLockError::Error(error)) => Some(Err(error)),
    }
}

/// Repeats `attempt` until it answers; `None` after 10 seconds. Blocks.
pub fn retry<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + READERS_TIMEOUT;
    loop {
        let answer = attempt();
        if answer.is_some() || Instant::now() >= until {
            return answer;
        }
        thread::sleep(RETRY_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_waits_for_readers_and_for_no_other_owner() {
        let folder = tempfile::tempdir().unwrap();
        let reader = File::create(folder.path().join("lock")).unwrap();
        reader.lock_shared().unwrap();
        let another = File::open(folder.path().join("lock")).unwrap();
        assert!(is_only_read(&another).is_none(), "retry");
        let owner = thread::scope(|scope| {
            let owner = scope.spawn(|| own(folder.path()));
            drop(reader);
            owner.join().unwrap().unwrap()
        });
        assert!(matches!(is_only_read(&another), Some(Ok(false))));
        let second = own(folder.path());
        assert!(
            matches!(second, Err(CacheError::Locked { .. })),
            "{second:?}"
        );
        drop(owner);
    }

    #[test]
    fn an_attempt_without_an_answer_is_repeated() {
        let mut tries = 0;
        let answer = retry(|| {
            tries += 1;
            (tries == 3).then_some(tries)
        });
        assert_eq!(answer, Some(3));
    }
}
