//! A repository name that parses prints as it was written and cannot escape from a path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest_model::RepoName;

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<RepoName>() {
        assert_eq!(name.as_str(), text);
        assert!(text.len() <= 256 && text.is_ascii());
        assert!(
            text.split('/')
                .all(|part| !part.is_empty() && !part.starts_with('.'))
        );
    }
});
