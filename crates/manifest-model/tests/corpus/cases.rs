//! The manifests of this folder, each with expectations that were computed without the crate. Links
//! are named by the first eight digits of their digests.

/// One of the manifests, with the expected result of reading it.
pub(crate) struct Case {
    pub(crate) file: &'static str,
    pub(crate) bytes: &'static [u8],
    /// The `Content-Type` a registry sends with it.
    pub(crate) served_as: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) digest: &'static str,
    pub(crate) links: &'static [&'static str],
    /// The sum of the sizes of all links.
    pub(crate) size: u64,
    pub(crate) subject: Option<&'static str>,
}

pub(crate) const CASES: [Case; 14] = [
    Case {
        file: "artifact.json",
        bytes: include_bytes!("artifact.json"),
        served_as: "application/vnd.oci.image.manifest.v1+json",
        kind: "application/vnd.oci.image.manifest.v1+json",
        digest: "db4fc8f41a39c1fed1d600161e2678d5723bbf43372a59beaa20c9b1ba9fdf0a",
        links: &["44136fa3", "d97dcbee"],
        size: 20819,
        subject: Some("58ac5831"),
    },
    Case {
        file: "attested-index.json",
        bytes: include_bytes!("attested-index.json"),
        served_as: "application/vnd.oci.image.index.v1+json",
        kind: "application/vnd.oci.image.index.v1+json",
        digest: "7ffa0f41c89ece9ff218da57c20d8a8f125c4f7b8324cd1ea1ccdef280c3b49f",
        links: &["b860dcd6", "e8a7f770", "a65e19cb", "8df4f509"],
        size: 4898,
        subject: None,
    },
    Case {
        file: "data-field.json",
        bytes: include_bytes!("data-field.json"),
        served_as: "application/vnd.oci.image.manifest.v1+json",
        kind: "application/vnd.oci.image.manifest.v1+json",
        digest: "9ebb8ce2af8a04143fb70e5acac3a6e44434ebbd91f141561c0e3463bbfe44b9",
        links: &["0bdc2d41", "a7f3b4a7"],
        size: 125,
        subject: None,
    },
    Case {
        file: "docker-image.json",
        bytes: include_bytes!("docker-image.json"),
        served_as: "application/vnd.docker.distribution.manifest.v2+json",
        kind: "application/vnd.docker.distribution.manifest.v2+json",
        digest: "0a49e09116ba0f658dde08b957fa4fa78cfd3cdcacfb58edda27460bd89f9a12",
        links: &["b2dc782b", "9639e35a", "f5924754", "ec837563"],
        size: 1_683_417_896,
        subject: None,
    },
    Case {
        file: "docker-list.json",
        bytes: include_bytes!("docker-list.json"),
        served_as: "application/vnd.docker.distribution.manifest.list.v2+json",
        kind: "application/vnd.docker.distribution.manifest.list.v2+json",
        digest: "1d2db3ccd9a09b4e467e029ee3e9c4f44a35fef0734532cfcbf07f92cbab419b",
        links: &["2824c1c0", "f1f836f9", "cc2bd818"],
        size: 5334,
        subject: None,
    },
    Case {
        file: "nested-index.json",
        bytes: include_bytes!("nested-index.json"),
        served_as: "application/vnd.oci.image.index.v1+json",
        kind: "application/vnd.oci.image.index.v1+json",
        digest: "10fbc7b4b23211d62c3632c6b9631a37a6e53b345d3049b33e2a9bd9384f3c67",
        links: &["3e130f7e", "b6cc60d5"],
        size: 2056,
        subject: None,
    },
    Case {
        file: "null-manifests.json",
        bytes: include_bytes!("null-manifests.json"),
        served_as: "application/vnd.oci.image.index.v1+json",
        kind: "application/vnd.oci.image.index.v1+json",
        digest: "529c6ab77d3c1159e2561b2ba2d8e2c77ec4808905c4209a6692811e5f9e34b1",
        links: &[],
        size: 0,
        subject: None,
    },
    Case {
        file: "oci-artifact.json",
        bytes: include_bytes!("oci-artifact.json"),
        served_as: "application/vnd.oci.artifact.manifest.v1+json",
        kind: "application/vnd.oci.artifact.manifest.v1+json",
        digest: "0b3c74159e4948be168d2e27564ac6e8e66a62823c76020bdd09f614dd26f8f4",
        links: &["48c801be"],
        size: 2101,
        subject: Some("a7cff00d"),
    },
    Case {
        file: "oci-index.json",
        bytes: include_bytes!("oci-index.json"),
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
        bytes: include_bytes!("odd-spelling.json"),
        served_as: "application/json",
        kind: "application/vnd.oci.image.manifest.v1+json",
        digest: "5ff9adba783ed8d2c8dd45e3c16c8e66d383f9ba3eb829c09950cb8304c67b81",
        links: &["0d3bf162", "ae768944"],
        size: 32781,
        subject: None,
    },
    Case {
        file: "schema1-signed.json",
        bytes: include_bytes!("schema1-signed.json"),
        served_as: "application/vnd.docker.distribution.manifest.v1+prettyjws",
        kind: "application/vnd.docker.distribution.manifest.v1+prettyjws",
        digest: "cdfe61c9fd85b0b2e76974614ab89bc5499107581b2c2f95491c605020fe6492",
        links: &["fe0d5a0c", "78c8d5f0", "fe0d5a0c", "505aef9e"],
        size: 0,
        subject: None,
    },
    Case {
        file: "untyped-index.json",
        bytes: include_bytes!("untyped-index.json"),
        served_as: "text/plain; charset=utf-8",
        kind: "application/vnd.oci.image.index.v1+json",
        digest: "cad28ec4648dca7da57fd4fbfb3affb5fae331d988e441a885c8df81f2eaabed",
        links: &["a3178b6e", "1448c828"],
        size: 1050,
        subject: None,
    },
    Case {
        file: "windows-list.json",
        bytes: include_bytes!("windows-list.json"),
        served_as: "application/vnd.docker.distribution.manifest.list.v2+json",
        kind: "application/vnd.docker.distribution.manifest.list.v2+json",
        digest: "51e93bd9f2d75c86f98948f002288ded6dac5a1b0b4641d2884d29bc92206c85",
        links: &["68545756", "03680e7e", "11881383", "2be1ceb3"],
        size: 4499,
        subject: None,
    },
    Case {
        file: "zstd-layers.json",
        bytes: include_bytes!("zstd-layers.json"),
        served_as: "application/vnd.oci.image.manifest.v1+json",
        kind: "application/vnd.oci.image.manifest.v1+json",
        digest: "bf3bc689941955a5345901494dfed54949d279945d77213cf3d1a812e795553a",
        links: &["99ddceb1", "cb3acac2", "7a632b96"],
        size: 31_287_741,
        subject: None,
    },
];

pub(crate) fn case(file: &str) -> &'static Case {
    CASES
        .iter()
        .find(|case| case.file == file)
        .expect("a case of that name")
}
