//! `Range` requests for blobs (RFC 9110, section 14).

use std::ops::Range;

/// One range of a `Range` header, before the size of the body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByteRange {
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

/// The most ranges of one request that are answered one by one. Partial pulls of container tools
/// ask for up to as many; one who asks for more gets the whole.
const MAX_RANGES: usize = 1024;

/// What a `Range` header asks for of a body whose size is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it: another unit, a malformed value, too many ranges, or some that overlap and would
    /// cost more than the whole.
    Whole,
    /// One range.
    One(Range<u64>),
    /// Several, none of which touches a byte of another, in the order asked for.
    Several(Vec<Range<u64>>),
    /// Nothing that is there: 416.
    Unsatisfiable,
}

impl Selection {
    /// Reads the header's value for a body of `size` bytes.
    pub fn parse(value: &str, size: u64) -> Self {
        let Some((unit, specs)) = value.trim().split_once('=') else {
            return Self::Whole;
        };
        if !unit.trim_end().eq_ignore_ascii_case("bytes") {
            return Self::Whole;
        }
        let mut ranges = Vec::new();
        for (count, spec) in specs.split(',').enumerate() {
            let Some(range) = ByteRange::parse(spec).filter(|_| count < MAX_RANGES) else {
                return Self::Whole;
            };
            // Ranges beyond the body are left out while there are others.
            ranges.extend(range.of(size));
        }
        match ranges.as_slice() {
            [] => Self::Unsatisfiable,
            [one] => Self::One(one.clone()),
            _ if overlap(&ranges) => Self::Whole,
            _ => Self::Several(ranges),
        }
    }
}

fn overlap(ranges: &[Range<u64>]) -> bool {
    let mut sorted: Vec<_> = ranges.iter().collect();
    sorted.sort_by_key(|range| range.start);
    sorted.windows(2).any(|pair| pair[1].start < pair[0].end)
}

/// The range lies outside the body: 416.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unsatisfiable;

impl ByteRange {
    /// Reads what stands between two commas; `None` if it is malformed.
    fn parse(spec: &str) -> Option<Self> {
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
    fn of(self, size: u64) -> Result<Range<u64>, Unsatisfiable> {
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
    fn the_three_forms_are_read_and_cut_at_the_end_of_the_body() {
        for (value, size, expected) in [
            ("bytes=0-0", 10, 0..1),
            ("bytes=5-100", 10, 5..10),
            ("bytes=9-", 10, 9..10),
            ("Bytes = -3", 10, 7..10),
            ("bytes=-100", 10, 0..10),
        ] {
            assert_eq!(
                Selection::parse(value, size),
                Selection::One(expected),
                "{value}"
            );
        }
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
            "bytes=1-2,",
            "bytes=1-2,x",
            "lines=1-2",
            "bytes=a-b",
        ] {
            assert_eq!(Selection::parse(value, 10), Selection::Whole, "{value}");
        }
    }

    #[test]
    fn a_range_beyond_the_body_is_unsatisfiable() {
        for (value, size) in [
            ("bytes=10-", 10),
            ("bytes=-0", 10),
            ("bytes=10-20", 10),
            ("bytes=10-20, 30-", 10),
            ("bytes=0-", 0),
        ] {
            assert_eq!(
                Selection::parse(value, size),
                Selection::Unsatisfiable,
                "{value}"
            );
        }
    }

    #[test]
    fn several_ranges_keep_their_order_and_lose_what_lies_beyond_the_body() {
        let parse = |value| Selection::parse(value, 100);
        assert_eq!(
            parse("bytes=50-59, 0-9,-1"),
            Selection::Several(vec![50..60, 0..10, 99..100])
        );
        assert_eq!(parse("bytes=200-,0-9"), Selection::One(0..10));
        assert_eq!(
            parse("bytes=0-9,10-19"),
            Selection::Several(vec![0..10, 10..20])
        );
    }

    #[test]
    fn sets_that_would_cost_more_than_the_whole_are_the_whole() {
        let parse = |value: &str| Selection::parse(value, 1_000_000);
        assert_eq!(parse("bytes=0-9,9-19"), Selection::Whole);
        assert_eq!(parse("bytes=0-,0-,0-"), Selection::Whole);
        let many = |count: usize| {
            let specs: Vec<_> = (0..count)
                .map(|at| format!("{}-{}", 2 * at, 2 * at))
                .collect();
            parse(&format!("bytes={}", specs.join(",")))
        };
        assert!(matches!(many(MAX_RANGES), Selection::Several(_)));
        assert_eq!(many(MAX_RANGES + 1), Selection::Whole);
    }

    proptest! {
        #[test]
        fn no_header_panics_and_no_range_leaves_the_body(value in "bytes=[0-9, -]{0,40}|.*", size in any::<u64>()) {
            let ranges = match Selection::parse(&value, size) {
                Selection::One(range) => vec![range],
                Selection::Several(ranges) => ranges,
                Selection::Whole | Selection::Unsatisfiable => Vec::new(),
            };
            let mut total = 0_u64;
            for range in ranges {
                prop_assert!(range.start < range.end && range.end <= size);
                total += range.end - range.start;
            }
            prop_assert!(total <= size);
        }
    }
}
