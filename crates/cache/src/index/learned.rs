//! What is really pulled: a weight per place and kind, which halves over time.
//!
//! Places and kinds are the caller's words; here they are keys that decay and are swept when little is left of them.

use std::time::Duration;

use redb::{Durability, TableDefinition};

use super::{Index, Outcome, now_ms};

/// place, a NUL, kind -> (weight, when it was that, in ms)
pub(super) const LEARNED: TableDefinition<'_, &str, (f64, u64)> = TableDefinition::new("learned");

/// Below this a weight counts as nothing: a single pull after four half-lives.
const FLOOR: f64 = 1.0 / 16.0;

/// A weight as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// What was pulled there.
    pub kind: String,
    /// How often, the long ago counting less.
    pub weight: f64,
}

fn decayed(weight: f64, then: u64, now: u64, half_life: Duration) -> f64 {
    let age = Duration::from_millis(now.saturating_sub(then));
    weight * 0.5_f64.powf(age.as_secs_f64() / half_life.as_secs_f64().max(1.0))
}

fn key(place: &str, kind: &str) -> String {
    format!("{place}\0{kind}")
}

impl Index {
    /// Adds one pull. The first one of its kind is durable, losing a later one in a crash costs a little weight.
    pub(crate) fn learn(&self, place: &str, kind: &str, half_life: Duration) -> Outcome<()> {
        let (key, now) = (key(place, kind), now_ms());
        let known = {
            let table = self.store.begin_read()?.open_table(LEARNED)?;
            table.get(key.as_str())?.map(|row| row.value())
        };
        let (old, durability) = match known {
            Some((weight, then)) => (decayed(weight, then, now, half_life), Durability::None),
            None => (0.0, Durability::Immediate),
        };
        self.write(durability, |transaction| {
            let mut table = transaction.open_table(LEARNED)?;
            table.insert(key.as_str(), (old + 1.0, now))?;
            Ok(())
        })
    }

    /// What is pulled at a place, the heaviest first.
    pub(crate) fn learned(&self, place: &str, half_life: Duration) -> Outcome<Vec<Learned>> {
        let now = now_ms();
        let table = self.store.begin_read()?.open_table(LEARNED)?;
        let (first, last) = (key(place, ""), format!("{place}\u{1}"));
        let mut found = Vec::new();
        for row in table.range(first.as_str()..last.as_str())? {
            let (key, value) = row?;
            let (weight, then) = value.value();
            let weight = decayed(weight, then, now, half_life);
            if let Some((_, kind)) = key.value().split_once('\0')
                && weight >= FLOOR
            {
                found.push(Learned {
                    kind: kind.to_owned(),
                    weight,
                });
            }
        }
        found.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        Ok(found)
    }

    /// Drops what counts as nothing any more.
    pub(crate) fn unlearn(&self, half_life: Duration) -> Outcome<()> {
        let now = now_ms();
        self.write(Durability::None, |transaction| {
            let mut table = transaction.open_table(LEARNED)?;
            table.retain(|_, (weight, then)| decayed(weight, then, now, half_life) >= FLOOR)?;
            Ok(())
        })
    }
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
