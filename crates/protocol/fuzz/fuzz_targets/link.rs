//! No `Link` header panics, and the next page it names is a piece of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::link::next;

fuzz_target!(|line: &str| {
    if let Some(target) = next(line) {
        assert!(line.contains(&format!("<{target}>")));
    }
});
