//! No `Range` leaves the body it is asked of.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::range::ByteRange;

fuzz_target!(|input: (&str, u64)| {
    let (value, size) = input;
    if let Some(range) = ByteRange::parse(value).and_then(|range| range.of(size).ok()) {
        assert!(range.start < range.end && range.end <= size);
    }
});
