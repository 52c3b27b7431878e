//! A reference that parses prints as it was written, and is a digest exactly if it has a colon.
#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest_model::Reference;

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string(), text);
        assert_eq!(
            matches!(reference, Reference::Digest(_)),
            text.contains(':')
        );
    }
});
