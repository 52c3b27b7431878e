//! No path panics, and no repository that a path names holds a way out of itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::target::{PlatformPaths, parse};

fuzz_target!(|path: &str| {
    for platforms in [PlatformPaths::Hints, PlatformPaths::Names] {
        let Ok(address) = parse(path, None, platforms) else {
            continue;
        };
        assert!(platforms == PlatformPaths::Hints || address.platform.is_none());
        if let Some(name) = address.target.repository() {
            let mut parts = name.as_str().split('/');
            assert!(!parts.any(|part| part == ".." || part.is_empty()));
        }
    }
});
