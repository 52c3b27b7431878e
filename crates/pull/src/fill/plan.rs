//! Which bytes of a blob each connection fetches.
//!
//! The readers that wait decide it. A follower that reads far ahead registers a demand, and the
//! next request goes to the reader that would run out of bytes first. The bytes in order weigh as
//! much as all demands together, because the digest is computed in that order and no body ends
//! before it.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use cache::Spans;

/// A connection this many bytes before a byte that is demanded is left to get there.
const NEAR: u64 = 8 * 1024 * 1024;

/// The bytes of one blob: on disk, being fetched, or unassigned. Knows nothing of connections but
/// how far each has come.
#[derive(Debug)]
pub(super) struct Plan {
    size: u64,
    there: Spans,
    running: Vec<Segment>,
}

/// A range that one connection fetches from front to back.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    start: u64,
    reached: Arc<AtomicU64>,
    end: Arc<AtomicU64>,
}

impl Segment {
    fn new(range: Range<u64>) -> Self {
        Self {
            start: range.start,
            reached: Arc::new(AtomicU64::new(range.start)),
            end: Arc::new(AtomicU64::new(range.end)),
        }
    }

    /// The next byte to fetch.
    pub(super) fn reached(&self) -> u64 {
        self.reached.load(Ordering::Relaxed)
    }

    /// Where to stop. It moves nearer when another connection takes over the rest of the segment.
    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Whether all of it is fetched.
    pub(super) fn is_done(&self) -> bool {
        self.reached() >= self.end()
    }

    /// Records `bytes` more bytes as fetched.
    pub(super) fn advance(&self, bytes: u64) {
        self.reached.fetch_add(bytes, Ordering::Relaxed);
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.reached, &other.reached)
    }
}

impl Plan {
    pub(super) fn new(size: u64, there: Spans) -> Self {
        Self {
            size,
            there,
            running: Vec::new(),
        }
    }

    /// Bytes that are not there yet, those being fetched among them.
    pub(super) fn missing(&self) -> u64 {
        let fetched = |segment: &Segment| segment.reached().min(segment.end()) - segment.start;
        let fetched: u64 = self.running.iter().map(fetched).sum();
        self.size.saturating_sub(self.there.total() + fetched)
    }

    /// The next segment to fetch, of `length` bytes at most: the one that some reader reaches
    /// first. Readers are where there is a demand, and where the bytes in order end. That last one
    /// weighs as much as all demands together.
    pub(super) fn next(&mut self, demands: &[u64], length: u64) -> Option<Segment> {
        if let Some(segment) = demands
            .iter()
            .find_map(|demand| self.at_demand(*demand, length))
        {
            return Some(segment);
        }
        let taken = self.taken();
        let others = demands.len() as u64;
        let readers = demands.iter().map(|demand| (*demand, others));
        let gaps = readers
            .chain([(self.in_order(), 1)])
            .filter_map(|(reader, weight)| {
                let gap = taken.gap(reader, self.size)?;
                Some(((gap.start - reader).saturating_mul(weight), gap))
            });
        let (_, gap) = gaps
            .min_by_key(|(distance, gap)| (*distance, gap.start))
            // Bytes before all readers come last.
            .or_else(|| taken.gap(0, self.size).map(|gap| (0, gap)))?;
        Some(self.assign(gap, length))
    }

    /// A segment at `position`, unless its bytes are there or will be soon.
    pub(super) fn at_demand(&mut self, position: u64, length: u64) -> Option<Segment> {
        if position >= self.size || self.there.end_at(position).is_some() {
            return None;
        }
        let holds = |segment: &&Segment| segment.start <= position && position < segment.end();
        let Some(segment) = self.running.iter().find(holds) else {
            let gap = self.taken().gap(position, self.size)?;
            return (gap.start == position).then(|| self.assign(gap, length));
        };
        if position <= segment.reached() + NEAR {
            return None;
        }
        let rest = position..segment.end.swap(position, Ordering::Relaxed);
        Some(self.assign(rest, length))
    }

    /// All bytes that are missing and that no connection fetches, as segments in order: for one
    /// connection that brings the whole blob.
    pub(super) fn rest(&mut self) -> Vec<Segment> {
        std::iter::from_fn(|| {
            let gap = self.taken().gap(0, self.size)?;
            Some(self.assign(gap, u64::MAX))
        })
        .collect()
    }

    /// A connection has finished its segment, or given up in the middle of it.
    pub(super) fn ended(&mut self, segment: &Segment) {
        self.running.retain(|running| !running.is(segment));
        self.there.insert(segment.start..segment.reached());
    }

    fn assign(&mut self, gap: Range<u64>, length: u64) -> Segment {
        let end = gap.end.min(gap.start.saturating_add(length));
        let segment = Segment::new(gap.start..end);
        self.running.push(segment.clone());
        segment
    }

    /// Where the bytes in order end.
    pub(super) fn in_order(&self) -> u64 {
        let prefix = self.there.prefix();
        let next = self.running.iter().find(|segment| segment.start == prefix);
        next.map_or(prefix, Segment::reached)
    }

    fn taken(&self) -> Spans {
        let mut taken = self.there.clone();
        for segment in &self.running {
            taken.insert(segment.start..segment.end());
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn segments_follow_one_another_from_the_front() {
        let mut there = Spans::default();
        there.insert(MIB..2 * MIB);
        let mut plan = Plan::new(20 * MIB, there);
        let mut ranges = Vec::new();
        while let Some(segment) = plan.next(&[], 8 * MIB) {
            ranges.push(segment.start / MIB..segment.end() / MIB);
        }
        assert_eq!(ranges, [0..1, 2..10, 10..18, 18..20]);
    }

    #[test]
    fn a_demand_far_ahead_is_fetched_next_and_not_twice() {
        let mut plan = Plan::new(100 * MIB, Spans::default());
        let first = plan.next(&[], 8 * MIB).unwrap();
        let demanded = plan.next(&[50 * MIB], 8 * MIB).unwrap();
        assert_eq!((demanded.start, demanded.end()), (50 * MIB, 58 * MIB));
        let next = plan.next(&[50 * MIB], 100 * MIB).unwrap();
        assert_eq!((next.start, next.end()), (8 * MIB, 50 * MIB));
        assert_eq!(first.end(), 8 * MIB);
    }

    #[test]
    fn readers_far_apart_have_their_bytes_fetched_by_turns() {
        let mut plan = Plan::new(100 * MIB, Spans::default());
        let demands = [50 * MIB];
        let starts: Vec<_> = (0..6)
            .map_while(|_| plan.next(&demands, 8 * MIB))
            .map(|segment| segment.start / MIB)
            .collect();
        assert_eq!(starts, [50, 0, 8, 58, 16, 66]);
    }

    #[test]
    fn the_bytes_in_order_get_as_much_as_all_readers_further_on() {
        let mut plan = Plan::new(512 * MIB, Spans::default());
        let demands = [128 * MIB, 256 * MIB, 384 * MIB];
        let starts: Vec<_> = (0..12)
            .map_while(|_| plan.next(&demands, 8 * MIB))
            .map(|segment| segment.start / MIB)
            .collect();
        let in_order = starts.iter().filter(|start| **start < 128).count();
        assert_eq!(in_order, 6, "{starts:?}");
    }

    #[test]
    fn a_demand_in_the_middle_of_a_running_segment_takes_over_its_rest() {
        let mut plan = Plan::new(100 * MIB, Spans::default());
        let whole = plan.next(&[], u64::MAX).unwrap();
        whole.advance(10 * MIB);
        assert!(plan.at_demand(12 * MIB, u64::MAX).is_none(), "soon there");
        let rest = plan.at_demand(60 * MIB, u64::MAX).unwrap();
        assert_eq!(whole.end(), 60 * MIB);
        assert_eq!((rest.start, rest.end()), (60 * MIB, 100 * MIB));
    }

    #[test]
    fn what_a_connection_gave_up_is_assigned_again() {
        let mut plan = Plan::new(10 * MIB, Spans::default());
        let first = plan.next(&[], u64::MAX).unwrap();
        first.advance(3 * MIB);
        assert_eq!(plan.missing(), 7 * MIB);
        plan.ended(&first);
        let again = plan.next(&[], u64::MAX).unwrap();
        assert_eq!((again.start, again.end()), (3 * MIB, 10 * MIB));
    }

    #[test]
    fn the_rest_is_every_gap_that_no_connection_fetches() {
        let mut there = Spans::default();
        there.insert(2 * MIB..4 * MIB);
        there.insert(6 * MIB..7 * MIB);
        let mut plan = Plan::new(10 * MIB, there);
        let running = plan.next(&[], MIB).unwrap();
        let rest = plan.rest();
        let ranges: Vec<_> = rest
            .iter()
            .map(|gap| gap.start / MIB..gap.end() / MIB)
            .collect();
        assert_eq!(ranges, [1..2, 4..6, 7..10]);
        assert!(plan.rest().is_empty(), "all is assigned");
        assert_eq!(running.end(), MIB);
    }

    proptest! {
        /// However connections come, advance, fail and end, and whatever is demanded: every byte
        /// is fetched in the end, and none is assigned to two at a time.
        #[test]
        fn every_byte_is_fetched_and_none_twice_at_a_time(
            steps in prop::collection::vec((0..4_u8, 0..64_u64, 1..20_u64), 0..60),
        ) {
            let size = 64;
            let mut plan = Plan::new(size, Spans::default());
            let mut running: Vec<Segment> = Vec::new();
            for (what, position, amount) in steps {
                let pick = usize::try_from(position).unwrap() % running.len().max(1);
                match what {
                    0 => running.extend(plan.next(&[], amount)),
                    1 => running.extend(plan.at_demand(position, amount)),
                    2 if !running.is_empty() => {
                        let segment = &running[pick];
                        segment.advance(amount.min(segment.end().saturating_sub(segment.reached())));
                    }
                    3 if !running.is_empty() => plan.ended(&running.remove(pick)),
                    _ => {}
                }
                let mut ranges: Vec<_> = running.iter().map(|at| at.start..at.end()).collect();
                ranges.sort_by_key(|range| range.start);
                prop_assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "{ranges:?}");
            }
            for segment in running {
                segment.advance(segment.end() - segment.reached());
                plan.ended(&segment);
            }
            while let Some(segment) = plan.next(&[], 7) {
                segment.advance(segment.end() - segment.reached());
                plan.ended(&segment);
            }
            prop_assert_eq!(plan.missing(), 0);
            prop_assert_eq!(plan.there.prefix(), size);
        }
    }
}
