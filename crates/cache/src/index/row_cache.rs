//! Rows in memory that requests look up often and that change, so that a hit reads no table.

use std::{
    hash::Hash,
    sync::atomic::{AtomicU64, Ordering},
};

use moka::sync::Cache;

/// A bounded number of rows. No row here outlives its change in the table.
#[derive(Debug)]
pub(super) struct RowCache<Key, Row>
where
    Key: Eq + Hash + Send + Sync + 'static,
    Row: Clone + Send + Sync + 'static,
{
    rows: Cache<Key, Row>,
    /// Grows with every write to the table.
    writes: AtomicU64,
}

impl<Key, Row> RowCache<Key, Row>
where
    Key: Clone + Eq + Hash + Send + Sync + 'static,
    Row: Copy + Send + Sync + 'static,
{
    pub(super) fn new(max_rows: u64) -> Self {
        Self {
            rows: Cache::new(max_rows),
            writes: AtomicU64::new(0),
        }
    }

    /// The cached row, else the one that `look_up` finds.
    pub(super) fn get(&self, key: &Key, look_up: impl FnOnce() -> Option<Row>) -> Option<Row> {
        if let Some(row) = self.rows.get(key) {
            return Some(row);
        }
        let before = self.writes.load(Ordering::SeqCst);
        let found = look_up();
        if let Some(row) = found {
            self.rows.insert(key.clone(), row);
            // The table was written meanwhile: the row may be the one from before.
            if self.writes.load(Ordering::SeqCst) != before {
                self.rows.invalidate(key);
            }
        }
        found
    }

    /// Grows with every write to the table.
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// Runs `write`, which changes the rows of `keys` in the table, and forgets them here.
    pub(super) fn change<T>(
        &self,
        keys: impl IntoIterator<Item = Key>,
        write: impl FnOnce() -> T,
    ) -> T {
        let written = write();
        self.writes.fetch_add(1, Ordering::SeqCst);
        for key in keys {
            self.rows.invalidate(&key);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_read_while_it_changes_is_not_remembered() {
        let cache = RowCache::new(10);
        let read = cache.get(&"latest", || {
            // Between this look and the note of its answer, another task writes the row.
            cache.change(["latest"], || {});
            Some("old")
        });
        assert_eq!(read, Some("old"));
        let again = cache.get(&"latest", || Some("new"));
        assert_eq!(again, Some("new"));
        let remembered = cache.get(&"latest", || None);
        assert_eq!(remembered, Some("new"));
    }
}
