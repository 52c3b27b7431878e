//! `Range` requests for blobs (RFC 9110, section 14).

use std::ops::Range;

/// The bytes a `Range` header asks for, before the size of the body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `first-last`, both included.
    Bounded {
        /// The first byte wanted.
        first: u64,
        /// The last byte wanted.
        last: u64,
    },
    /// `first-`: from an offset to the end.
    From(u64),
    /// `-count`: the last bytes.
    Suffix(u64),
}

/// The range lies outside the body: 416.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsatisfiable;

impl ByteRange {
    /// Reads the header's value. `None` where the whole body is the right answer: another unit, a
    /// malformed value, or several ranges. RFC 9110 lets a server ignore several ranges, and
    /// registry clients accept a 200 for them.
    pub fn parse(value: &str) -> Option<Self> {
        let (unit, spec) = value.trim().split_once('=')?;
        if !unit.trim_end().eq_ignore_ascii_case("bytes") || spec.contains(',') {
            return None;
        }
        match spec.trim().split_once('-')? {
            ("", count) => number(count).map(Self::Suffix),
            (first, "") => number(first).map(Self::From),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Bounded { first, last })
            }
        }
    }

    /// The offsets within a body of `size` bytes.
    pub fn of(self, size: u64) -> Result<Range<u64>, Unsatisfiable> {
        let range = match self {
            Self::Bounded { first, last } => first..last.saturating_add(1).min(size),
            Self::From(first) => first..size,
            Self::Suffix(count) => size.saturating_sub(count)..size,
        };
        if range.is_empty() {
            Err(Unsatisfiable)
        } else {
            Ok(range)
        }
    }
}

/// Digits only: `u64::from_str` would take a sign.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_forms_are_read() {
        assert_eq!(
            ByteRange::parse("bytes=0-0"),
            Some(ByteRange::Bounded { first: 0, last: 0 })
        );
        assert_eq!(
            ByteRange::parse("bytes=500-1499"),
            Some(ByteRange::Bounded {
                first: 500,
                last: 1499
            })
        );
        assert_eq!(ByteRange::parse("bytes=500-"), Some(ByteRange::From(500)));
        assert_eq!(
            ByteRange::parse("Bytes = -500"),
            Some(ByteRange::Suffix(500))
        );
    }

    #[test]
    fn what_cannot_be_honoured_means_the_whole_body() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=2-1",
            "bytes=+1-2",
            "bytes=1-2,4-5",
            "lines=1-2",
            "bytes=a-b",
        ] {
            assert_eq!(ByteRange::parse(value), None, "{value}");
        }
    }

    #[test]
    fn a_range_is_cut_at_the_end_of_the_body() {
        assert_eq!(
            ByteRange::Bounded {
                first: 5,
                last: 100
            }
            .of(10),
            Ok(5..10)
        );
        assert_eq!(ByteRange::From(9).of(10), Ok(9..10));
        assert_eq!(ByteRange::Suffix(100).of(10), Ok(0..10));
    }

    #[test]
    fn a_range_beyond_the_body_is_unsatisfiable() {
        assert_eq!(ByteRange::From(10).of(10), Err(Unsatisfiable));
        assert_eq!(ByteRange::Suffix(0).of(10), Err(Unsatisfiable));
        assert_eq!(
            ByteRange::Bounded {
                first: 10,
                last: 20
            }
            .of(10),
            Err(Unsatisfiable)
        );
        assert_eq!(ByteRange::From(0).of(0), Err(Unsatisfiable));
    }

    proptest! {
        #[test]
        fn no_header_panics_and_no_range_leaves_the_body(value in ".*", size in any::<u64>()) {
            if let Some(range) = ByteRange::parse(&value).and_then(|range| range.of(size).ok()) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
