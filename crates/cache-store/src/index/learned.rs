//! The kinds that clients really pull at each place: a weight per kind that halves over time.
//!
//! Places and kinds are the caller's words. Here they are keys that decay and are swept once little
//! of them is left.

use std::{sync::Arc, time::Duration};

use redb::{Durability, TableDefinition};

use super::{
    keys::now_ms,
    store::{Outcome, Store},
};
use crate::error::CacheError;

/// place, a NUL, kind -> (weight, the time of that weight in ms)
pub(super) const LEARNED: TableDefinition<'_, &str, (f64, u64)> = TableDefinition::new("learned");

/// A weight below this counts as nothing: a single pull after four half-lives.
const MIN_WEIGHT: f64 = 1.0 / 16.0;

/// Rows that a list of places looks at.
const MAX_READ: usize = 20_000;

/// A kind and its weight as of now.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnedKind {
    /// The kind that was pulled.
    pub kind: String,
    /// The number of pulls, older ones counting less.
    pub weight: f64,
}

/// A place, and what is pulled there.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnedPlace {
    /// The place.
    pub place: String,
    /// Its kinds, the heaviest first.
    pub kinds: Vec<LearnedKind>,
}

/// The table of weights.
#[derive(Debug)]
pub struct Learned {
    store: Arc<Store>,
}

impl Learned {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
        }
    }

    /// Adds one pull of `kind` at `place`, after earlier ones have decayed by `half_life`. The first
    /// pull of a kind is durable; a crash that loses a later one costs a little weight. Blocks.
    pub fn record(&self, place: &str, kind: &str, half_life: Duration) -> Outcome<()> {
        let (key, now) = (key(place, kind), now_ms());
        let known = {
            let table = self.store.begin_read()?.open_table(LEARNED)?;
            table.get(key.as_str())?.map(|row| row.value())
        };
        let (old, durability) = match known {
            Some((weight, then)) => (decayed(weight, then, now, half_life), Durability::None),
            None => (0.0, Durability::Immediate),
        };
        self.store.write(durability, |transaction| {
            let mut table = transaction.open_table(LEARNED)?;
            table.insert(key.as_str(), (old + 1.0, now))?;
            Ok(())
        })
    }

    /// The kinds pulled at `place`, the heaviest first, without those that have decayed to nothing.
    /// Blocks for a look-up.
    pub fn kinds(&self, place: &str, half_life: Duration) -> Result<Vec<LearnedKind>, CacheError> {
        Ok(self.read_kinds(place, half_life)?)
    }

    fn read_kinds(&self, place: &str, half_life: Duration) -> Outcome<Vec<LearnedKind>> {
        let now = now_ms();
        let table = self.store.begin_read()?.open_table(LEARNED)?;
        let (first, last) = (key(place, ""), format!("{place}\u{1}"));
        let mut kinds = Vec::new();
        for row in table.range(first.as_str()..last.as_str())? {
            let (key, value) = row?;
            let (weight, then) = value.value();
            let weight = decayed(weight, then, now, half_life);
            if let Some((_, kind)) = key.value().split_once('\0')
                && weight >= MIN_WEIGHT
            {
                kinds.push(LearnedKind {
                    kind: kind.to_owned(),
                    weight,
                });
            }
        }
        kinds.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        Ok(kinds)
    }

    /// The places with kinds that are `told`, at most `limit` of them in the order of their names,
    /// with those kinds, the heaviest first. Blocks for a bounded number of rows.
    pub fn places(
        &self,
        told: impl Fn(&str) -> bool,
        limit: usize,
        half_life: Duration,
    ) -> Result<Vec<LearnedPlace>, CacheError> {
        Ok(self.read_places(told, limit, half_life)?)
    }

    fn read_places(
        &self,
        told: impl Fn(&str) -> bool,
        limit: usize,
        half_life: Duration,
    ) -> Outcome<Vec<LearnedPlace>> {
        let now = now_ms();
        let table = self.store.begin_read()?.open_table(LEARNED)?;
        let mut places: Vec<LearnedPlace> = Vec::new();
        for row in table.range::<&str>(..)?.take(MAX_READ) {
            let (key, value) = row?;
            let (weight, then) = value.value();
            let weight = decayed(weight, then, now, half_life);
            let Some((place, kind)) = key.value().split_once('\0') else {
                continue;
            };
            if weight < MIN_WEIGHT || !told(kind) {
                continue;
            }
            if places.last().is_none_or(|last| last.place != place) {
                if places.len() == limit {
                    break;
                }
                places.push(LearnedPlace {
                    place: place.to_owned(),
                    kinds: Vec::new(),
                });
            }
            let kind = kind.to_owned();
            if let Some(last) = places.last_mut() {
                last.kinds.push(LearnedKind { kind, weight });
            }
        }
        for place in &mut places {
            place.kinds.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        }
        Ok(places)
    }

    /// Removes the weights that have decayed to nothing. Blocks.
    pub fn remove_decayed(&self, half_life: Duration) -> Outcome<()> {
        let now = now_ms();
        self.store.write(Durability::None, |transaction| {
            let mut table = transaction.open_table(LEARNED)?;
            table
                .retain(|_, (weight, then)| decayed(weight, then, now, half_life) >= MIN_WEIGHT)?;
            Ok(())
        })
    }
}

fn decayed(weight: f64, then: u64, now: u64, half_life: Duration) -> f64 {
    let age = Duration::from_millis(now.saturating_sub(then));
    weight * 0.5_f64.powf(age.as_secs_f64() / half_life.as_secs_f64().max(1.0))
}

fn key(place: &str, kind: &str) -> String {
    format!("{place}\0{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_halves_with_each_half_life() {
        let day = Duration::from_hours(24);
        let ms = 24 * 3600 * 1000;
        assert!((decayed(4.0, 0, 2 * ms, day) - 1.0).abs() < 1e-9);
        assert!(
            (decayed(4.0, ms, 0, day) - 4.0).abs() < 1e-9,
            "a clock set back"
        );
    }
}
