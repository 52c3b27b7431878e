//! Manifests of every kind a registry serves, as bytes: each is read without being touched.
//!
//! The digests and the links a case expects were computed apart from this crate. Links are named by the first eight
//! digits of their digests.

use std::collections::BTreeSet;

use bytes::Bytes;
use manifest_model::{Algorithm, Choice, Manifest, Matcher, MediaType, Platform, choose, offered};

struct Case {
    file: &'static str,
    bytes: &'static [u8],
    /// The `Content-Type` a registry sends with it.
    served_as: &'static str,
    kind: &'static str,
    digest: &'static str,
    links: &'static [&'static str],
    /// The sizes of all links together.
    size: u64,
    subject: Option<&'static str>,
}

const CASES: [Case; 14] = [
    Case {
        file: "artifact.json",
        bytes: include_bytes!("corpus/artifact.json"),
        served_as: "application/vnd.oci.image.manifest.v1+json",
        kind: "application/vnd.oci.image.manifest.v1+json",
        digest: "db4fc8f41a39c1fed1d600161e2678d5723bbf43372a59beaa20c9b1ba9fdf0a",
        links: &["44136fa3", "d97dcbee"],
        size: 20819,
        subject: Some("58ac5831"),
    },
    Case {
        file: "attested-index.json",
        bytes: include_bytes!("corpus/attested-index.json"),
        served_as: "application/vnd.oci.image.index.v1+json",
        kind: "application/vnd.oci.image.index.v1+json",
        digest: "7ffa0f41c89ece9ff218da57c20d8a8f125c4f7b8324cd1ea1ccdef280c3b49f",
        links: &["b860dcd6", "e8a7f770", "a65e19cb", "8df4f509"],
        size: 4898,
        subject: None,
    },
    Case {
        file: "data-field.json",
        bytes: include_bytes!("corpus/data-field.json"),
        served_as: "application/vnd.oci.image.manifest.v1+json",
        kind: "application/vnd.oci.image.manifest.v1+json",
        digest: "9ebb8ce2af8a04143fb70e5acac3a6e44434ebbd91f141561c0e3463bbfe44b9",
        links: &["0bdc2d41", "a7f3b4a7"],
        size: 125,
        subject: None,
    },
    Case {
        file: "docker-image.json",
        bytes: include_bytes!("corpus/docker-image.json"),
        served_as: "application/vnd.docker.distribution.manifest.v2+json",
        kind: "application/vnd.docker.distribution.manifest.v2+json",
        digest: "0a49e09116ba0f658dde08b957fa4fa78cfd3cdcacfb58edda27460bd89f9a12",
        links: &["b2dc782b", "9639e35a", "f5924754", "ec837563"],
        size: 1_683_417_896,
        subject: None,
    },
    Case {
        file: "docker-list.json",
        bytes: include_bytes!("corpus/docker-list.json"),
        served_as: "application/vnd.docker.distribution.manifest.list.v2+json",
        kind: "application/vnd.docker.distribution.manifest.list.v2+json",
        digest: "1d2db3ccd9a09b4e467e029ee3e9c4f44a35fef0734532cfcbf07f92cbab419b",
        links: &["2824c1c0", "f1f836f9", "cc2bd818"],
        size: 5334,
        subject: None,
    },
    Case {
        file: "nested-index.json",
        bytes: include_bytes!("corpus/nested-index.json"),
        served_as: "application/vnd.oci.image.index.v1+json",
        kind: "application/vnd.oci.image.index.v1+json",
        digest: "10fbc7b4b23211d62c3632c6b9631a37a6e53b345d3049b33e2a9bd9384f3c67",
        links: &["3e130f7e", "b6cc60d5"],
        size: 2056,
        subject: None,
    },
    Case {
        file: "null-manifests.json",
        bytes: include_bytes!("corpus/null-manifests.json"),
        served_as: "application/vnd.oci.image.index.v1+json",
        kind: "application/vnd.oci.image.index.v1+json",
        digest: "529c6ab77d3c1159e2561b2ba2d8e2c77ec4808905c4209a6692811e5f9e34b1",
        links: &[],
        size: 0,
        subject: None,
    },
    Case {
        file: "oci-artifact.json",
        bytes: include_bytes!("corpus/oci-artifact.json"),
        served_as: "application/vnd.oci.artifact.manifest.v1+json",
        kind: "application/vnd.oci.artifact.manifest.v1+json",
        digest: "0b3c74159e4948be168d2e27564ac6e8e66a62823c76020bdd09f614dd26f8f4",
        links: &["48c801be"],
        size: 2101,
        subject: Some("a7cff00d"),
    },
    Case {
        file: "oci-index.json",
        bytes: include_bytes!("corpus/oci-index.json"),
        served_as: "application/vnd.oci.image.index.v1+json",
        kind: "application/vnd.oci.image.index.v1+json",
        digest: "afc80da4c222868456cb913f21aa218984d02ee67f9732e3df006d2f6f5efccc",
        links: &[
            "a4c123b1", "2aabfe22", "cc3fc162", "08f86beb", "d440e504", "d6ba2b0a", "e58b0810",
        ],
        size: 7171,
        subject: None,
    },
    Case {
        file: "odd-spelling.json",
        bytes: include_bytes!("corpus/odd-spelling.json"),
        served_as: "application/json",
        kind: "application/vnd.oci.image.manifest.v1+json",
        digest: "5ff9adba783ed8d2c8dd45e3c16c8e66d383f9ba3eb829c09950cb8304c67b81",
        links: &["0d3bf162", "ae768944"],
        size: 32781,
        subject: None,
    },
    Case {
        file: "schema1-signed.json",
        bytes: include_bytes!("corpus/schema1-signed.json"),
        served_as: "application/vnd.docker.distribution.manifest.v1+prettyjws",
        kind: "application/vnd.docker.distribution.manifest.v1+prettyjws",
        digest: "cdfe61c9fd85b0b2e76974614ab89bc5499107581b2c2f95491c605020fe6492",
        links: &["fe0d5a0c", "78c8d5f0", "fe0d5a0c", "505aef9e"],
        size: 0,
        subject: None,
    },
    Case {
        file: "untyped-index.json",
        bytes: include_bytes!("corpus/untyped-index.json"),
        served_as: "text/plain; charset=utf-8",
        kind: "application/vnd.oci.image.index.v1+json",
        digest: "cad28ec4648dca7da57fd4fbfb3affb5fae331d988e441a885c8df81f2eaabed",
        links: &["a3178b6e", "1448c828"],
        size: 1050,
        subject: None,
    },
    Case {
        file: "windows-list.json",
        bytes: include_bytes!("corpus/windows-list.json"),
        served_as: "application/vnd.docker.distribution.manifest.list.v2+json",
        kind: "application/vnd.docker.distribution.manifest.list.v2+json",
        digest: "51e93bd9f2d75c86f98948f002288ded6dac5a1b0b4641d2884d29bc92206c85",
        links: &["68545756", "03680e7e", "11881383", "2be1ceb3"],
        size: 4499,
        subject: None,
    },
    Case {
        file: "zstd-layers.json",
        bytes: include_bytes!("corpus/zstd-layers.json"),
        served_as: "application/vnd.oci.image.manifest.v1+json",
        kind: "application/vnd.oci.image.manifest.v1+json",
        digest: "bf3bc689941955a5345901494dfed54949d279945d77213cf3d1a812e795553a",
        links: &["99ddceb1", "cb3acac2", "7a632b96"],
        size: 31_287_741,
        subject: None,
    },
];

fn case(file: &str) -> &'static Case {
    CASES
        .iter()
        .find(|case| case.file == file)
        .expect("a case of that name")
}

fn read(case: &Case) -> Manifest {
    let Ok(served_as) = case.served_as.parse::<MediaType>();
    let manifest = Manifest::parse(
        Bytes::from_static(case.bytes),
        Some(&served_as),
        Algorithm::Sha256,
    );
    manifest.unwrap_or_else(|error| panic!("{}: {error}", case.file))
}

/// What a client of a platform gets from an index.
fn chosen(manifest: &Manifest, platform: &str) -> Option<String> {
    let wanted: Platform = platform.parse().expect("a platform");
    match choose(manifest.entries(), &Matcher::new(&wanted)) {
        Choice::Manifest(entry) => Some(entry.digest.hex()[..8].to_owned()),
        Choice::Unverified(entry) => Some(format!("{}?", &entry.digest.hex()[..8])),
        Choice::Index(entry) => Some(format!("{}/", &entry.digest.hex()[..8])),
        Choice::None => None,
    }
}

/// `oci-spec` is stricter and loses some fields; what it does read of an OCI manifest must be what we read.
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
    let files: BTreeSet<String> = names.filter(|name| !name.starts_with('.')).collect();
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
fn attestations_are_links_but_no_choice() {
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
fn a_nested_index_and_an_entry_without_a_platform_say_so() {
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
fn an_artifact_says_what_it_is() {
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
