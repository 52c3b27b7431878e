//! A body that parses as a manifest keeps its bytes, and a choice in it is one of its links.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use manifest_model::{
    Algorithm, Choice, Digest, Manifest, Matcher, MediaType, Platform, offered,
};

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, body) = input;
    let kind = MediaType::MANIFESTS.get(usize::from(kind));
    let named = Manifest::of_digest(Bytes::copy_from_slice(body), kind, Algorithm::Sha256);
    assert_eq!(
        named.expect("it is small").digest(),
        Digest::of(Algorithm::Sha256, body)
    );
    let Ok(manifest) = Manifest::parse(Bytes::copy_from_slice(body), kind, Algorithm::Sha256)
    else {
        return;
    };
    assert_eq!(manifest.bytes(), body);
    assert_eq!(manifest.digest(), Digest::of(Algorithm::Sha256, body));
    let platforms = offered(manifest.entries());
    assert!(!platforms.iter().any(Platform::is_unknown));
    for wanted in platforms.iter().take(8) {
        match manifest.choice(&Matcher::new(wanted)) {
            Ok(Choice::Manifest(entry) | Choice::Unverified(entry) | Choice::Index(entry)) => {
                assert!(!entry.is_attestation() && !entry.is_artifact());
                assert!(manifest.links().any(|link| link == entry));
            }
            Ok(Choice::None) | Err(_) => {}
        }
    }
});
