//! No journal panics, and what one says is read back from what it is written as.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| cache_store::fuzzing::journal(text));
