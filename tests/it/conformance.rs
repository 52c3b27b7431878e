//! The OCI distribution-spec conformance suite, its pull tests, through Archway.
//!
//! The suite is a Go program of its own; `tests/conformance/run.sh` builds it and runs this test.
//! What it does not ask of a read-only registry has tests here under other names: ranges above all,
//! and
//! `Docker-Content-Digest`, whose switch in the suite never reads the answers to read-only data.

use std::path::{Path, PathBuf};
use std::process::Command;

use integration_tests::images::{self, Content, Flavor};
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::within;
use manifest_model::Algorithm;

const REPOSITORY: &str = "team/conformance";

/// The fewest tests the suite has to have passed: fewer would mean that it was not told of its
/// data.
const AT_LEAST: u64 = 150;

fn suite() -> PathBuf {
    let tools = std::env::var_os("ARCHWAY_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools"),
        PathBuf::from,
    );
    let path = tools.join("bin/conformance");
    assert!(
        path.exists(),
        "{} is missing: run tests/conformance/build.sh",
        path.display()
    );
    path
}

/// What the registry holds, by tag.
fn contents() -> Vec<(&'static str, Content)> {
    let image = images::single("image", "linux/amd64", Flavor::Oci);
    let subject = image.root().clone();
    vec![
        ("index", images::multi_platform("index")),
        ("list", images::docker_list("list")),
        ("attested", images::attested("attested")),
        ("nested", images::nested("nested")),
        ("odd", images::odd("odd")),
        (
            "artifact",
            images::artifact("sbom", "application/spdx+json", None),
        ),
        (
            "signature",
            images::artifact("sig", "application/x-signature", Some(&subject)),
        ),
        ("image", image),
    ]
}

/// The number behind `name....:` in the suite's summary.
fn counted(report: &str, name: &str) -> Option<u64> {
    let line = report
        .lines()
        .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('.'))?;
    line.trim_start_matches('.')
        .trim_start_matches(':')
        .trim()
        .parse()
        .ok()
}

fn joined<T: ToString>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    items.join(" ")
}

#[tokio::test]
#[ignore = "needs the OCI suite: tests/conformance/run.sh builds it and runs this"]
async fn the_suites_pull_tests_pass() {
    let registry = FakeRegistry::start().await;
    let contents = contents();
    for (tag, content) in &contents {
        registry.push(REPOSITORY, tag, content);
    }
    let strong = images::single("strong", "linux/arm64", Flavor::Oci);
    registry.push_as(Algorithm::Sha512, REPOSITORY, "strong", &strong);
    let archway = Setup::in_front_of(&registry).start().await;

    let tags = joined(contents.iter().map(|(tag, _)| *tag).chain(["strong"]));
    let manifests = contents.iter().flat_map(|(_, content)| &content.manifests);
    let blobs = contents.iter().flat_map(|(_, content)| &content.blobs);
    let subject = contents.last().expect("the image").1.root().digest;
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(suite());
    command
        .current_dir(folder.path())
        .env_clear()
        .env("OCI_REGISTRY", archway.address().to_string())
        .env("OCI_TLS", "disabled")
        .env("OCI_REPO1", REPOSITORY)
        .env("OCI_API_PUSH", "false")
        .env("OCI_API_BLOBS_DELETE", "false")
        .env("OCI_API_MANIFESTS_DELETE", "false")
        .env("OCI_API_TAGS_DELETE", "false")
        .env("OCI_RO_DATA_TAGS", tags)
        .env(
            "OCI_RO_DATA_MANIFESTS",
            joined(manifests.map(|stored| stored.digest)),
        )
        .env("OCI_RO_DATA_BLOBS", joined(blobs.map(images::Blob::digest)))
        .env("OCI_RO_DATA_REFERRERS", subject.to_string());
    let running = tokio::task::spawn_blocking(move || command.output());
    let output = within("the suite ends", running).await;
    let output = output
        .expect("no panic in it")
        .expect("the suite can be started");

    // The verdict is on stdout. In this mode the program panics afterwards, while it writes its
    // YAML.
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = |name| counted(&report, name).unwrap_or(u64::MAX);
    println!(
        "conformance: {} passed, {} failed, {} errors",
        number("Pass"),
        number("FAIL"),
        number("Error")
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        report.contains("OCI Conformance Result: Pass"),
        "{report}\n{stderr}"
    );
    assert_eq!((number("FAIL"), number("Error")), (0, 0), "{report}");
    assert!(
        number("Pass") >= AT_LEAST && number("Pass") != u64::MAX,
        "{report}"
    );
}
