//! What a site without a way out lacks comes with the next bundle: clients ask for it, the wish list
//! goes out, a bundle of it comes in, and the same pull works. Gateway and node are in a network that has
//! loopback alone.

use std::path::{Path, PathBuf};
use std::process::Output;

use integration_tests::proxy::{Archway, run};

use crate::containerd::{self, Release, cri};
use crate::images::TAG;
use crate::matrix::Recorded;
use crate::setup::{Setup, TEAM, runtime};
use crate::standin::ECR_HOST;

const PLATFORM: &str = "linux/amd64";

#[test]
fn what_a_kubelet_with_containerd_1_6_misses_comes_with_the_next_bundle() {
    misses_come_with_the_next_bundle(Release::V1_6);
}

#[test]
fn what_a_kubelet_with_containerd_2_misses_comes_with_the_next_bundle() {
    misses_come_with_the_next_bundle(Release::V2);
}

fn misses_come_with_the_next_bundle(release: Release) {
    let mut outside = Setup::new();
    let runtime = runtime();
    let site = Setup::at_site(outside.standin);
    let node = cri::start(&site, release);
    // Without a way round the gateway: what containerd reports is the gateway's answer.
    let gateway = site.archway.url();
    let hosts = format!(
        "server = \"{gateway}\"\n[host.\"{gateway}\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
    );
    containerd::lead_by(&site, &hosts);

    let mut names = site.standin.images.each_ref().map(|image| {
        let name = image.name;
        format!("{ECR_HOST}/{TEAM}/{name}:{TAG}")
    });
    names.sort();
    for name in &names {
        let missed = cri::pull(&node, &site, name).expect_err("nothing is here");
        assert!(missed.0.contains("not found"), "{}", missed.0);
    }
    let list = outside.cell.path("wanted.txt");
    let lacking = runtime.block_on(wanted(&site));
    std::fs::write(&list, &lacking).expect("a writable folder");
    let listed: Vec<_> = lacking
        .lines()
        .filter_map(|line| line.split("  #").next())
        .collect();
    assert_eq!(listed, names);

    let bundle = outside.cell.path("wanted.tar");
    runtime.block_on(exported(&mut outside.archway, &list, PLATFORM, &bundle));
    let bundle = carried(&bundle, &site);
    runtime.block_on(imported(&site.archway, &bundle));
    for image in &site.standin.images {
        let name = format!("{ECR_HOST}/{TEAM}/{}", image.name);
        let recorded = cri::pull(&node, &site, &format!("{name}:{TAG}")).expect("it is here");
        // As straight from the upstream: under the index, which is whole, for this platform.
        let index = format!("{name}@{}", image.index);
        assert_eq!(recorded, Recorded::of([index], "amd64"));
    }
    assert_eq!(runtime.block_on(wanted(&site)), "");
}

async fn wanted(site: &Setup) -> String {
    let network = site.cell.network();
    let program: Vec<&str> = network.iter().map(String::as_str).collect();
    let admin = format!("--admin={}", site.archway.admin_url());
    let asked = ["wanted", &admin];
    succeeded(&site.archway.command_by(&program, &asked).await)
}

/// The courier: a file of the connected side, as the site gets it.
pub(crate) fn carried(file: &Path, site: &Setup) -> PathBuf {
    let here = site.cell.path(file.file_name().expect("a file"));
    std::fs::copy(file, &here).expect("a writable folder");
    here
}

/// On the connected side: pulls what is listed, stops, and writes the bundle.
pub(crate) async fn exported(archway: &mut Archway, list: &Path, platforms: &str, bundle: &Path) {
    let (list, bundle) = (text(list), text(bundle));
    let server = archway.url();
    let warm = [
        "warm",
        "--from-file",
        list,
        "--platform",
        platforms,
        "--server",
        &server,
    ];
    succeeded(&run(&warm).await);
    archway.terminate();
    archway.ended().await;
    let export = [
        "export",
        "--from-file",
        list,
        "--platform",
        platforms,
        "-o",
        bundle,
    ];
    succeeded(&archway.bundle_command(&export).await);
}

/// At the site: takes the bundle in while it serves.
pub(crate) async fn imported(site: &Archway, bundle: &Path) {
    succeeded(&site.bundle_command(&["import", text(bundle)]).await);
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[track_caller]
pub(crate) fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
