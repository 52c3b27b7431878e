//! Manifests of every kind a registry serves: each is parsed and its bytes stay as they are.

mod cases;

use std::collections::BTreeSet;

use bytes::Bytes;
use manifest_model::{Algorithm, Choice, Manifest, Matcher, MediaType, Platform, choose, offered};

use cases::{CASES, Case, case};

fn read(case: &Case) -> Manifest {
    let Ok(served_as) = case.served_as.parse::<MediaType>();
    let manifest = Manifest::parse(
        Bytes::from_static(case.bytes),
        Some(&served_as),
        Algorithm::Sha256,
    );
    manifest.unwrap_or_else(|error| panic!("{}: {error}", case.file))
}

/// The entry a client of a platform gets from an index: `?` marks one whose configuration must be
/// checked, `/` a nested index.
fn chosen(manifest: &Manifest, platform: &str) -> Option<String> {
    let wanted: Platform = platform.parse().expect("a platform");
    match choose(manifest.entries(), &Matcher::new(&wanted)) {
        Choice::Manifest(entry) => Some(entry.digest.hex()[..8].to_owned()),
        Choice::Unverified(entry) => Some(format!("{}?", &entry.digest.hex()[..8])),
        Choice::Index(entry) => Some(format!("{}/", &entry.digest.hex()[..8])),
        Choice::None => None,
    }
}

/// `oci-spec` is stricter and drops some fields, but the links it does read must be ours.
#[test]
fn an_independent_parser_reads_the_same_links() {
    use oci_spec::image::{ImageIndex, ImageManifest};

    let mut compared = 0;
    for case in &CASES {
        let manifest = Manifest::parse(Bytes::from_static(case.bytes), None, Algorithm::Sha256);
        let Ok(manifest) = manifest else { continue };
        let theirs: Vec<_> = match manifest.media_type() {
            MediaType::OciIndex => match ImageIndex::from_reader(case.bytes) {
                Ok(index) => index
                    .manifests()
                    .iter()
                    .map(|entry| entry.digest().to_string())
                    .collect(),
                Err(_) => continue,
            },
            MediaType::OciManifest => match ImageManifest::from_reader(case.bytes) {
                Ok(image) => std::iter::once(image.config())
                    .chain(image.layers())
                    .map(|entry| entry.digest().to_string())
                    .collect(),
                Err(_) => continue,
            },
            _ => continue,
        };
        let ours: Vec<_> = manifest
            .links()
            .map(|link| link.digest.to_string())
            .collect();
        assert_eq!(ours, theirs, "{}", case.file);
        compared += 1;
    }
    assert!(compared >= 6, "only {compared} manifests could be compared");
}

#[test]
fn every_file_is_a_case() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
    let names = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = names
        .filter(|name| !name.starts_with('.') && !["main.rs", "cases.rs"].contains(&name.as_str()))
        .collect();
    assert_eq!(
        files,
        CASES.iter().map(|case| case.file.to_owned()).collect()
    );
}

#[test]
fn the_bytes_are_untouched_and_the_digest_is_theirs() {
    for case in &CASES {
        let manifest = read(case);
        assert_eq!(manifest.bytes(), case.bytes, "{}", case.file);
        assert_eq!(
            manifest.digest().to_string(),
            format!("sha256:{}", case.digest),
            "{}",
            case.file
        );
    }
}

#[test]
fn the_kind_is_recognised() {
    for case in &CASES {
        let manifest = read(case);
        assert_eq!(manifest.media_type().as_str(), case.kind, "{}", case.file);
        let lists = case.kind.contains("index") || case.kind.contains("list");
        assert_eq!(manifest.is_index(), lists, "{}", case.file);
    }
}

#[test]
fn the_links_are_all_of_them_in_order() {
    for case in &CASES {
        let manifest = read(case);
        let links: Vec<String> = manifest
            .links()
            .map(|link| link.digest.hex()[..8].to_owned())
            .collect();
        assert_eq!(links, case.links, "{}", case.file);
        assert_eq!(
            manifest.links().map(|link| link.size).sum::<u64>(),
            case.size,
            "{}",
            case.file
        );
        assert_eq!(
            manifest
                .subject()
                .map(|subject| subject.digest.hex()[..8].to_owned())
                .as_deref(),
            case.subject
        );
    }
}

#[test]
fn an_image_has_its_configuration_apart_from_its_layers() {
    for file in [
        "docker-image.json",
        "zstd-layers.json",
        "data-field.json",
        "odd-spelling.json",
        "artifact.json",
    ] {
        let manifest = read(case(file));
        assert_eq!(manifest.config(), manifest.links().next(), "{file}");
        assert_eq!(
            manifest.layers().len(),
            case(file).links.len() - 1,
            "{file}"
        );
        assert!(manifest.entries().is_empty(), "{file}");
    }
}

#[test]
fn each_platform_of_an_index_gets_its_own_entry() {
    let index = read(case("oci-index.json"));
    let cases = [
        ("linux/amd64", 0),
        ("linux/arm/v6", 1),
        ("linux/arm/v7", 2),
        ("linux/arm64/v8.2", 3),
        ("linux/386", 4),
    ];
    for (platform, position) in cases {
        assert_eq!(
            chosen(&index, platform).as_deref(),
            Some(case("oci-index.json").links[position]),
            "{platform}"
        );
    }
    assert_eq!(chosen(&index, "linux/riscv64"), None);
}

#[test]
fn attestations_are_links_but_never_chosen() {
    let index = read(case("attested-index.json"));
    assert_eq!(
        index
            .entries()
            .iter()
            .filter(|entry| entry.is_attestation())
            .count(),
        2
    );
    assert_eq!(chosen(&index, "unknown/unknown"), None);
    let names: Vec<String> = offered(index.entries())
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["linux/amd64", "linux/arm64"]);
}

#[test]
fn versions_and_features_of_windows_are_read() {
    let list = read(case("windows-list.json"));
    let links = case("windows-list.json").links;
    let newest = list
        .entries()
        .last()
        .and_then(|entry| entry.platform.as_ref())
        .unwrap();
    assert_eq!(
        (newest.os_version.as_str(), newest.os_features.join(",")),
        ("10.0.26100.2033", "win32k".to_owned())
    );
    let cases = [
        ("windows(10.0.17763)/amd64", 1),
        ("windows(10.0.20348)/amd64", 2),
        ("windows(10.0.26100)/amd64", 3),
    ];
    for (platform, position) in cases {
        assert_eq!(
            chosen(&list, platform).as_deref(),
            Some(links[position]),
            "{platform}"
        );
    }
}

#[test]
fn a_nested_index_and_an_entry_without_a_platform_are_marked() {
    let nested = read(case("nested-index.json"));
    assert_eq!(chosen(&nested, "linux/amd64").as_deref(), Some("3e130f7e/"));
    assert_eq!(chosen(&nested, "linux/arm64").as_deref(), Some("b6cc60d5/"));
    let untyped = read(case("untyped-index.json"));
    assert_eq!(chosen(&untyped, "linux/amd64").as_deref(), Some("a3178b6e"));
    assert_eq!(
        chosen(&untyped, "linux/arm64").as_deref(),
        Some("1448c828?")
    );
}

#[test]
fn an_artifact_has_its_type() {
    let artifact_type = |file| read(case(file)).artifact_type().map(str::to_owned);
    assert_eq!(
        artifact_type("artifact.json").as_deref(),
        Some("application/vnd.example.sbom.v1")
    );
    assert_eq!(
        artifact_type("oci-artifact.json").as_deref(),
        Some("application/vnd.example.signature")
    );
    assert_eq!(artifact_type("docker-image.json"), None);
}

#[test]
fn signatures_are_recognised_without_a_media_type() {
    let bytes = Bytes::from_static(case("schema1-signed.json").bytes);
    let manifest = Manifest::parse(bytes, None, Algorithm::Sha256).unwrap();
    assert_eq!(manifest.media_type(), &MediaType::DockerSchema1Signed);
}
