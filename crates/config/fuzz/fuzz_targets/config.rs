//! No configuration panics, and what is accepted prints as something that is accepted again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use config::Config;

fuzz_target!(|text: &str| {
    if let Ok(config) = Config::parse("fuzz", text) {
        let again = Config::parse("again", &config.to_toml()).expect("what was printed is accepted");
        assert_eq!(again.to_toml(), config.to_toml());
    }
});
