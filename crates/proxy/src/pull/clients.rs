//! Which clients pull what, noted on the way out at the price of one look into a table.
//!
//! A client is an address, as it is seen behind trusted proxies; the cache is given a number made of it, not the address. Pulls
//! seen within the hour stop at the table. What is new goes to the cache, which writes it down in batches.

use std::{
    hash::BuildHasher,
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use cache::{Cache, RepoKey};
use foldhash::fast::RandomState;
use manifest_model::{Algorithm, Digest};

/// Places for pulls of the last hour. Two that share one cost a second note of what is known.
const PLACES: usize = 65_536;

const HOUR_SECONDS: u64 = 3600;

/// Pulls that were noted a moment ago, by their hash.
#[derive(Debug)]
pub(super) struct Clients {
    noted: Box<[AtomicU64]>,
    hasher: RandomState,
    since: Instant,
}

impl Clients {
    pub(super) fn new() -> Self {
        Self {
            noted: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::default(),
            since: Instant::now(),
        }
    }

    /// Notes that `client` has pulled the manifest `digest` from `repository`. Touches no disk.
    pub(super) fn note(
        &self,
        cache: &Cache,
        repository: &RepoKey,
        digest: &Digest,
        client: IpAddr,
    ) {
        let hour = self.since.elapsed().as_secs() / HOUR_SECONDS;
        let hash = self.hasher.hash_one((repository, digest, client, hour));
        let place = &self.noted[place_of(hash)];
        if place.load(Ordering::Relaxed) != hash
            && cache
                .clients()
                .pulled_by(repository, digest, number(client))
        {
            place.store(hash, Ordering::Relaxed);
        }
    }
}

fn place_of(hash: u64) -> usize {
    let places = PLACES as u64;
    usize::try_from(hash % places).expect("a place is one of those there are")
}

/// The same for the same client, on every machine and after every restart. It hides no address from who tries them all.
fn number(client: IpAddr) -> u32 {
    let text = client.to_canonical().to_string();
    let digest = Digest::of(Algorithm::Sha256, text.as_bytes());
    let bytes = digest.as_bytes().first_chunk();
    u32::from_le_bytes(*bytes.expect("no digest is as short as four bytes"))
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
            max_fills: 1,
            max_open_files: 1,
        })
        .unwrap();
        let repository: RepoKey = "registry.example/app".parse().unwrap();
        let full = Digest::of(Algorithm::Sha256, b"full");
        let mut waiting = 0;
        while cache.clients().pulled_by(&repository, &full, waiting) {
            waiting += 1;
        }
        let (clients, digest) = (Clients::new(), Digest::of(Algorithm::Sha256, b"app"));
        let client = "10.0.0.1".parse().unwrap();
        clients.note(&cache, &repository, &digest, client);
        let noted = |clients: &Clients| {
            clients
                .noted
                .iter()
                .any(|place| place.load(Ordering::Relaxed) != 0)
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
