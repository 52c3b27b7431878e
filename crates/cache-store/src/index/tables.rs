//! The list of all tables. A store is opened and its tables are counted from it.

use std::{path::Path, sync::Arc};

use redb::{Durability, TableError, WriteTransaction};

use super::{
    attached::{ANSWERS, SUBJECTS},
    bundles::{BUNDLES, SERIES},
    clients::CLIENTS,
    learned::LEARNED,
    left_out::LEFT_OUT,
    links::{self, CONFIRMED, LINKS},
    media_types::MEDIA_TYPES,
    pins::PINS,
    rows::{BLOBS, BY_USE, TOTALS},
    store::{Outcome, Store},
    tags::TAGS,
};

/// The tables of a store before it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    AllTables,
    Fewer,
}

type CreateTable = fn(&WriteTransaction) -> Result<(), TableError>;

const TABLES: &[CreateTable] = &[
    |transaction| transaction.open_table(ANSWERS).map(drop),
    |transaction| transaction.open_table(BLOBS).map(drop),
    |transaction| transaction.open_table(BUNDLES).map(drop),
    |transaction| transaction.open_table(BY_USE).map(drop),
    |transaction| transaction.open_table(CONFIRMED).map(drop),
    |transaction| transaction.open_table(CLIENTS).map(drop),
    |transaction| transaction.open_table(LEARNED).map(drop),
    |transaction| transaction.open_table(LEFT_OUT).map(drop),
    |transaction| transaction.open_table(LINKS).map(drop),
    |transaction| transaction.open_table(MEDIA_TYPES).map(drop),
    |transaction| transaction.open_table(PINS).map(drop),
    |transaction| transaction.open_table(SERIES).map(drop),
    |transaction| transaction.open_table(SUBJECTS).map(drop),
    |transaction| transaction.open_table(TAGS).map(drop),
    |transaction| transaction.open_table(TOTALS).map(drop),
];

/// Opens the store, creating the file and missing tables: reading a table that was never written
/// is an error. A store of an older version, without confirmations, gets those its links prove. Tells
/// whether tables were missing.
pub(super) fn open(path: &Path) -> Outcome<(Arc<Store>, Found)> {
    let store = Store::open(path)?;
    let reading = store.begin_read()?;
    let count = reading.list_tables()?.count();
    let found = if count == TABLES.len() {
        Found::AllTables
    } else {
        Found::Fewer
    };
    if let Found::Fewer = found {
        let is_confirmed = reading.open_table(CONFIRMED).is_ok();
        drop(reading);
        store.write(Durability::Immediate, |transaction| {
            for create in TABLES {
                create(transaction)?;
            }
            if !is_confirmed {
                links::confirm_unshared(transaction)?;
            }
            if count > 0 {
                // Empty or in part, it would pass for all subjects.
                transaction.delete_table(SUBJECTS)?;
            }
            Ok(())
        })?;
    }
    Ok((Arc::new(store), found))
}
