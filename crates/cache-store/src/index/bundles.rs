//! The bundles whose content is here or on its way, and what they pin.
//!
//! An import begins with the bundle's row and its pins, goes on with blobs that nobody can read, and
//! ends with [`Arrival`]: one transaction in which everything that the bundle brings becomes visible.

use std::{collections::HashMap, sync::Arc};

use manifest_model::{Digest, Manifest, Tag};
use redb::{Durability, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{
    attached, eviction_order,
    keys::{DigestKey, decode_digest, now_ms},
    left_out,
    links::{CONFIRMED, LINKS},
    media_types, pairs,
    pins::{self, PINS},
    rows::{self, BY_USE, Class},
    store::{Outcome, Store},
    tags::{self, Tags},
};
use crate::RepoKey;

/// bundle id -> its row as JSON
pub(super) const BUNDLES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("bundles");

/// series -> the last number that an export from this cache was given
pub(super) const SERIES: TableDefinition<'_, &str, u64> = TableDefinition::new("series");

/// How many blobs one transaction pins.
const BATCH_SIZE: usize = 4096;

/// A bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleRow {
    /// Its id: the digest of its lock.
    pub id: Digest,
    /// How far it has come.
    pub stage: Stage,
    /// When it reached that stage, in seconds since 1970 by this machine's clock.
    pub since: u64,
    /// Its series, and its number in it.
    pub series: Option<(String, u64)>,
    /// The number of the trusted key that signed it; `None` if none was asked for.
    pub signer: Option<String>,
    /// What was allowed for it that is refused as a rule.
    pub allowed: Vec<Allowance>,
    /// How many images it holds.
    pub images: u64,
    /// What it names: the images and what is attached to them.
    pub names: Vec<CarriedName>,
}

/// How far a bundle has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Its blobs are arriving; nothing of it can be read.
    Arriving,
    /// All of it is here.
    Imported,
}

/// What is refused unless the operator allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Allowance {
    /// No trusted key has signed it.
    Unsigned,
    /// The site had a later one of its series.
    Older,
}

/// A name that a bundle brings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CarriedName {
    /// Its repository, as in [`RepoKey`].
    pub repository: String,
    /// Its tag; `None` for a manifest that is known by its digest alone.
    pub tag: Option<String>,
    /// The manifest.
    pub digest: Digest,
}

impl CarriedName {
    /// The name of a manifest in a repository.
    pub fn new(repository: &RepoKey, tag: Option<&Tag>, digest: Digest) -> Self {
        Self {
            repository: repository.to_string(),
            tag: tag.map(ToString::to_string),
            digest,
        }
    }

    /// The tag as a key; `None` for a name without one.
    pub fn tagged(&self) -> Option<(RepoKey, Tag)> {
        Some((
            self.repository.parse().ok()?,
            self.tag.as_ref()?.parse().ok()?,
        ))
    }
}

/// A manifest that a bundle brings to a repository.
#[derive(Clone, Debug)]
pub struct ArrivedManifest {
    repository: RepoKey,
    tag: Option<Tag>,
    digest: Digest,
    media_type: String,
    subject: Option<Digest>,
    /// All that it names.
    links: Vec<Digest>,
    /// What of that the bundle brings, or builds on.
    brought: Vec<Digest>,
}

impl ArrivedManifest {
    /// `brought` are the blobs that it names and the bundle lists: they may be read through
    /// `repository`.
    pub fn new(
        repository: RepoKey,
        tag: Option<Tag>,
        manifest: &Manifest,
        brought: Vec<Digest>,
    ) -> Self {
        Self {
            repository,
            tag,
            digest: manifest.digest(),
            media_type: manifest.media_type().as_str().to_owned(),
            subject: manifest.subject().map(|subject| subject.digest),
            links: manifest.links().map(|link| link.digest).collect(),
            brought,
        }
    }
}

/// What becomes visible, or goes, at the end of an import.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The bundle's row from now on.
    pub bundle: BundleRow,
    /// Its manifests. Their blobs are stored.
    pub manifests: Vec<ArrivedManifest>,
    /// Bundles that it takes the place of: their rows and pins go.
    pub replaced: Vec<Digest>,
    /// Tags that go.
    pub pruned: Vec<(RepoKey, Tag)>,
}

/// A bundle, and what it keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedBundle {
    /// Its row.
    pub row: BundleRow,
    /// The bytes of the stored blobs that it pins.
    pub pinned_bytes: u64,
    /// The bytes of those that no other bundle pins.
    pub own_bytes: u64,
}

/// The tables of bundles and pins.
#[derive(Debug)]
pub struct Bundles {
    store: Arc<Store>,
}

impl Bundles {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
        }
    }

    /// All rows, by id. Skips those that no version of this code has written.
    pub fn all(&self) -> Outcome<Vec<BundleRow>> {
        let table = self.store.begin_read()?.open_table(BUNDLES)?;
        let mut bundles = Vec::new();
        for row in table.iter()? {
            bundles.extend(serde_json::from_slice::<BundleRow>(row?.1.value()).ok());
        }
        Ok(bundles)
    }

    /// All bundles by id, each with what it keeps.
    pub fn list(&self) -> Outcome<Vec<ListedBundle>> {
        let sizes = self.sizes()?;
        let mut kept: HashMap<Digest, (u64, u64)> = HashMap::new();
        for of_one in self.pins()?.chunk_by(|one, next| one.0 == next.0) {
            let size = sizes.get(&of_one[0].0).copied().unwrap_or(0);
            for (_, bundle) in of_one {
                let (pinned, own) = kept.entry(*bundle).or_default();
                *pinned += size;
                if of_one.len() == 1 {
                    *own += size;
                }
            }
        }
        let listed = self.all()?.into_iter().map(|row| {
            let (pinned_bytes, own_bytes) = kept.remove(&row.id).unwrap_or_default();
            ListedBundle {
                row,
                pinned_bytes,
                own_bytes,
            }
        });
        Ok(listed.collect())
    }

    /// The sizes of all stored blobs that are pinned.
    fn sizes(&self) -> Outcome<HashMap<Digest, u64>> {
        let table = self.store.begin_read()?.open_table(BY_USE)?;
        let mut sizes = HashMap::new();
        let (first, behind) = (Class::Pinned as u8, Class::Pinned as u8 + 1);
        for row in table.range((first, 0, &[][..])..(behind, 0, &[][..]))? {
            let (key, size) = row?;
            sizes.extend(decode_digest(key.value().2).map(|digest| (digest, size.value())));
        }
        Ok(sizes)
    }

    /// Every pin, by blob: the blob and the bundle.
    pub fn pins(&self) -> Outcome<Vec<(Digest, Digest)>> {
        let table = self.store.begin_read()?.open_table(PINS)?;
        let mut all = Vec::new();
        for row in table.iter()? {
            all.extend(pins::decode(row?.0.value()));
        }
        Ok(all)
    }

    /// Records a bundle that begins to arrive, and pins `blobs`, stored or not. Done again, it
    /// changes nothing. Durable when this returns.
    pub fn begin(&self, bundle: &BundleRow, blobs: &[Digest]) -> Outcome<()> {
        self.store
            .write_copied(Durability::Immediate, |transaction| {
                put(transaction, bundle)
            })?;
        for batch in blobs.chunks(BATCH_SIZE) {
            self.store
                .write_copied(Durability::Immediate, |transaction| {
                    batch
                        .iter()
                        .try_for_each(|blob| pin(transaction, blob, &bundle.id))
                })?;
        }
        Ok(())
    }

    /// Removes rows and pins. Returns the blobs, stored or not, that no bundle pins any more: they
    /// may be evicted from now on.
    pub fn remove(&self, bundles: &[Digest]) -> Outcome<Vec<Digest>> {
        let mut free = Vec::new();
        self.store
            .write_copied(Durability::Immediate, |transaction| {
                free = remove(transaction, bundles)?;
                Ok(())
            })?;
        Ok(free)
    }

    /// The next number of a series, at least `least`; it is not given again. Durable when this
    /// returns.
    pub fn next_in_series(&self, series: &str, least: u64) -> Outcome<u64> {
        let mut next = least;
        self.store.write(Durability::Immediate, |transaction| {
            let mut table = transaction.open_table(SERIES)?;
            let given = table.get(series)?.map_or(0, |given| given.value());
            next = least.max(given.saturating_add(1));
            table.insert(series, next)?;
            Ok(())
        })?;
        Ok(next)
    }

    /// Makes all of an arrival visible, in one transaction. Durable when this returns.
    pub(super) fn complete(&self, tags: &Tags, arrival: &Arrival) -> Outcome<()> {
        let arriving = arrival.manifests.iter().filter_map(|manifest| {
            let tag = manifest.tag.clone()?;
            Some((manifest.repository.clone(), tag))
        });
        let changed = arriving.chain(arrival.pruned.iter().cloned());
        tags.change_all(changed, || {
            self.store
                .write_copied(Durability::Immediate, |transaction| {
                    remove(transaction, &arrival.replaced)?;
                    for (repository, tag) in &arrival.pruned {
                        tags::remove(transaction, repository, tag)?;
                    }
                    for manifest in &arrival.manifests {
                        show(transaction, manifest)?;
                    }
                    put(transaction, &arrival.bundle)
                })
        })
    }
}

fn show(transaction: &WriteTransaction, manifest: &ArrivedManifest) -> Outcome<()> {
    let (repository, digest) = (&manifest.repository, &manifest.digest);
    media_types::restore(transaction, digest, &manifest.media_type)?;
    if let Some(subject) = &manifest.subject {
        attached::insert_subject(transaction, subject, digest)?;
    }
    for linked in [digest].into_iter().chain(&manifest.links) {
        pairs::insert(transaction, LINKS, repository.as_str(), linked)?;
    }
    for brought in [digest].into_iter().chain(&manifest.brought) {
        pairs::insert(transaction, CONFIRMED, repository.upstream(), brought)?;
    }
    match &manifest.tag {
        Some(tag) => tags::insert(transaction, repository, tag, digest, now_ms()),
        None => Ok(()),
    }
}

/// Writes a bundle's row, in place of an earlier one.
pub(super) fn put(transaction: &WriteTransaction, bundle: &BundleRow) -> Outcome<()> {
    let json = serde_json::to_vec(bundle).expect("a row has no keys but text");
    let mut table = transaction.open_table(BUNDLES)?;
    table.insert(DigestKey::of(&bundle.id).as_slice(), json.as_slice())?;
    Ok(())
}

/// Adds names to a bundle's row, if it has one.
pub(super) fn add_names(
    transaction: &WriteTransaction,
    bundle: &Digest,
    names: &[CarriedName],
) -> Outcome<()> {
    let key = DigestKey::of(bundle);
    let row = {
        let table = transaction.open_table(BUNDLES)?;
        let row = table.get(key.as_slice())?;
        row.and_then(|row| serde_json::from_slice::<BundleRow>(row.value()).ok())
    };
    match row {
        Some(mut row) => {
            row.names.extend_from_slice(names);
            put(transaction, &row)
        }
        None => Ok(()),
    }
}

/// Pins a blob, stored or not.
pub(super) fn pin(transaction: &WriteTransaction, blob: &Digest, bundle: &Digest) -> Outcome<()> {
    pins::insert(transaction, blob, bundle)?;
    match rows::find(transaction, blob)? {
        Some((size, used, class)) if class != Class::Pinned => {
            rows::record(transaction, blob, size, class, used)
        }
        _ => Ok(()),
    }
}

/// Returns the blobs that no bundle pins any more.
fn remove(transaction: &WriteTransaction, bundles: &[Digest]) -> Outcome<Vec<Digest>> {
    if bundles.is_empty() {
        return Ok(Vec::new());
    }
    for bundle in bundles {
        transaction
            .open_table(BUNDLES)?
            .remove(DigestKey::of(bundle).as_slice())?;
    }
    left_out::remove_all(transaction, bundles)?;
    let free = pins::remove_all(transaction, bundles)?;
    for blob in &free {
        let Some((size, used, _)) = rows::find(transaction, blob)? else {
            continue;
        };
        let class = if media_types::contains(transaction, blob)? {
            eviction_order::manifest_class(size)
        } else {
            Class::Probation
        };
        rows::record(transaction, blob, size, class, used)?;
    }
    Ok(free)
}
