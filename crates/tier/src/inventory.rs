//! Which blobs the bucket has, in memory: 8 bytes of each digest.
//!
//! A blob that it does not have is never asked for, so a miss costs nothing. What is here may be out
//! of date: an object that has gone is a miss and is forgotten, one that is not known yet is brought
//! from the upstream once more.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use manifest_model::Digest;
use parking_lot::RwLock;
use tokio::time::Instant;

use crate::{metrics::TierMetrics, names::seconds};

/// The first bytes of its object.
const MAGIC: &[u8; 8] = b"archway1";

/// Blobs that the list takes, 64 MiB of it. Of a bucket with more, those that were used last are in it.
pub(crate) const MAX_BLOBS: usize = 8 << 20;

/// The largest object that is a list.
pub(crate) const MAX_BYTES: usize = 16 + 8 * MAX_BLOBS;

/// Additions beside the list before they become part of it.
const MERGE_ABOVE: usize = 4096;

/// Which blobs the bucket has, as far as it is known.
#[derive(Debug)]
pub(crate) struct Inventory {
    metrics: TierMetrics,
    state: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Sorted.
    listed: Vec<u64>,
    /// When each was added, beside the list.
    added: HashMap<u64, Instant>,
    gone: HashSet<u64>,
    /// When the list was made.
    as_of: Option<SystemTime>,
}

/// The first 8 bytes of a digest: enough to tell a billion blobs apart in all but one case of 40.
pub(crate) fn short(digest: &Digest) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_be_bytes(first)
}

impl Inventory {
    pub(crate) fn new(metrics: TierMetrics) -> Self {
        Self {
            metrics,
            state: RwLock::default(),
        }
    }

    /// Whether the bucket has the blob. Needs no request.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        let (short, state) = (short(digest), self.state.read());
        state.added.contains_key(&short)
            || (state.listed.binary_search(&short).is_ok() && !state.gone.contains(&short))
    }

    /// When the list that it is made of was made.
    pub(crate) fn as_of(&self) -> Option<SystemTime> {
        self.state.read().as_of
    }

    pub(crate) fn add(&self, short: u64) {
        let mut state = self.state.write();
        state.gone.remove(&short);
        if state.listed.binary_search(&short).is_err() {
            state.added.insert(short, Instant::now());
        }
        if state.added.len() > MERGE_ABOVE.max(state.listed.len() / 16) {
            let Known { listed, added, .. } = &mut *state;
            listed.extend(added.drain().map(|(short, _)| short));
            listed.sort_unstable();
            listed.dedup();
        }
        self.show(&state);
    }

    pub(crate) fn forget(&self, digest: &Digest) {
        let short = short(digest);
        let mut state = self.state.write();
        state.added.remove(&short);
        // No more than are listed: what was never known to be there is not there without this.
        if state.listed.binary_search(&short).is_ok() {
            state.gone.insert(short);
        }
        self.show(&state);
    }

    /// Takes a list that was begun `age` ago. What was added since then stays.
    pub(crate) fn replace(&self, mut listed: Vec<u64>, as_of: SystemTime, age: Duration) {
        listed.sort_unstable();
        listed.dedup();
        listed.shrink_to_fit();
        let begun = Instant::now().checked_sub(age);
        let mut state = self.state.write();
        let is_new = |added: &Instant| begun.is_none_or(|begun| *added >= begun);
        state.added.retain(|_, added| is_new(added));
        state.listed = listed;
        state.gone = HashSet::new();
        state.as_of = Some(as_of);
        self.show(&state);
    }

    fn show(&self, state: &Known) {
        let known = state.listed.len() + state.added.len();
        self.metrics
            .show_blobs(known.saturating_sub(state.gone.len()));
    }
}

/// A list as an object.
pub(crate) fn encode(listed: &[u64], as_of: SystemTime) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + listed.len() * 8);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&seconds(as_of).to_le_bytes());
    bytes.extend(listed.iter().flat_map(|short| short.to_le_bytes()));
    bytes
}

/// The list in an object, and when it was made.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Vec<u64>, SystemTime)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (seconds, rest) = rest.split_first_chunk::<8>()?;
    let (shorts, []) = rest.as_chunks::<8>() else {
        return None;
    };
    let as_of = Duration::from_secs(u64::from_le_bytes(*seconds));
    let as_of = SystemTime::UNIX_EPOCH.checked_add(as_of)?;
    let shorts = shorts.iter().map(|short| u64::from_le_bytes(*short));
    Some((shorts.collect(), as_of))
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::*;

    fn digest(number: u32) -> Digest {
        Digest::of(Algorithm::Sha256, &number.to_le_bytes())
    }

    fn inventory() -> Inventory {
        Inventory::new(TierMetrics::default())
    }

    #[test]
    fn what_was_added_is_there_and_what_has_gone_is_not() {
        let inventory = inventory();
        assert!(!inventory.has(&digest(1)));
        inventory.add(short(&digest(1)));
        assert!(inventory.has(&digest(1)));
        inventory.forget(&digest(1));
        assert!(!inventory.has(&digest(1)));
    }

    #[test]
    fn a_new_list_replaces_the_old_one_but_not_what_came_meanwhile() {
        let inventory = inventory();
        inventory.replace(vec![short(&digest(1))], SystemTime::now(), Duration::ZERO);
        inventory.add(short(&digest(2)));
        let list = vec![short(&digest(3))];
        inventory.replace(list, SystemTime::now(), Duration::from_mins(1));
        assert!(!inventory.has(&digest(1)));
        assert!(inventory.has(&digest(2)) && inventory.has(&digest(3)));
    }

    #[test]
    fn what_was_never_known_to_be_there_takes_no_room() {
        let inventory = inventory();
        inventory.replace(vec![short(&digest(1))], SystemTime::now(), Duration::ZERO);
        for number in 1..1000 {
            inventory.forget(&digest(number));
        }
        assert_eq!(inventory.state.read().gone.len(), 1);
        assert!(!inventory.has(&digest(1)));
    }

    #[test]
    fn as_many_blobs_as_are_listed_fit_in_the_object_that_is_read() {
        let number = 1000;
        let bytes = encode(&vec![7; number], SystemTime::now()).len();
        assert_eq!(bytes + (MAX_BLOBS - number) * 8, MAX_BYTES);
    }

    #[test]
    fn many_additions_become_part_of_the_list() {
        let inventory = inventory();
        for number in 0..10_000 {
            inventory.add(short(&digest(number)));
        }
        assert!((0..10_000).all(|number| inventory.has(&digest(number))));
        assert!(!inventory.has(&digest(10_001)));
    }

    #[test]
    fn a_list_comes_back_and_a_torn_one_is_none() {
        let as_of = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_001);
        let bytes = encode(&[1, 2, u64::MAX], as_of);
        assert_eq!(decode(&bytes), Some((vec![1, 2, u64::MAX], as_of)));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(decode(b"something else"), None);
    }
}
