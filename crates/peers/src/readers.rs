//! How many replicas read one blob from here at once: beyond that, the next one is sent to one of them.
//!
//! Each of them has what has arrived here a moment later. So a blob goes through a tree of replicas, and the
//! network card of its owner carries it a few times and not once for each.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

/// How many replicas read a blob from here at once.
const MAX_READERS: usize = 4;

/// Who reads what from here. Clones are handles to the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readers(Arc<Mutex<Reading>>);

#[derive(Debug, Default)]
struct Reading {
    blobs: HashMap<String, Vec<Reader>>,
    /// Numbers seats, and takes those who come later to different readers in turn.
    turns: u64,
}

#[derive(Debug)]
struct Reader {
    seat: u64,
    /// As the list of members spells it; none where it has not found itself yet.
    name: Option<String>,
}

/// A blob that a replica wants to read from here.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) blob: String,
    /// Who wants it, as the list of members spells it.
    pub(crate) name: Option<String>,
    /// Whether the reader that it was sent to was of no help.
    pub(crate) insists: bool,
}

/// The right to read a blob from here, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    readers: Readers,
    blob: String,
    number: u64,
}

impl Readers {
    /// The reader to ask instead, where there are as many as may be.
    pub(crate) fn instead(&self, wish: &Wish) -> Option<String> {
        self.0.lock().instead(wish)
    }

    /// A seat, or the reader to ask instead.
    pub(crate) fn seat(&self, wish: Wish) -> Result<Seat, String> {
        let mut reading = self.0.lock();
        if let Some(other) = reading.instead(&wish) {
            return Err(other);
        }
        let (number, Wish { blob, name, .. }) = (reading.turn(), wish);
        let readers = reading.blobs.entry(blob.clone()).or_default();
        readers.push(Reader { seat: number, name });
        drop(reading);
        Ok(Seat {
            readers: self.clone(),
            blob,
            number,
        })
    }
}

impl Reading {
    fn instead(&mut self, wish: &Wish) -> Option<String> {
        let turn = usize::try_from(self.turn()).unwrap_or_default();
        let readers = self.blobs.get(&wish.blob)?;
        if readers.len() < MAX_READERS || wish.insists {
            return None;
        }
        let names = readers.iter().filter_map(|reader| reader.name.as_ref());
        let others: Vec<_> = names
            .filter(|other| Some(*other) != wish.name.as_ref())
            .collect();
        let other = others.get(turn % others.len().max(1))?;
        Some((*other).clone())
    }

    fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut reading = self.readers.0.lock();
        if let Some(readers) = reading.blobs.get_mut(&self.blob) {
            readers.retain(|reader| reader.seat != self.number);
            if readers.is_empty() {
                reading.blobs.remove(&self.blob);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(name: &str) -> Wish {
        Wish {
            blob: "blob".to_owned(),
            name: (!name.is_empty()).then(|| name.to_owned()),
            insists: false,
        }
    }

    #[test]
    fn beyond_a_few_the_next_is_sent_to_one_of_them_unless_it_insists() {
        let (readers, names) = (Readers::default(), ["a", "b", "c", "d"]);
        let seats = names.iter().map(|name| readers.seat(wish(name)).unwrap());
        let mut seats: Vec<_> = seats.collect();
        let both = ["e", "f"].map(|name| readers.seat(wish(name)).unwrap_err());
        assert!(both.iter().all(|other| names.contains(&other.as_str())));
        assert_ne!(both[0], both[1]);
        for _ in names {
            let other = readers.instead(&wish("a"));
            assert_ne!(other.as_deref(), Some("a"), "nobody is sent to itself");
        }
        let insisting = Wish {
            insists: true,
            ..wish("e")
        };
        assert!(readers.seat(insisting).is_ok());
        seats.pop();
        assert!(readers.seat(wish("e")).is_ok());
        drop(seats);
        assert!(readers.0.lock().blobs.is_empty());
    }

    #[test]
    fn where_no_reader_has_a_name_all_are_served() {
        let readers = Readers::default();
        let seats: Vec<_> = (0..6).map(|_| readers.seat(wish(""))).collect();
        assert!(seats.iter().all(Result::is_ok));
    }
}
