//! No `config.json` of docker panics, whichever host is looked up in it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| upstream::fuzzing::docker_config(text));
