//! Which bytes of a growing file have been written.

use std::ops::Range;

/// Byte ranges of a file: in order, disjoint, none empty, none touching the next.
///
/// A download has a handful of them, so every operation is linear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans(Vec<Range<u64>>);

impl Spans {
    /// Adds a range, joining it with those it touches or overlaps. An empty one changes nothing.
    pub fn insert(&mut self, mut range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.0.partition_point(|span| span.end < range.start);
        let last = self.0.partition_point(|span| span.start <= range.end);
        if let Some(joined) = self.0.get(first..last).filter(|spans| !spans.is_empty()) {
            range.start = range.start.min(joined[0].start);
            range.end = range.end.max(joined[joined.len() - 1].end);
        }
        self.0.splice(first..last, [range]);
    }

    /// The end of the span that holds the byte at `position`, if one does.
    pub fn end_at(&self, position: u64) -> Option<u64> {
        let after = self.0.partition_point(|span| span.start <= position);
        let span = self.0.get(after.checked_sub(1)?)?;
        (position < span.end).then_some(span.end)
    }

    /// The length of the gapless run at the start of the file.
    pub fn prefix(&self) -> u64 {
        self.end_at(0).unwrap_or(0)
    }

    /// The first gap at or after `from` and before `end`.
    pub fn gap(&self, from: u64, end: u64) -> Option<Range<u64>> {
        let start = self.end_at(from).unwrap_or(from);
        let next = self.0.partition_point(|span| span.start <= start);
        let stop = self.0.get(next).map_or(end, |span| span.start.min(end));
        (start < stop).then_some(start..stop)
    }

    /// The sum of all ranges.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|span| span.end - span.start).sum()
    }

    /// The ranges in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.iter().cloned()
    }

    /// Whether there is no range.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Range<u64>> for Spans {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut spans = Self::default();
        for range in ranges {
            spans.insert(range);
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTH: u64 = 64;

    /// The same set, spelled byte by byte.
    fn bytes(ranges: &[Range<u64>]) -> Vec<bool> {
        (0..LENGTH)
            .map(|at| ranges.iter().any(|range| range.contains(&at)))
            .collect()
    }

    fn ranges() -> impl Strategy<Value = Vec<Range<u64>>> {
        let range = (0..LENGTH, 0..=LENGTH).prop_map(|(a, b)| a.min(b)..a.max(b));
        prop::collection::vec(range, 0..12)
    }

    proptest! {
        #[test]
        fn spans_are_the_bytes_that_were_inserted(ranges in ranges()) {
            let spans: Spans = ranges.iter().cloned().collect();
            let expected = bytes(&ranges);
            let listed: Vec<_> = spans.iter().collect();
            prop_assert_eq!(bytes(&listed), expected.clone());
            prop_assert!(listed.iter().all(|span| !span.is_empty()));
            prop_assert!(listed.windows(2).all(|pair| pair[0].end < pair[1].start));
            let total = expected.iter().filter(|there| **there).count() as u64;
            prop_assert_eq!(spans.total(), total);
        }

        #[test]
        fn ends_and_gaps_agree_with_the_bytes(ranges in ranges(), from in 0..LENGTH) {
            let spans: Spans = ranges.iter().cloned().collect();
            let there = bytes(&ranges);
            let run = |start: u64, kind: bool| {
                (start..LENGTH).take_while(|at| there[usize::try_from(*at).unwrap()] == kind).count() as u64
            };
            let end = from + run(from, true);
            prop_assert_eq!(spans.end_at(from), (end > from).then_some(end));
            let gap = end..end + run(end, false);
            prop_assert_eq!(spans.gap(from, LENGTH), (!gap.is_empty()).then_some(gap));
            prop_assert_eq!(spans.prefix(), run(0, true));
        }
    }
}
