//! A small map whose entries live for seconds: read by every request, written by few.
//!
//! A look-up is a read lock and a probe. What a general cache does beside it (an order of use, housekeeping) would cost more than
//! the answer it finds, and with entries that expire so soon there is nothing to be gained by it.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use foldhash::fast::RandomState;

/// Locks, so that cores do not wait for each other.
const SHARDS: usize = 16;

#[derive(Debug)]
pub(super) struct Shelf<T> {
    shards: [RwLock<Shard<T>>; SHARDS],
    /// What one shard may weigh.
    bound: usize,
}

#[derive(Debug)]
struct Shard<T> {
    entries: HashMap<u64, Entry<T>, RandomState>,
    /// What the entries weigh together.
    weight: usize,
}

#[derive(Debug)]
struct Entry<T> {
    value: Arc<T>,
    weight: usize,
    until: Instant,
}

impl<T> Shelf<T> {
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

    /// The value under `key`. It may be past its time: that is for the caller to judge, who has the time.
    pub(super) fn get(&self, key: u64) -> Option<Arc<T>> {
        let shard = self.shard(key).read();
        let shard = shard.unwrap_or_else(PoisonError::into_inner);
        shard
            .entries
            .get(&key)
            .map(|entry| Arc::clone(&entry.value))
    }

    /// Puts a value in the place of what is there. Makes room by dropping what is past its time; where that is not enough, by
    /// dropping everything: the next requests bring back what is asked for.
    pub(super) fn put(&self, key: u64, value: T, weight: usize, until: Instant) {
        let shard = self.shard(key).write();
        let mut shard = shard.unwrap_or_else(PoisonError::into_inner);
        if shard.weight + weight > self.bound {
            let now = Instant::now();
            shard.drop_past(now);
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

    fn drop_past(&mut self, now: Instant) {
        let past = self.entries.extract_if(|_, entry| entry.until <= now);
        self.weight -= past.map(|(_, entry)| entry.weight).sum::<usize>();
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
        let shelf = Shelf::new(SHARDS * 100);
        let later = Instant::now() + Duration::from_mins(1);
        for number in 0..1000 {
            shelf.put(number, number, 30, later);
            assert_eq!(shelf.get(number).as_deref(), Some(&number));
        }
        let there = (0..1000).filter(|number| shelf.get(*number).is_some());
        assert!(there.count() <= SHARDS * 3);
    }

    #[test]
    fn what_was_replaced_or_dropped_weighs_nothing_any_more() {
        let shelf = Shelf::new(SHARDS * 100);
        let later = Instant::now() + Duration::from_mins(1);
        shelf.put(1, "kept", 40, later);
        for _ in 0..10 {
            shelf.put(2, "replaced", 30, later);
        }
        assert!(shelf.get(1).is_some() && shelf.get(2).is_some());
        shelf.put(3, "too much", 40, later);
        assert!(shelf.get(1).is_none() && shelf.get(2).is_none());
        shelf.put(4, "beside it", 60, later);
        assert!(shelf.get(3).is_some() && shelf.get(4).is_some());
    }

    #[test]
    fn what_is_past_its_time_makes_room_first() {
        let shelf = Shelf::new(SHARDS * 100);
        let now = Instant::now();
        shelf.put(1, "old", 60, now);
        shelf.put(2, "young", 30, now + Duration::from_mins(1));
        shelf.put(3, "new", 60, now + Duration::from_mins(1));
        assert!(shelf.get(1).is_none() && shelf.get(2).is_some() && shelf.get(3).is_some());
    }
}
