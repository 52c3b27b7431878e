//! No path panics, and no repository that a path names holds a way out of itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::target::parse;

fuzz_target!(|path: &str| {
    if let Ok(address) = parse(path, None)
        && let Some(name) = address.target.repository()
    {
        assert!(!name.as_str().split('/').any(|part| part == ".." || part.is_empty()));
    }
});
