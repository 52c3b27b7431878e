//! A platform that parses, from any of the three forms, is normalised and prints as it was parsed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest_model::{Matcher, Platform, user_agent};

fuzz_target!(|text: &str| {
    let _ = Platform::of_config(text.as_bytes());
    let parsed = [
        text.parse().ok(),
        Platform::from_path_form(text).ok(),
        user_agent::platform(text),
    ];
    for platform in parsed.into_iter().flatten() {
        assert_eq!(platform.normalized(), platform);
        assert_eq!(platform.to_string().parse(), Ok(platform.clone()));
        assert_eq!(
            Matcher::strict(&platform).matches(&platform),
            !platform.is_unknown()
        );
    }
});
