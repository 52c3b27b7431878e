//! The list of all tables. A store is opened and its tables are counted from it.

use std::{path::Path, sync::Arc};

use redb::{Durability, TableError, WriteTransaction};

use super::{
    clients::CLIENTS,
    learned::LEARNED,
    links::LINKS,
    media_types::MEDIA_TYPES,
    rows::{BLOBS, BY_USE, TOTALS},
    store::{Outcome, Store},
    tags::TAGS,
};

type CreateTable = fn(&WriteTransaction) -> Result<(), TableError>;

const TABLES: &[CreateTable] = &[
    |transaction| transaction.open_table(BLOBS).map(drop),
    |transaction| transaction.open_table(BY_USE).map(drop),
    |transaction| transaction.open_table(CLIENTS).map(drop),
    |transaction| transaction.open_table(LEARNED).map(drop),
    |transaction| transaction.open_table(LINKS).map(drop),
    |transaction| transaction.open_table(MEDIA_TYPES).map(drop),
    |transaction| transaction.open_table(TAGS).map(drop),
    |transaction| transaction.open_table(TOTALS).map(drop),
];

/// Opens the store, creating the file and missing tables: reading a table that was never written
/// is an error.
pub(super) fn open(path: &Path) -> Outcome<Arc<Store>> {
    let store = Store::open(path)?;
    let present = store.begin_read()?.list_tables()?.count();
    if present != TABLES.len() {
        store.write(Durability::Immediate, |transaction| {
            for create in TABLES {
                create(transaction)?;
            }
            Ok(())
        })?;
    }
    Ok(Arc::new(store))
}
