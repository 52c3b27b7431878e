//! Which bundle left a manifest out of an index that it brought, so that a client who asks for it can
//! be told why it is not here. Nothing depends on a row: one whose manifest has come since is not
//! looked for. Rows go with their bundle, so there are no more of them than the bundles that are here
//! left out.

use std::sync::Arc;

use manifest_model::Digest;
use redb::{Durability, TableDefinition, WriteTransaction};

use super::{
    keys::{DigestKey, decode_digest},
    store::{Outcome, Store, answer_or_default},
};

/// manifest digest -> id of the bundle
pub(super) const LEFT_OUT: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("left_out");

/// Removes what these bundles left out.
pub(super) fn remove_all(transaction: &WriteTransaction, bundles: &[Digest]) -> Outcome<()> {
    let mut table = transaction.open_table(LEFT_OUT)?;
    let is_of_them = |id: &[u8]| decode_digest(id).is_some_and(|id| bundles.contains(&id));
    table.retain(|_, id| !is_of_them(id))?;
    Ok(())
}

/// The table of what bundles left out.
#[derive(Debug)]
pub struct LeftOut {
    store: Arc<Store>,
}

impl LeftOut {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
        }
    }

    /// The bundle that left `manifest` out last. An unreadable index knows none.
    pub fn by(&self, manifest: &Digest) -> Option<Digest> {
        let look = || -> Outcome<Option<Digest>> {
            let table = self.store.begin_read()?.open_table(LEFT_OUT)?;
            let id = table.get(DigestKey::of(manifest).as_slice())?;
            Ok(id.and_then(|id| decode_digest(id.value())))
        };
        answer_or_default(look())
    }

    /// Records that `bundle` left these out.
    pub fn record(&self, bundle: &Digest, manifests: &[Digest]) -> Outcome<()> {
        self.store.write(Durability::Immediate, |transaction| {
            let mut table = transaction.open_table(LEFT_OUT)?;
            for manifest in manifests {
                let bundle = DigestKey::of(bundle);
                table.insert(DigestKey::of(manifest).as_slice(), bundle.as_slice())?;
            }
            Ok(())
        })
    }
}
