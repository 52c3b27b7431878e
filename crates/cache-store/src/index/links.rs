//! Which repository contains which digest, and how far that is proved.
//!
//! A *link* says that a repository has a digest: its upstream said so, or serves a manifest there
//! that names it. Anybody who may push can name any digest. So a link alone does not open bytes
//! that another upstream has brought: they are *confirmed* once this upstream has sent them itself,
//! for all its repositories that link them, or has said for the one repository that it has them.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use manifest_model::{Digest, Manifest};
use moka::sync::Cache;
use redb::{Durability, ReadableTable, WriteTransaction};

use super::{
    keys::{DigestKey, decode_link, decode_pair},
    pairs::{self, PairTable, Pairs},
    rows::BLOBS,
    store::{Outcome, Store, answer_or_default},
};
use crate::RepoKey;

/// repository, digest -> nothing
pub(super) const LINKS: PairTable = PairTable::new("links");

/// repository or upstream, digest -> nothing. No name of an upstream has a slash, every repository
/// has one.
pub(super) const CONFIRMED: PairTable = PairTable::new("confirmed");

/// Links, and confirmations, remembered in memory, about 200 bytes each.
const MAX_REMEMBERED: u64 = 65_536;

/// How an upstream has proved that it has a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It sent the bytes.
    Sent,
    /// It said, for one repository, that it has them.
    Said,
}

impl Proof {
    /// What is confirmed by it: all of the upstream, or the one repository.
    fn scope(self, repo: &RepoKey) -> &str {
        match self {
            Self::Sent => repo.upstream(),
            Self::Said => repo.as_str(),
        }
    }
}

/// The two tables, and what was seen in them recently. Neither a link nor a confirmation becomes
/// untrue, so they may be remembered without further thought.
#[derive(Debug)]
pub struct Links {
    store: Arc<Store>,
    /// All links.
    pub linked: Pairs,
    /// All confirmations.
    pub confirmed: Pairs,
    seen_linked: Cache<(Arc<str>, Digest), ()>,
    /// What is proved of a repository, or is being sent by an upstream. A hit looks here and nowhere
    /// else.
    seen_confirmed: Cache<(Arc<str>, Digest), ()>,
}

impl Links {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
            linked: Pairs::new(store, LINKS),
            confirmed: Pairs::new(store, CONFIRMED),
            seen_linked: Cache::new(MAX_REMEMBERED),
            seen_confirmed: Cache::new(MAX_REMEMBERED),
        }
    }

    /// Whether `repo` contains `digest`, proved or not. An unreadable index knows no link: the
    /// upstream can be asked again.
    pub fn contains(&self, repo: &RepoKey, digest: &Digest) -> bool {
        let key = (repo.text(), *digest);
        if self.seen_linked.contains_key(&key) || self.seen_confirmed.contains_key(&key) {
            return true;
        }
        let is_linked = answer_or_default(self.linked.contains(repo.as_str(), digest));
        if is_linked {
            self.seen_linked.insert(key, ());
        }
        is_linked
    }

    /// Whether `repo` contains `digest`, and its upstream has proved that it has the bytes.
    pub fn is_confirmed(&self, repo: &RepoKey, digest: &Digest) -> bool {
        let key = (repo.text(), *digest);
        if self.seen_confirmed.contains_key(&key) {
            return true;
        }
        let is_confirmed = self.contains(repo, digest)
            && (self.was_sent_by(repo.upstream(), digest)
                || answer_or_default(self.confirmed.contains(repo.as_str(), digest)));
        if is_confirmed {
            self.seen_confirmed.insert(key, ());
        }
        is_confirmed
    }

    fn was_sent_by(&self, upstream: &str, digest: &Digest) -> bool {
        self.seen_confirmed
            .contains_key(&(upstream.into(), *digest))
            || answer_or_default(self.confirmed.contains(upstream, digest))
    }

    /// Remembers a link to bytes that its upstream is sending, without writing it.
    pub fn remember(&self, repo: &RepoKey, digest: &Digest) {
        for scope in [repo.text(), repo.upstream().into()] {
            self.seen_confirmed.insert((scope, *digest), ());
        }
    }

    /// Records a link and its proof. A new link is durable when this returns. The proof of a known
    /// one is with the next write that is, such as that of the blob's row: lost, it costs a question.
    /// Recorded ones are not written again.
    pub fn record(&self, repo: &RepoKey, digest: &Digest, proof: Proof) -> Outcome<()> {
        let scope = proof.scope(repo);
        let is_linked = self.linked.contains(repo.as_str(), digest)?;
        if is_linked && self.confirmed.contains(scope, digest)? {
            return Ok(());
        }
        let durability = if is_linked {
            Durability::None
        } else {
            Durability::Immediate
        };
        self.store.write_copied(durability, |transaction| {
            pairs::insert(transaction, LINKS, repo.as_str(), digest)?;
            pairs::insert(transaction, CONFIRMED, scope, digest)
        })
    }

    /// Every link.
    pub fn all(&self) -> Outcome<Vec<(RepoKey, Digest)>> {
        let table = self.store.begin_read()?.open_table(LINKS)?;
        let mut links: Vec<(RepoKey, Digest)> = Vec::new();
        for link in table.iter()? {
            let Some((mut repo, digest)) = decode_link(link?.0.value()) else {
                continue;
            };
            // Links of a repository are neighbours: its text is held once.
            if let Some((last, _)) = links.last()
                && *last == repo
            {
                repo = last.clone();
            }
            links.push((repo, digest));
        }
        Ok(links)
    }

    /// Removes links, and what was confirmed for their repositories.
    pub fn remove(&self, links: &[(RepoKey, Digest)]) -> Outcome<()> {
        self.store
            .write_copied(Durability::Immediate, |transaction| {
                for (repo, digest) in links {
                    for table in [LINKS, CONFIRMED] {
                        pairs::remove(transaction, table, repo.as_str(), digest)?;
                    }
                }
                Ok(())
            })
    }
}

/// Links a manifest and all digests it names to `repo`, whose upstream has sent the manifest.
pub(super) fn insert_manifest(
    transaction: &WriteTransaction,
    repo: &RepoKey,
    manifest: &Manifest,
) -> Outcome<()> {
    let digest = manifest.digest();
    pairs::insert(transaction, CONFIRMED, repo.upstream(), &digest)?;
    pairs::insert(transaction, LINKS, repo.as_str(), &digest)?;
    for linked in manifest.links() {
        pairs::insert(transaction, LINKS, repo.as_str(), &linked.digest)?;
    }
    Ok(())
}

/// Confirms what an older version has stored, which recorded links alone: bytes that repositories of
/// one upstream alone link were sent by it. Of others it is not known, so they are asked for.
pub(super) fn confirm_unshared(transaction: &WriteTransaction) -> Outcome<()> {
    let mut senders: HashMap<Digest, Option<String>> = HashMap::new();
    {
        let links = transaction.open_table(LINKS)?;
        let blobs = transaction.open_table(BLOBS)?;
        for link in links.iter()? {
            let link = link?;
            let Some((repo, digest)) = decode_pair(link.0.value()) else {
                continue;
            };
            let upstream = repo.split('/').next().unwrap_or(repo);
            match senders.entry(digest) {
                Entry::Occupied(mut known) => {
                    if known
                        .get()
                        .as_deref()
                        .is_some_and(|known| known != upstream)
                    {
                        known.insert(None);
                    }
                }
                Entry::Vacant(new) => {
                    if blobs.get(DigestKey::of(&digest).as_slice())?.is_some() {
                        new.insert(Some(upstream.to_owned()));
                    }
                }
            }
        }
    }
    for (digest, upstream) in senders {
        if let Some(upstream) = upstream {
            pairs::insert(transaction, CONFIRMED, &upstream, &digest)?;
        }
    }
    Ok(())
}
