//! How many clients have pulled a manifest: a set of their numbers, each with the day it was last seen.
//!
//! A set counts exactly up to [`MOST`] and says "or more" from there on; a client not seen for [`WINDOW_DAYS`] is forgotten. What a
//! client's number means is the caller's business.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use manifest_model::Digest;
use redb::{Durability, ReadableTable, TableDefinition};

use super::{Index, LINKS, Outcome, link_key, now_ms};
use crate::RepoKey;

/// a link's key -> clients, six bytes each: a number and a day since 1970
pub(super) const CLIENTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("clients");

/// Clients kept of one manifest: a row has up to 1.5 KiB.
const MOST: usize = 256;

/// How long a client counts after its last pull.
const WINDOW_DAYS: u16 = 30;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Rows looked at in one step.
const STEP: usize = 4096;

/// How many clients have pulled something within the last thirty days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// So many, at least.
    pub count: usize,
    /// Whether there may be more: no more than this are told apart.
    pub or_more: bool,
}

/// A row, taken apart.
#[derive(Debug, Default)]
struct Seen(BTreeMap<u32, u16>);

impl Seen {
    fn read(row: &[u8], today: u16) -> Self {
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
        if self.0.len() < MOST || self.0.contains_key(&client) {
            self.0.insert(client, today);
        }
    }

    fn write(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(self.0.len() * 6);
        for (number, day) in &self.0 {
            row.extend(number.to_le_bytes());
            row.extend(day.to_le_bytes());
        }
        row
    }

    fn clients(&self) -> Clients {
        Clients {
            count: self.0.len(),
            or_more: self.0.len() >= MOST,
        }
    }
}

fn today() -> u16 {
    u16::try_from(now_ms() / DAY_MS).unwrap_or(u16::MAX)
}

impl Index {
    /// Notes who has pulled what, best sorted: pulls of one manifest in a row cost one write. Losing this in a crash costs a count until the next pull.
    pub(crate) fn add_clients(&self, pulls: &[(RepoKey, Digest, u32)]) -> Outcome<()> {
        let today = today();
        self.write(Durability::None, |transaction| {
            let mut table = transaction.open_table(CLIENTS)?;
            let links = transaction.open_table(LINKS)?;
            for same in pulls.chunk_by(|a, b| (&a.0, a.1) == (&b.0, b.1)) {
                let key = link_key(&same[0].0, &same[0].1);
                // What could not be stored is not listed either.
                if links.get(key.as_slice())?.is_none() {
                    continue;
                }
                let mut seen = table
                    .get(key.as_slice())?
                    .map(|row| Seen::read(row.value(), today))
                    .unwrap_or_default();
                for (_, _, client) in same {
                    seen.add(*client, today);
                }
                table.insert(key.as_slice(), seen.write().as_slice())?;
            }
            Ok(())
        })
    }

    /// How many clients have pulled `digest` from `repo`.
    pub(crate) fn clients(&self, repo: &RepoKey, digest: &Digest) -> Outcome<Clients> {
        let table = self.store.begin_read()?.open_table(CLIENTS)?;
        let row = table.get(link_key(repo, digest).as_slice())?;
        Ok(row
            .map(|row| Seen::read(row.value(), today()).clients())
            .unwrap_or_default())
    }

    /// Drops the rows of what is no longer linked, and those of which all clients are forgotten.
    pub(crate) fn sweep_clients(&self) -> Outcome<()> {
        let today = today();
        let mut after = Vec::new();
        loop {
            let (mut gone, mut reached) = (Vec::new(), None);
            {
                let transaction = self.store.begin_read()?;
                let table = transaction.open_table(CLIENTS)?;
                let links = transaction.open_table(LINKS)?;
                let behind = (Excluded(after.as_slice()), Unbounded);
                for row in table.range::<&[u8]>(behind)?.take(STEP) {
                    let (key, value) = row?;
                    let is_gone = Seen::read(value.value(), today).0.is_empty()
                        || links.get(key.value())?.is_none();
                    if is_gone {
                        gone.push(key.value().to_vec());
                    }
                    reached = Some(key.value().to_vec());
                }
            }
            if !gone.is_empty() {
                self.write(Durability::None, |transaction| {
                    let mut table = transaction.open_table(CLIENTS)?;
                    for key in &gone {
                        table.remove(key.as_slice())?;
                    }
                    Ok(())
                })?;
            }
            match reached {
                Some(key) => after = key,
                None => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_counts_once_and_until_it_was_not_seen_for_a_while() {
        let mut seen = Seen::default();
        for (client, day) in [(1, 100), (2, 100), (1, 120)] {
            seen.add(client, day);
        }
        let count = |today| Seen::read(&seen.write(), today).clients().count;
        assert_eq!(count(120), 2);
        assert_eq!(count(130), 2);
        assert_eq!(count(131), 1);
        assert_eq!(count(151), 0);
        assert_eq!(count(90), 2, "a clock set back");
    }

    #[test]
    fn beyond_the_bound_it_says_or_more() {
        let mut seen = Seen::default();
        for client in 0..10_000 {
            seen.add(client, 100);
        }
        assert_eq!(
            seen.clients(),
            Clients {
                count: MOST,
                or_more: true
            }
        );
        assert_eq!(seen.write().len(), MOST * 6);
        // One that is known is seen again all the same.
        seen.add(7, 131);
        assert_eq!(Seen::read(&seen.write(), 131).clients().count, 1);
    }
}
