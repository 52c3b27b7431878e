use super::*;
use crate::{Algorithm, Digest, MediaType};

/// An image whose digest is that of its number, for a platform or, with an empty text, for none.
fn entry(number: u8, platform: &str) -> Descriptor {
    Descriptor {
        media_type: MediaType::OciManifest,
        digest: Digest::of(Algorithm::Sha256, &[number]),
        size: 1,
        platform: (!platform.is_empty()).then(|| platform.parse().unwrap()),
        annotations: std::collections::BTreeMap::new(),
        artifact_type: Box::default(),
        has_urls: false,
    }
}

fn of_type(media_type: MediaType, entry: Descriptor) -> Descriptor {
    Descriptor {
        media_type,
        ..entry
    }
}

fn attestation(mut entry: Descriptor) -> Descriptor {
    entry.annotations.insert(
        "vnd.docker.reference.type".into(),
        "attestation-manifest".into(),
    );
    entry
}

fn matcher(platform: &str) -> Matcher {
    Matcher::new(&platform.parse().unwrap())
}

#[test]
fn the_best_wins_at_any_position() {
    let entries = [
        entry(0, "linux/386"),
        entry(1, "linux/amd64"),
        entry(2, "linux/arm64"),
    ];
    assert_eq!(
        choose(&entries, &matcher("linux/amd64")),
        Choice::Manifest(&entries[1])
    );
    assert_eq!(
        choose(&entries[..1], &matcher("linux/amd64")),
        Choice::Manifest(&entries[0])
    );
}

#[test]
fn the_first_wins_among_equals() {
    let entries = [
        entry(0, "linux/amd64"),
        entry(1, "linux/amd64/v1"),
        entry(2, "linux/x86_64"),
    ];
    assert_eq!(
        choose(&entries, &matcher("linux/amd64")),
        Choice::Manifest(&entries[0])
    );
}

#[test]
fn an_entry_without_a_platform_comes_after_all_that_match_and_must_be_checked() {
    let entries = [entry(0, ""), entry(1, ""), entry(2, "linux/386")];
    assert_eq!(
        choose(&entries, &matcher("linux/amd64")),
        Choice::Manifest(&entries[2])
    );
    assert_eq!(
        choose(&entries, &matcher("linux/s390x")),
        Choice::Unverified(&entries[0])
    );
}

#[test]
fn a_nested_index_is_descended_into_when_it_is_the_best() {
    let nested = [
        of_type(MediaType::OciIndex, entry(0, "")),
        of_type(MediaType::DockerList, entry(1, "linux/arm64")),
    ];
    assert_eq!(
        choose(&nested, &matcher("linux/amd64")),
        Choice::Index(&nested[0])
    );
    assert_eq!(
        choose(&nested, &matcher("linux/arm64")),
        Choice::Index(&nested[1])
    );
}

#[test]
fn an_attestation_is_never_chosen() {
    let entries = [
        attestation(entry(0, "unknown/unknown")),
        attestation(entry(1, "linux/amd64")),
        attestation(entry(2, "")),
    ];
    for platform in ["unknown/unknown", "linux/amd64", "linux/s390x"] {
        assert_eq!(
            choose(&entries, &matcher(platform)),
            Choice::None,
            "{platform}"
        );
    }
    assert_eq!(
        choose(&[entry(0, "unknown/unknown")], &matcher("unknown/unknown")),
        Choice::None
    );
}

#[test]
fn an_entry_that_is_neither_image_nor_index_is_no_choice() {
    let artifact = "application/vnd.oci.artifact.manifest.v1+json"
        .parse()
        .unwrap();
    for media_type in [artifact, MediaType::DockerSchema1Signed] {
        let entries = [
            of_type(media_type, entry(0, "linux/amd64")),
            entry(1, "linux/amd64"),
        ];
        assert_eq!(choose(&entries, &matcher("linux/amd64")), Choice::None);
    }
}

#[test]
fn nothing_is_chosen_where_nothing_fits() {
    assert_eq!(choose(&[], &matcher("linux/amd64")), Choice::None);
    assert_eq!(
        choose(&[entry(0, "linux/arm64")], &matcher("linux/amd64")),
        Choice::None
    );
}

#[test]
fn offered_platforms_are_listed_once_in_order_and_normalised() {
    let entries = [
        entry(0, "linux/arm64/v8"),
        attestation(entry(1, "unknown/unknown")),
        entry(2, ""),
        Descriptor {
            platform: Some(Platform {
                architecture: "aarch64".into(),
                ..Platform::default()
            }),
            ..entry(3, "")
        },
        entry(4, "linux/amd64"),
        entry(5, "unknown/unknown"),
    ];
    let names: Vec<String> = offered(&entries).iter().map(ToString::to_string).collect();
    assert_eq!(names, ["linux/arm64", "linux/amd64"]);
}
