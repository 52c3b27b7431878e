//! Notes the answers that go out: which client pulls which image, for listings and for prefetching.
//!
//! A client is an address, as seen behind trusted proxies; the cache gets a number made from it,
//! not the address. A table of hashes drops a pull that was seen in the same hour. The rest waits
//! in the cache's memory until uses are flushed. Nothing here waits for a disk.

use std::{
    hash::BuildHasher,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use cache::{Cache, RepoKey};
use foldhash::fast::RandomState;
use manifest_model::{Algorithm, Digest, Reference};
use pull::{Client, Outcome, Repository, Served};

use crate::prefetch::{Prefetch, ServedManifest};

/// Slots for pulls of the last hour. Two pulls that share one are noted twice.
const SLOTS: usize = 65_536;

const HOUR_SECONDS: u64 = 3600;

/// Takes note of answers. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    parts: Arc<UsageParts>,
}

#[derive(Debug)]
struct UsageParts {
    cache: Cache,
    recent: RecentPulls,
    prefetch: Prefetch,
}

impl Usage {
    pub(crate) fn new(cache: Cache, prefetch: Prefetch) -> Self {
        let recent = RecentPulls::new();
        Self {
            parts: Arc::new(UsageParts {
                cache,
                recent,
                prefetch,
            }),
        }
    }

    /// Notes a manifest that goes out: the one found under the client's name, and the child that
    /// replaces it.
    pub(crate) fn served_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        served: &Served,
        client: &Client<'_>,
    ) {
        let tag = match reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => None,
        };
        let found = ServedManifest {
            tag,
            manifest: served.found(),
            hint: client.hint.and_then(|hint| hint.wish.platform()),
            is_read: client.is_read,
        };
        self.note(repository, found, client);
        if let Some((manifest, _)) = served.child() {
            let child = ServedManifest {
                tag: None,
                manifest,
                ..found
            };
            self.note(repository, child, client);
        }
        // What this answer has brought was recorded with its bytes: one request is not a use and a use
        // again. What came from memory is used, though the cache has not seen it.
        if served.outcome() != Outcome::Miss {
            let child = served.child().map(|(manifest, _)| manifest);
            for manifest in [Some(served.found()), child].into_iter().flatten() {
                self.parts.cache.used(&manifest.digest());
            }
        }
    }

    fn note(&self, repository: &Repository, served: ServedManifest<'_>, client: &Client<'_>) {
        let UsageParts {
            cache,
            recent,
            prefetch,
        } = &*self.parts;
        let digest = served.manifest.digest();
        if served.is_read {
            recent.note(cache, repository.key(), &digest, client.address);
        }
        prefetch.served_manifest(repository, served);
    }

    /// Notes a blob that goes out.
    pub(crate) fn served_blob(&self, repository: &Repository, digest: &Digest) {
        self.parts.prefetch.served_blob(repository, digest);
    }
}

/// Pulls of the last hour, by their hash.
#[derive(Debug)]
struct RecentPulls {
    noted: Box<[AtomicU64]>,
    hasher: RandomState,
    since: Instant,
}

impl RecentPulls {
    fn new() -> Self {
        Self {
            noted: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::default(),
            since: Instant::now(),
        }
    }

    /// Notes that `client` has pulled the manifest `digest` from `repository`.
    fn note(&self, cache: &Cache, repository: &RepoKey, digest: &Digest, client: IpAddr) {
        let hour = self.since.elapsed().as_secs() / HOUR_SECONDS;
        let hash = self.hasher.hash_one((repository, digest, client, hour));
        let slot = &self.noted[slot_of(hash)];
        if slot.load(Ordering::Relaxed) != hash
            && cache
                .clients()
                .pulled_by(repository, digest, number(client))
        {
            slot.store(hash, Ordering::Relaxed);
        }
    }
}

fn slot_of(hash: u64) -> usize {
    let slots = SLOTS as u64;
    usize::try_from(hash % slots).expect("a remainder is below the number of slots")
}

/// The same number for the same client, on every machine and after every restart. It hides an
/// address from a look, not from a search over all addresses.
fn number(client: IpAddr) -> u32 {
    let text = client.to_canonical().to_string();
    let digest = Digest::of(Algorithm::Sha256, text.as_bytes());
    let bytes = digest.as_bytes().first_chunk();
    u32::from_le_bytes(*bytes.expect("a digest has more than four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_one_number_however_its_address_is_written() {
        let number_of = |text: &str| number(text.parse().unwrap());
        assert_eq!(number_of("10.0.0.1"), number_of("::ffff:10.0.0.1"));
        assert_ne!(number_of("10.0.0.1"), number_of("10.0.0.2"));
    }

    #[test]
    fn a_pull_is_noted_again_when_the_first_note_found_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&cache::Options {
            path: folder.path().into(),
            max_size: 1 << 20,
            low_water: 1 << 20,
            min_free: 0,
            anew: false,
            max_open_files: 1,
        })
        .unwrap();
        let repository: RepoKey = "registry.example/app".parse().unwrap();
        let full = Digest::of(Algorithm::Sha256, b"full");
        let mut waiting = 0;
        while cache.clients().pulled_by(&repository, &full, waiting) {
            waiting += 1;
        }
        let (clients, digest) = (RecentPulls::new(), Digest::of(Algorithm::Sha256, b"app"));
        let client = "10.0.0.1".parse().unwrap();
        clients.note(&cache, &repository, &digest, client);
        let noted = |clients: &RecentPulls| {
            clients
                .noted
                .iter()
                .any(|slot| slot.load(Ordering::Relaxed) != 0)
        };
        assert!(!noted(&clients));
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(cache.flush_uses())
            .unwrap();
        clients.note(&cache, &repository, &digest, client);
        assert!(noted(&clients));
    }
}
