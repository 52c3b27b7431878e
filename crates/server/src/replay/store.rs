//! A small map whose entries live for seconds: read by every request, written by few.
//!
//! A look-up is a read lock and a probe. The order of use that a general cache keeps would cost
//! more than the answer it finds, and would gain nothing with entries that expire so soon.

use std::{collections::HashMap, sync::Arc, time::Instant};

use foldhash::fast::RandomState;
use parking_lot::RwLock;

/// The number of locks, so that cores do not wait for each other.
const SHARDS: usize = 16;

#[derive(Debug)]
pub(super) struct ExpiringMap<T> {
    shards: [RwLock<Shard<T>>; SHARDS],
    /// The largest weight of one shard.
    bound: usize,
}

#[derive(Debug)]
struct Shard<T> {
    entries: HashMap<u64, Entry<T>, RandomState>,
    /// The weight of all entries together.
    weight: usize,
}

#[derive(Debug)]
struct Entry<T> {
    value: Arc<T>,
    weight: usize,
    until: Instant,
}

impl<T> ExpiringMap<T> {
    /// A map of entries that together weigh no more than `bound`.
    pub(super) fn new(bound: usize) -> Self {
        let shard = |_| {
            RwLock::new(Shard {
                entries: HashMap::default(),
                weight: 0,
            })
        };
        Self {
            shards: std::array::from_fn(shard),
            bound: bound / SHARDS,
        }
    }

    /// The value under `key`. It may have expired: the caller, who has the time, judges that.
    pub(super) fn get(&self, key: u64) -> Option<Arc<T>> {
        self.shard(key)
            .read()
            .entries
            .get(&key)
            .map(|entry| Arc::clone(&entry.value))
    }

    /// Puts a value under `key`, in place of an older one. To make room, expired entries are
    /// removed, or all entries if that is not enough: the next requests bring back those in use.
    pub(super) fn put(&self, key: u64, value: T, weight: usize, until: Instant) {
        let mut shard = self.shard(key).write();
        if shard.weight + weight > self.bound {
            let now = Instant::now();
            shard.remove_expired(now);
        }
        if shard.weight + weight > self.bound {
            shard.clear();
        }
        let value = Arc::new(value);
        let entry = Entry {
            value,
            weight,
            until,
        };
        shard.insert(key, entry);
    }

    fn shard(&self, key: u64) -> &RwLock<Shard<T>> {
        let place = usize::try_from(key >> 32).unwrap_or(0) % SHARDS;
        &self.shards[place]
    }
}

impl<T> Shard<T> {
    fn insert(&mut self, key: u64, entry: Entry<T>) {
        self.weight += entry.weight;
        if let Some(old) = self.entries.insert(key, entry) {
            self.weight -= old.weight;
        }
    }

    fn remove_expired(&mut self, now: Instant) {
        let expired = self.entries.extract_if(|_, entry| entry.until <= now);
        self.weight -= expired.map(|(_, entry)| entry.weight).sum::<usize>();
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.weight = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_put_last_is_there_and_the_bound_holds() {
        let map = ExpiringMap::new(SHARDS * 100);
        let later = Instant::now() + Duration::from_mins(1);
        for number in 0..1000 {
            map.put(number, number, 30, later);
            assert_eq!(map.get(number).as_deref(), Some(&number));
        }
        let there = (0..1000).filter(|number| map.get(*number).is_some());
        assert!(there.count() <= SHARDS * 3);
    }

    #[test]
    fn what_was_replaced_or_dropped_weighs_nothing_any_more() {
        let map = ExpiringMap::new(SHARDS * 100);
        let later = Instant::now() + Duration::from_mins(1);
        map.put(1, "kept", 40, later);
        for _ in 0..10 {
            map.put(2, "replaced", 30, later);
        }
        assert!(map.get(1).is_some() && map.get(2).is_some());
        map.put(3, "too much", 40, later);
        assert!(map.get(1).is_none() && map.get(2).is_none());
        map.put(4, "beside it", 60, later);
        assert!(map.get(3).is_some() && map.get(4).is_some());
    }

    #[test]
    fn what_is_past_its_time_makes_room_first() {
        let map = ExpiringMap::new(SHARDS * 100);
        let now = Instant::now();
        map.put(1, "old", 60, now);
        map.put(2, "young", 30, now + Duration::from_mins(1));
        map.put(3, "new", 60, now + Duration::from_mins(1));
        assert!(map.get(1).is_none() && map.get(2).is_some() && map.get(3).is_some());
    }
}
