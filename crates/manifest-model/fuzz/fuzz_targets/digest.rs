//! A digest that parses prints as it was written and can be rebuilt from its parts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest_model::Digest;

fuzz_target!(|text: &str| {
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
        assert_eq!(
            Digest::from_parts(digest.algorithm(), digest.as_bytes()),
            Ok(digest)
        );
    }
});
