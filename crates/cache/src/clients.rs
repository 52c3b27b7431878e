//! How many clients have pulled what: noted in memory, written down in batches with the uses.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use manifest_model::Digest;

use crate::{Cache, Clients, RepoKey, error::CacheError};

/// Pulls remembered in memory before they are written to the index; about 150 bytes each.
const MAX_PENDING: usize = 65_536;

/// Pulls written by one transaction.
const BATCH: usize = 1024;

/// Pulls not written down yet.
#[derive(Debug, Default)]
pub(crate) struct Pulls(Mutex<HashSet<(RepoKey, Digest, u32)>>);

impl Pulls {
    fn pending(&self) -> MutexGuard<'_, HashSet<(RepoKey, Digest, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    /// Notes that `client` has pulled the manifest `digest` from `repo`. No disk is asked. The answer is false where too much
    /// waits to be written down: then this pull does not count.
    pub fn pulled_by(&self, repo: &RepoKey, digest: &Digest, client: u32) -> bool {
        let mut pending = self.pulls().pending();
        let has_room = pending.len() < MAX_PENDING;
        if has_room {
            pending.insert((repo.clone(), *digest, client));
        }
        has_room
    }

    /// How many clients have pulled the manifest `digest` from `repo` of late, as far as that was written down. Blocks.
    pub fn clients(&self, repo: &RepoKey, digest: &Digest) -> Result<Clients, CacheError> {
        Ok(self.index().clients(repo, digest)?)
    }

    pub(crate) fn write_pulls(&self) -> Result<(), CacheError> {
        let mut pulls: Vec<_> = std::mem::take(&mut *self.pulls().pending())
            .into_iter()
            .collect();
        // The pulls of one manifest in a row share its row.
        pulls.sort_unstable();
        let add = |batch: &[_]| self.index().add_clients(batch);
        let Err((unwritten, error)) = in_batches(&pulls, add) else {
            return Ok(());
        };
        let mut pending = self.pulls().pending();
        for pull in unwritten {
            if pending.len() >= MAX_PENDING {
                break;
            }
            pending.insert(pull.clone());
        }
        Err(error.into())
    }
}

/// The first failure ends it, and comes with what is left.
fn in_batches<T, E>(
    items: &[T],
    mut write: impl FnMut(&[T]) -> Result<(), E>,
) -> Result<(), (&[T], E)> {
    for (number, batch) in items.chunks(BATCH).enumerate() {
        write(batch).map_err(|error| (&items[number * BATCH..], error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_written_is_left() {
        let items: Vec<usize> = (0..3 * BATCH).collect();
        let until_second = |batch: &[usize]| if batch[0] == BATCH { Err(()) } else { Ok(()) };
        assert_eq!(in_batches(&items, until_second), Err((&items[BATCH..], ())));
        assert_eq!(in_batches(&items, |_| Ok::<_, ()>(())), Ok(()));
    }
}
