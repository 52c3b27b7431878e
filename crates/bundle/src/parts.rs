//! Parts of a bundle: raw ranges of the file, each in a file with a number at the end of its name.
//!
//! Parts follow each other without overlap, all of one size but the last, as `split -b` makes them.
//! `cat` joins them again. Where a part belongs follows from its number, its length and the lock.

use std::{
    fs::File,
    io::{self, Read, Seek},
    ops::Range,
    os::unix::fs::FileExt,
};

use crate::layout::Layout;

/// The headers that are compared to find out where a part belongs; its blobs are hashed later.
const COMPARED: usize = 64;

/// The shortest number of a part, as in `site.tar.001`.
const MIN_DIGITS: usize = 3;

/// The most parts: a further digit would put part 1000 before part 101 for `cat site.tar.*`.
pub const MAX_PARTS: u64 = 999;

/// The stem and number of a part's name: `site.tar` and 1 of `site.tar.001`.
pub fn part_of(name: &str) -> Option<(&str, u64)> {
    let (stem, number) = name.rsplit_once('.')?;
    let digits = number.len() >= MIN_DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|&number| digits && number > 0)?;
    (!stem.is_empty()).then_some((stem, number))
}

/// The name of the part with this number, from 1.
pub fn part_name(stem: &str, number: u64) -> String {
    format!("{stem}.{number:03}")
}

/// The bytes of each part, in order, of a bundle of `size` bytes.
pub fn part_ranges(size: u64, part_size: u64) -> impl Iterator<Item = Range<u64>> {
    let count = size.div_ceil(part_size.max(1));
    (0..count).map(move |number| {
        let start = number * part_size;
        start..size.min(start + part_size)
    })
}

/// Files that are read one after the other as one.
#[derive(Debug)]
pub struct Chain {
    files: Vec<File>,
    at: usize,
}

impl Chain {
    /// The files in this order.
    pub fn new(files: Vec<File>) -> Self {
        Self { files, at: 0 }
    }
}

impl Read for Chain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(file) = self.files.get_mut(self.at) {
            match file.read(buffer)? {
                0 if !buffer.is_empty() => self.at += 1,
                length => return Ok(length),
            }
        }
        Ok(0)
    }
}

/// Why parts are refused.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// One cannot be read.
    #[error("cannot read part {number}")]
    Io {
        /// The part.
        number: u64,
        /// The cause.
        source: io::Error,
    },
    /// Their lengths or bytes are not those of this bundle.
    #[error(
        "part {number} does not belong to this bundle, or was cut; check it with `sha256sum -c`"
    )]
    Stranger {
        /// The first part that fits nowhere.
        number: u64,
    },
}

/// The bytes of a bundle that are at hand, in one file or in some of its parts.
#[derive(Debug)]
pub struct Pieces {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    file: File,
    range: Range<u64>,
}

impl Pieces {
    /// A whole bundle in one file, of which `length` bytes are there.
    pub fn whole(file: File, length: u64) -> Self {
        let range = 0..length;
        Self {
            pieces: vec![Piece { file, range }],
        }
    }

    /// Finds the place of each part, given with its number from 1. The same part may come twice.
    pub fn place(parts: Vec<(u64, File)>, layout: &Layout) -> Result<Self, PartsError> {
        let mut measured = Vec::with_capacity(parts.len());
        for (number, file) in parts {
            let length = file.metadata();
            let length = length.map_err(|source| PartsError::Io { number, source })?;
            measured.push((number, length.len(), file));
        }
        // Most parts are whole, so the longest is as long as a part should be.
        let size = measured.iter().map(|part| part.1).max().unwrap_or(0);
        let unfit = measured
            .iter()
            .find(|part| !fits(part, size, layout.size()));
        let mut stranger = unfit.or(measured.first()).map_or(1, |part| part.0);
        for size in part_sizes(&measured, layout.size()) {
            match misfit(&measured, size, layout)? {
                None => return Ok(Self::placed(measured, size)),
                Some(number) => stranger = number,
            }
        }
        Err(PartsError::Stranger { number: stranger })
    }

    fn placed(parts: Vec<(u64, u64, File)>, size: u64) -> Self {
        let mut pieces: Vec<_> = parts
            .into_iter()
            .map(|(number, length, file)| {
                let start = (number - 1) * size;
                let range = start..start + length;
                Piece { file, range }
            })
            .collect();
        pieces.sort_by_key(|piece| piece.range.start);
        pieces.dedup_by_key(|piece| piece.range.start);
        Self { pieces }
    }

    /// What is at hand of `range`, in order: the file, where in the file it begins, and which bytes
    /// of the bundle these are.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = (&File, u64, Range<u64>)> {
        self.pieces.iter().filter_map(move |piece| {
            let start = range.start.max(piece.range.start);
            let end = range.end.min(piece.range.end);
            (start < end).then(|| (&piece.file, start - piece.range.start, start..end))
        })
    }

    /// All bytes from the first one on, as far as no part is missing.
    pub fn into_chain(self) -> io::Result<Chain> {
        let (mut files, mut end) = (Vec::new(), 0);
        for mut piece in self.pieces {
            if piece.range.start != end {
                break;
            }
            end = piece.range.end;
            piece.file.rewind()?;
            files.push(piece.file);
        }
        Ok(Chain::new(files))
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.pieces.iter().map(|piece| &piece.file)
    }

    /// Whether all of `range` is at hand.
    pub fn have(&self, range: Range<u64>) -> bool {
        self.gap(range).is_none()
    }

    /// The first byte of `range` that is not at hand.
    pub fn gap(&self, range: Range<u64>) -> Option<u64> {
        let mut at = range.start;
        for (_, _, piece) in self.within(range.clone()) {
            if piece.start > at {
                return Some(at);
            }
            at = piece.end;
        }
        (at < range.end).then_some(at)
    }
}

/// The sizes of a whole part that explain the lengths of all parts. More than one is possible where
/// a single part is given, since that may be the last one: this comes first, as the end of a bundle
/// is more to compare than the middle of a blob.
fn part_sizes(parts: &[(u64, u64, File)], total: u64) -> Vec<u64> {
    let mut sizes = Vec::new();
    for &(number, length, _) in parts {
        let before = total.checked_sub(length);
        let as_last = before.and_then(|before| {
            let size = before.checked_div(number - 1)?;
            (size * (number - 1) == before && size >= length).then_some(size)
        });
        sizes.extend([length].into_iter().chain(as_last));
    }
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    sizes.retain(|&size| size > 0 && parts.iter().all(|part| fits(part, size, total)));
    sizes
}

/// Whether a part has its length, where whole ones have `size` bytes.
fn fits(&(number, length, _): &(u64, u64, File), size: u64, total: u64) -> bool {
    let start = (number - 1).checked_mul(size);
    let rest = start.and_then(|start| total.checked_sub(start));
    rest.is_some_and(|rest| length > 0 && length == size.min(rest))
}

/// The first part whose headers are not where a part of `size` bytes has them.
fn misfit(
    parts: &[(u64, u64, File)],
    size: u64,
    layout: &Layout,
) -> Result<Option<u64>, PartsError> {
    for (number, length, file) in parts {
        let start = (number - 1) * size;
        let fits = is_of(file, &(start..start + length), layout);
        match fits {
            Ok(true) => {}
            Ok(false) => return Ok(Some(*number)),
            Err(source) => {
                let number = *number;
                return Err(PartsError::Io { number, source });
            }
        }
    }
    Ok(None)
}

fn is_of(file: &File, range: &Range<u64>, layout: &Layout) -> io::Result<bool> {
    for (at, expected) in layout.landmarks(range.clone()).take(COMPARED) {
        let start = range.start.max(at);
        let end = range.end.min(at + expected.len() as u64);
        let wanted = &expected[usize_of(start - at)..usize_of(end - at)];
        let mut found = vec![0; wanted.len()];
        file.read_exact_at(&mut found, start - range.start)?;
        if found != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

fn usize_of(length: u64) -> usize {
    usize::try_from(length).expect("within a header, which is in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_part_ends_its_name() {
        assert_eq!(part_of("site.tar.001"), Some(("site.tar", 1)));
        assert_eq!(part_of("SITE.TAR.1000"), Some(("SITE.TAR", 1000)));
        for other in ["site.tar", "site.tar.01", "site.tar.000", ".001", "a.1e3"] {
            assert_eq!(part_of(other), None, "{other}");
        }
        assert_eq!(part_name("site.tar", 7), "site.tar.007");
    }
}
