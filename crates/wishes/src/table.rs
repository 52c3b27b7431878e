//! The wishes in memory, and their bound.

use std::collections::{BTreeMap, BTreeSet};

use protocol::image_list::ListedImage;

use crate::wish::Wish;

/// The most wishes kept.
const MAX_WISHES: usize = 10_000;

/// Wishes by the text of their image, and in the order in which they go.
#[derive(Debug, Default)]
pub(crate) struct Table {
    wishes: BTreeMap<String, Wish>,
    /// How often, when last, which: the first one goes first.
    rarest: BTreeSet<(u64, u64, String)>,
}

impl Table {
    pub(crate) fn note(&mut self, image: ListedImage, now: u64) {
        let key = image.to_string();
        let mut wish = self.take(&key).unwrap_or(Wish {
            image,
            times: 0,
            first: now,
            last: now,
        });
        wish.times = wish.times.saturating_add(1);
        // A clock that was set back does not make it older.
        wish.last = wish.last.max(now);
        self.put(key, wish);
    }

    /// Adds a wish, and lets the one go that is due where there are too many.
    pub(crate) fn put(&mut self, key: String, wish: Wish) {
        if self.wishes.len() >= MAX_WISHES
            && !self.wishes.contains_key(&key)
            && let Some((_, _, due)) = self.rarest.pop_first()
        {
            self.wishes.remove(&due);
        }
        let rank = (wish.times, wish.last, key.clone());
        if let Some(before) = self.wishes.insert(key.clone(), wish) {
            self.rarest.remove(&(before.times, before.last, key));
        }
        self.rarest.insert(rank);
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<Wish> {
        let wish = self.wishes.remove(key)?;
        self.rarest.remove(&(wish.times, wish.last, key.to_owned()));
        Some(wish)
    }

    /// All of them, in the order of their names.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Wish> {
        self.wishes.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.wishes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(line: &str) -> ListedImage {
        line.parse().unwrap()
    }

    fn names(table: &Table) -> Vec<String> {
        table.all().map(|wish| wish.image.to_string()).collect()
    }

    #[test]
    fn a_wish_counts_and_keeps_its_first_and_last_time() {
        let mut table = Table::default();
        for now in [50, 90, 70] {
            table.note(image("quay.io/a:1"), now);
        }
        let wish = table.all().next().unwrap();
        assert_eq!((wish.times, wish.first, wish.last), (3, 50, 90));
        assert_eq!(table.rarest.len(), 1);
    }

    #[test]
    fn the_order_is_that_of_the_names_whatever_came_first() {
        let mut table = Table::default();
        for line in [
            "quay.io/b:1",
            "docker.io/z:1",
            "quay.io/a:1 linux/arm64",
            "quay.io/a:1",
        ] {
            table.note(image(line), 1);
        }
        let expected = [
            "docker.io/z:1",
            "quay.io/a:1",
            "quay.io/a:1 linux/arm64",
            "quay.io/b:1",
        ];
        assert_eq!(names(&table), expected);
    }

    #[test]
    fn beyond_the_bound_the_rarest_goes_and_of_those_the_oldest() {
        let mut table = Table::default();
        let of = |n: u64| image(&format!("quay.io/a:{n}"));
        for n in 0..MAX_WISHES as u64 {
            table.note(of(n), 100 + n);
        }
        // The first two are wanted again, so that the third is the rarest and oldest.
        table.note(of(0), 200);
        table.note(of(1), 200);
        for flood in 0..50 {
            table.note(image(&format!("quay.io/flood:{flood}")), 1_000_000);
        }
        assert_eq!((table.len(), table.rarest.len()), (MAX_WISHES, MAX_WISHES));
        let left = names(&table);
        for n in [0, 1, 52] {
            assert!(left.contains(&of(n).to_string()), "{n}");
        }
        for n in [2, 51] {
            assert!(!left.contains(&of(n).to_string()), "{n}");
        }
    }
}
