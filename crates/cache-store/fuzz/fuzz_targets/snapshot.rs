//! No snapshot of links and tags panics, and none is whole by chance.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| cache_store::fuzzing::snapshot(bytes));
