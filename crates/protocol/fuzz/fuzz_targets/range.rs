//! No `Range` leaves the body it is asked of, and several never bring more than the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::range::Selection;

fuzz_target!(|input: (&str, u64)| {
    let (value, size) = input;
    let ranges = match Selection::parse(value, size) {
        Selection::One(range) => vec![range],
        Selection::Several(ranges) => ranges,
        Selection::Whole | Selection::Unsatisfiable => Vec::new(),
    };
    let mut total = 0_u64;
    for range in ranges {
        assert!(range.start < range.end && range.end <= size);
        total += range.end - range.start;
    }
    assert!(total <= size);
});
