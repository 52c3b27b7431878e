//! What is attached to an image verifies at an offline site as it did where it was made: signatures of
//! cosign by its tag and as a referrer, and an SBOM of one platform's manifest.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use integration_tests::proxy::Archway;
use serde_json::Value;

use crate::air_gap::{carried, imported, succeeded, text};
use crate::cell::{attempt, output};
use crate::images::{Image, TAG};
use crate::matrix::native;
use crate::setup::{Setup, TEAM, runtime};
use crate::standin::{ECR_HOST, Standin};
use crate::tools;

/// What nobody outside can be asked about.
const OFFLINE: [&str; 2] = ["--allow-http-registry", "--insecure-ignore-tlog=true"];

const SBOM: &str = "application/spdx+json";

#[test]
fn signatures_of_both_forms_and_an_sbom_of_a_child_verify_at_the_offline_site() {
    // What is pushed here must not be seen by other tests.
    let standin: &'static Standin = Box::leak(Box::new(Standin::start()));
    let setup = Setup::before(standin);
    setup.sign_in();
    let [by_tag, by_referrer] = &standin.images;
    let at = |image: &Image| format!("{}/{TEAM}/{}@{}", standin.registry, image.name, image.index);
    keys(&setup);
    sign(&setup, &at(by_tag), "--new-bundle-format=false");
    sign(&setup, &at(by_referrer), "--new-bundle-format=true");
    let own = native().rsplit('/').next().unwrap_or_default();
    let child = by_referrer.children[own].manifest;
    let of_child = format!("{}/{TEAM}/{}@{child}", standin.registry, by_referrer.name);
    attach(&setup, &of_child);
    let before = discovered(&setup, &of_child);
    assert_eq!(before.len(), 1, "{before:?}");

    let names =
        [by_tag, by_referrer].map(|image| format!("{ECR_HOST}/{TEAM}/{}:{TAG}\n", image.name));
    let list = setup.cell.write("images.txt", &names.concat());
    let bundle = setup.cell.path("signed.tar");
    let runtime = runtime();
    // Nobody has asked Archway for any of it: the export pulls what is attached, too.
    let server = format!("--server={}", setup.archway.url());
    let export = [
        "export",
        &server,
        "--from-file",
        text(&list),
        "--platform",
        "linux/amd64,linux/arm64",
        "--require-attached",
        "signatures",
        "-o",
        text(&bundle),
    ];
    succeeded(&runtime.block_on(setup.archway.bundle_command(&export)));
    let site = Setup::at_site(standin);
    for key in ["cosign.pub", "other.pub"] {
        let carried = carried(&setup.cell.path("home").join(key), &site);
        fs::rename(carried, site.cell.path("home").join(key)).expect("a folder");
    }
    runtime.block_on(imported(&site.archway, &carried(&bundle, &site)));

    let here = |image: &Image| here(&site.archway, image, &image.index.to_string());
    verify(&site, &here(by_tag), "--new-bundle-format=false");
    verify(&site, &here(by_referrer), "--new-bundle-format=true");
    let mut unsigned = cosign(&site, "verify");
    unsigned
        .args(OFFLINE)
        .args(["--key", "other.pub", &here(by_tag)]);
    assert!(attempt(unsigned.arg("--new-bundle-format=false")).is_err());
    let child = self::here(&site.archway, by_referrer, &child.to_string());
    assert_eq!(discovered(&site, &child), before);
    let sbom = pulled(&site, by_referrer, &before);
    assert_eq!(sbom, SBOM_TEXT);
    assert_eq!(
        discovered(&site, &here(by_referrer)).len(),
        1,
        "the signature"
    );
}

const SBOM_TEXT: &str = r#"{"spdxVersion": "SPDX-2.3", "name": "hello"}"#;

/// An image at the site, with the registry it comes from in its name.
fn here(site: &Archway, image: &Image, digest: &str) -> String {
    format!(
        "{}/{ECR_HOST}/{TEAM}/{}@{digest}",
        site.address(),
        image.name
    )
}

fn cosign(setup: &Setup, verb: &str) -> Command {
    let mut command = setup.cell.command("env");
    command.arg("--chdir").arg(setup.cell.path("home"));
    command
        .arg("COSIGN_PASSWORD=")
        .arg(tools::built("cosign"))
        .arg(verb);
    command
}

fn keys(setup: &Setup) {
    for name in ["cosign", "other"] {
        let mut generate = cosign(setup, "generate-key-pair");
        output(generate.args(["--output-key-prefix", name]));
    }
}

fn sign(setup: &Setup, image: &str, format: &str) {
    let mut sign = cosign(setup, "sign");
    sign.args([
        "--key",
        "cosign.key",
        "--tlog-upload=false",
        "--use-signing-config=false",
    ]);
    output(sign.args(["--yes", "--allow-http-registry", format, image]));
}

fn verify(setup: &Setup, image: &str, format: &str) {
    let mut verify = cosign(setup, "verify");
    let text = output(
        verify
            .args(OFFLINE)
            .args(["--key", "cosign.pub", format, image]),
    );
    let digest = image.rsplit('@').next().unwrap_or_default();
    assert!(text.contains(digest), "{text}");
}

fn attach(setup: &Setup, image: &str) {
    let sbom = setup.cell.write("home/sbom.json", SBOM_TEXT);
    let mut attach = setup.cell.command("env");
    attach.arg("--chdir").arg(sbom.parent().expect("a folder"));
    attach
        .arg(tools::built("oras"))
        .args(["attach", "--no-tty", "--plain-http"]);
    output(attach.args(["--artifact-type", SBOM, image, "sbom.json"]));
}

/// The digests of what `oras discover` lists.
fn discovered(setup: &Setup, image: &str) -> BTreeSet<String> {
    let mut discover = setup.cell.command(tools::built("oras"));
    discover.args(["discover", "--plain-http", "--format", "json", image]);
    let found: Value = serde_json::from_str(&output(&mut discover)).expect("JSON");
    let list = found["referrers"].as_array().expect("a list").iter();
    list.map(|one| one["digest"].as_str().expect("a digest").to_owned())
        .collect()
}

fn pulled(site: &Setup, image: &Image, digests: &BTreeSet<String>) -> String {
    let folder = site.folder();
    let digest = digests.first().expect("one");
    let mut pull = site.cell.command(tools::built("oras"));
    pull.args(["pull", "--no-tty", "--plain-http", "--output"])
        .arg(folder.path());
    output(pull.arg(here(&site.archway, image, digest)));
    fs::read_to_string(folder.path().join("sbom.json")).expect("what oras wrote")
}
