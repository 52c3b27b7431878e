//! How many clients have pulled a manifest: a set of their numbers, each with the day it was last
//! seen. Pulls are noted in memory and written in batches with the uses.
//!
//! A set counts exactly up to [`MAX_CLIENTS`] and answers "or more" from there on. A client not
//! seen for [`WINDOW_DAYS`] is forgotten. The caller decides what a client's number means.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use manifest_model::Digest;
use parking_lot::Mutex;
use redb::{Durability, ReadableTable, TableDefinition};

use super::{
    keys::{now_ms, pair_key},
    links::LINKS,
    rows::{STEP_SIZE, Step},
    store::{Outcome, Store},
};
use crate::{RepoKey, error::CacheError};

/// a link's key -> clients, six bytes each: a number and a day since 1970
pub(super) const CLIENTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("clients");

/// Clients kept per manifest: a row has up to 1.5 KiB.
const MAX_CLIENTS: usize = 256;

/// How long a client counts after its last pull.
const WINDOW_DAYS: u16 = 30;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Pulls noted in memory before they are written to the index, about 150 bytes each.
const MAX_PENDING: usize = 65_536;

/// How many pulls one transaction writes.
const BATCH_SIZE: usize = 1024;

/// How many clients have pulled a manifest within the last thirty days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCount {
    /// The least number.
    pub count: usize,
    /// Whether there may be more: a set holds a bounded number of clients.
    pub or_more: bool,
}

/// One client's pull of a manifest from a repository.
type PullBy = (RepoKey, Digest, u32);

/// The table of clients, and the pulls that are not written to it yet.
#[derive(Debug)]
pub struct Clients {
    store: Arc<Store>,
    pending: Mutex<HashSet<PullBy>>,
}

impl Clients {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
            pending: Mutex::default(),
        }
    }

    /// Notes that `client` has pulled the manifest `digest` from `repo`. Needs no disk. `false` if
    /// too many pulls are pending: then this one does not count.
    pub fn pulled_by(&self, repo: &RepoKey, digest: &Digest, client: u32) -> bool {
        let mut pending = self.pending.lock();
        let has_room = pending.len() < MAX_PENDING;
        if has_room {
            pending.insert((repo.clone(), *digest, client));
        }
        has_room
    }

    /// How many clients have pulled the manifest `digest` from `repo`. Pending pulls do not count
    /// yet. Blocks.
    pub fn count(&self, repo: &RepoKey, digest: &Digest) -> Result<ClientCount, CacheError> {
        Ok(self.read_count(repo, digest)?)
    }

    fn read_count(&self, repo: &RepoKey, digest: &Digest) -> Outcome<ClientCount> {
        let table = self.store.begin_read()?.open_table(CLIENTS)?;
        let row = table.get(pair_key(repo.as_str(), digest).as_slice())?;
        Ok(row
            .map(|row| ClientSet::decode(row.value(), today()).count())
            .unwrap_or_default())
    }

    /// Writes pending pulls. Pulls that cannot be written stay pending. Blocks.
    pub fn flush(&self) -> Result<(), CacheError> {
        let mut pulls: Vec<_> = std::mem::take(&mut *self.pending.lock())
            .into_iter()
            .collect();
        // Neighbouring pulls of one manifest share one write of its row.
        pulls.sort_unstable();
        let Err((unwritten, error)) = in_batches(&pulls, |batch| self.record(batch)) else {
            return Ok(());
        };
        let mut pending = self.pending.lock();
        for pull in unwritten {
            if pending.len() >= MAX_PENDING {
                break;
            }
            pending.insert(pull.clone());
        }
        Err(error.into())
    }

    /// A crash that loses this costs a count until the next pull.
    fn record(&self, pulls: &[PullBy]) -> Outcome<()> {
        let today = today();
        self.store.write(Durability::None, |transaction| {
            let mut table = transaction.open_table(CLIENTS)?;
            let links = transaction.open_table(LINKS)?;
            for same in pulls.chunk_by(|a, b| (&a.0, a.1) == (&b.0, b.1)) {
                let key = pair_key(same[0].0.as_str(), &same[0].1);
                // A manifest that could not be stored is not listed either.
                if links.get(key.as_slice())?.is_none() {
                    continue;
                }
                let mut clients = table
                    .get(key.as_slice())?
                    .map(|row| ClientSet::decode(row.value(), today))
                    .unwrap_or_default();
                for (_, _, client) in same {
                    clients.add(*client, today);
                }
                table.insert(key.as_slice(), clients.encode().as_slice())?;
            }
            Ok(())
        })
    }

    /// Removes the rows of manifests that are no longer linked, and rows without a client in the
    /// window.
    pub fn sweep(&self) -> Outcome<()> {
        let mut after = Vec::new();
        loop {
            let step = self.step(&after)?;
            if !step.suspects.is_empty() {
                self.store.write(Durability::None, |transaction| {
                    let mut table = transaction.open_table(CLIENTS)?;
                    for key in &step.suspects {
                        table.remove(key.as_slice())?;
                    }
                    Ok(())
                })?;
            }
            match step.reached {
                Some(key) => after = key,
                None => return Ok(()),
            }
        }
    }

    /// One step behind `after`: the stale rows.
    fn step(&self, after: &[u8]) -> Outcome<Step<Vec<u8>>> {
        let today = today();
        let transaction = self.store.begin_read()?;
        let table = transaction.open_table(CLIENTS)?;
        let links = transaction.open_table(LINKS)?;
        let (mut suspects, mut reached) = (Vec::new(), None);
        let range = table.range::<&[u8]>((Excluded(after), Unbounded))?;
        for row in range.take(STEP_SIZE) {
            let (key, value) = row?;
            let is_stale = ClientSet::decode(value.value(), today).0.is_empty()
                || links.get(key.value())?.is_none();
            if is_stale {
                suspects.push(key.value().to_vec());
            }
            reached = Some(key.value().to_vec());
        }
        Ok(Step { suspects, reached })
    }
}

/// A decoded row: each client's number and the day it was last seen.
#[derive(Debug, Default)]
struct ClientSet(BTreeMap<u32, u16>);

impl ClientSet {
    fn decode(row: &[u8], today: u16) -> Self {
        let (clients, _) = row.as_chunks::<6>();
        let clients = clients.iter().map(|[a, b, c, d, e, f]| {
            let number = u32::from_le_bytes([*a, *b, *c, *d]);
            (number, u16::from_le_bytes([*e, *f]))
        });
        Self(
            clients
                .filter(|(_, day)| today.saturating_sub(*day) <= WINDOW_DAYS)
                .collect(),
        )
    }

    fn add(&mut self, client: u32, today: u16) {
        if self.0.len() < MAX_CLIENTS || self.0.contains_key(&client) {
            self.0.insert(client, today);
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(self.0.len() * 6);
        for (number, day) in &self.0 {
            row.extend(number.to_le_bytes());
            row.extend(day.to_le_bytes());
        }
        row
    }

    fn count(&self) -> ClientCount {
        ClientCount {
            count: self.0.len(),
            or_more: self.0.len() >= MAX_CLIENTS,
        }
    }
}

fn today() -> u16 {
    u16::try_from(now_ms() / DAY_MS).unwrap_or(u16::MAX)
}

/// Writes until the first failure, which comes with the unwritten rest.
fn in_batches<T, E>(
    items: &[T],
    mut write: impl FnMut(&[T]) -> Result<(), E>,
) -> Result<(), (&[T], E)> {
    for (number, batch) in items.chunks(BATCH_SIZE).enumerate() {
        write(batch).map_err(|error| (&items[number * BATCH_SIZE..], error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_counts_once_and_until_it_was_not_seen_for_a_while() {
        let mut seen = ClientSet::default();
        for (client, day) in [(1, 100), (2, 100), (1, 120)] {
            seen.add(client, day);
        }
        let count = |today| ClientSet::decode(&seen.encode(), today).count().count;
        assert_eq!(count(120), 2);
        assert_eq!(count(130), 2);
        assert_eq!(count(131), 1);
        assert_eq!(count(151), 0);
        assert_eq!(count(90), 2, "a clock set back");
    }

    #[test]
    fn beyond_the_bound_it_says_or_more() {
        let mut seen = ClientSet::default();
        for client in 0..10_000 {
            seen.add(client, 100);
        }
        assert_eq!(
            seen.count(),
            ClientCount {
                count: MAX_CLIENTS,
                or_more: true
            }
        );
        assert_eq!(seen.encode().len(), MAX_CLIENTS * 6);
        // A known client is still updated.
        seen.add(7, 131);
        assert_eq!(ClientSet::decode(&seen.encode(), 131).count().count, 1);
    }

    #[test]
    fn what_could_not_be_written_is_left() {
        let items: Vec<usize> = (0..3 * BATCH_SIZE).collect();
        let until_second = |batch: &[usize]| {
            if batch[0] == BATCH_SIZE {
                Err(())
            } else {
                Ok(())
            }
        };
        assert_eq!(
            in_batches(&items, until_second),
            Err((&items[BATCH_SIZE..], ()))
        );
        assert_eq!(in_batches(&items, |_| Ok::<_, ()>(())), Ok(()));
    }
}
