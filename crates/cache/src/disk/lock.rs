//! Whose the directory is: one owner's for as long as it runs, or for a moment that of all who look at the index.

use std::{
    fs::{File, TryLockError},
    io, mem,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use tracing::info;

use crate::error::CacheError;

/// How long somebody waits for those who look at the index: they need seconds, on a large one.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is tried meanwhile.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// Takes the directory for this process alone, until the file is closed. An owner is not waited for.
pub(super) fn own(root: &Path) -> Result<File, CacheError> {
    let path = root.join("lock");
    let lock = File::create(&path).map_err(CacheError::io("create", &path))?;
    let mut has_said = false;
    let taken = patiently(|| match lock.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let answer = is_only_looked_at(&lock);
            if answer.is_none() && !mem::replace(&mut has_said, true) {
                info!(path = %root.display(), "waiting for those who look at the cache's index");
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

/// Nothing yet, if those who have the directory would share it; else that it is not to be had.
fn is_only_looked_at(lock: &File) -> Option<io::Result<bool>> {
    match lock.try_lock_shared() {
        Ok(()) => lock.unlock().err().map(Err),
        Err(TryLockError::WouldBlock) => Some(Ok(false)),
        Err(TryLockError::Error(error)) => Some(Err(error)),
    }
}

/// Tries until there is an answer; `None` if that takes too long. Blocks.
pub(crate) fn patiently<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = attempt();
        if answer.is_some() || Instant::now() >= until {
            return answer;
        }
        thread::sleep(TRY_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_waits_for_those_who_look_and_for_no_other_owner() {
        let folder = tempfile::tempdir().unwrap();
        let looking = File::create(folder.path().join("lock")).unwrap();
        looking.lock_shared().unwrap();
        let another = File::open(folder.path().join("lock")).unwrap();
        assert!(is_only_looked_at(&another).is_none(), "it is tried again");
        let owner = thread::scope(|scope| {
            let owner = scope.spawn(|| own(folder.path()));
            drop(looking);
            owner.join().unwrap().unwrap()
        });
        assert!(matches!(is_only_looked_at(&another), Some(Ok(false))));
        let second = own(folder.path());
        assert!(
            matches!(second, Err(CacheError::Locked { .. })),
            "{second:?}"
        );
        drop(owner);
    }

    #[test]
    fn what_is_tried_patiently_is_tried_again() {
        let mut tries = 0;
        let answer = patiently(|| {
            tries += 1;
            (tries == 3).then_some(tries)
        });
        assert_eq!(answer, Some(3));
    }
}
