//! containerd's own choices, vector by vector.
//!
//! `data/platform-vectors.json` holds the choices of containerd's selection code for platforms and
//! indexes, with all manifests and configurations by digest. The walk here does the part of the
//! caller of [`choose`]: it descends into nested indexes and reads the configuration of an entry
//! without a platform.

use std::collections::HashMap;

use bytes::Bytes;
use manifest_model::{
    Algorithm, Choice, Digest, ImageConfig, MAX_INDEX_DEPTH, Manifest, Matcher, MediaType,
    Platform, choose, offered,
};
use serde::Deserialize;

/// The number of vectors, so that a truncated file fails.
const VECTOR_COUNT: usize = 83;

#[derive(Deserialize)]
struct Vectors {
    count: usize,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    requested: String,
    requested_platform: Platform,
    matcher: String,
    normalized: String,
    root_media_type: String,
    root_digest: Digest,
    content: HashMap<Digest, String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expect {
    Chosen { digest: Digest },
    Error { error: String },
}

impl Vector {
    fn matcher(&self, wanted: &Platform) -> Matcher {
        match self.matcher.as_str() {
            "only" => Matcher::only(wanted),
            "strict" => Matcher::strict(wanted),
            "windows-default" => Matcher::new(wanted),
            other => panic!("{}: unknown matcher {other}", self.id),
        }
    }

    fn read(&self, digest: Digest) -> Bytes {
        let bytes = Bytes::copy_from_slice(self.content[&digest].as_bytes());
        assert_eq!(
            Digest::of(digest.algorithm(), &bytes),
            digest,
            "{}: content under a wrong digest",
            self.id
        );
        bytes
    }

    fn manifest(&self, digest: Digest, media_type: &MediaType) -> Manifest {
        let manifest = Manifest::parse(self.read(digest), Some(media_type), Algorithm::Sha256)
            .expect("a manifest");
        assert_eq!(manifest.digest(), digest, "{}", self.id);
        manifest
    }

    /// The digest of the manifest that the client ends up with.
    fn choose(&self, matcher: &Matcher) -> Option<Digest> {
        let mut manifest = self.manifest(self.root_digest, &self.root_media_type.parse().unwrap());
        if !manifest.is_index() {
            return Some(manifest.digest());
        }
        for _ in 0..MAX_INDEX_DEPTH {
            match choose(manifest.entries(), matcher) {
                Choice::Manifest(entry) => return Some(entry.digest),
                Choice::Unverified(entry) => {
                    let image = self.manifest(entry.digest, &entry.media_type);
                    let config = self.read(
                        image
                            .config()
                            .expect("an image without configuration")
                            .digest,
                    );
                    let config = ImageConfig::parse(&config).expect("a configuration");
                    return config
                        .platform()
                        .is_some_and(|platform| matcher.matches(platform))
                        .then_some(entry.digest);
                }
                Choice::Index(entry) => manifest = self.manifest(entry.digest, &entry.media_type),
                Choice::None => return None,
            }
        }
        panic!("{}: indexes are nested too deeply", self.id);
    }
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("data/platform-vectors.json")).expect("the vectors")
}

#[test]
fn every_choice_is_containerds() {
    let Vectors { count, vectors } = vectors();
    let mut ran = 0;
    for vector in &vectors {
        let wanted: Platform = vector.requested.parse().unwrap();
        let chosen = vector.choose(&vector.matcher(&wanted));
        match &vector.expect {
            Expect::Chosen { digest } => assert_eq!(chosen, Some(*digest), "{}", vector.id),
            Expect::Error { error } => {
                assert_eq!(error, "no-match", "{}", vector.id);
                assert_eq!(chosen, None, "{}", vector.id);
            }
        }
        ran += 1;
    }
    assert_eq!((count, ran), (VECTOR_COUNT, VECTOR_COUNT));
}

#[test]
fn every_request_is_normalised_as_containerd_does() {
    for vector in vectors().vectors {
        let wanted: Platform = vector.requested.parse().unwrap();
        assert_eq!(wanted.to_string(), vector.normalized, "{}", vector.id);
        assert_eq!(
            wanted,
            vector.requested_platform.normalized(),
            "{}",
            vector.id
        );
    }
}

/// The vectors hold for clients over HTTP: only the strict ones need another matcher.
#[test]
fn the_matcher_of_clients_is_the_one_of_the_vectors() {
    for vector in vectors()
        .vectors
        .iter()
        .filter(|vector| vector.matcher != "strict")
    {
        let wanted: Platform = vector.requested.parse().unwrap();
        assert_eq!(
            vector.choose(&Matcher::new(&wanted)),
            vector.choose(&vector.matcher(&wanted)),
            "{}",
            vector.id
        );
    }
}

/// The one rule of containerd that is not copied: it gives an attestation to `unknown/unknown`.
#[test]
fn asking_for_unknown_never_yields_an_attestation() {
    let wanted: Platform = "unknown/unknown".parse().unwrap();
    let mut attested = 0;
    for vector in vectors()
        .vectors
        .iter()
        .filter(|vector| vector.id.starts_with("att-"))
    {
        attested += 1;
        for matcher in [
            Matcher::new(&wanted),
            Matcher::only(&wanted),
            Matcher::strict(&wanted),
        ] {
            assert_eq!(vector.choose(&matcher), None, "{}", vector.id);
        }
        let root = vector.manifest(vector.root_digest, &MediaType::OciIndex);
        assert!(
            !offered(root.entries()).iter().any(Platform::is_unknown),
            "{}",
            vector.id
        );
    }
    assert!(attested > 0, "no vector has an attestation");
}
