//! Two gateways with nothing between them but a file: what a client gets at the site is what it gets
//! straight from the upstream, by tag and by the digest of the index. Gateway and client of the site are
//! in a network that has loopback alone, and the file is copied.
//!
//! First the bundle has this machine's platform alone: what is pinned to an index runs there, and the
//! other platform is an answer that names what there is. Then another bundle brings that one, while
//! the gateway serves.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::air_gap::{carried, exported, imported, succeeded, text};
use crate::cell::{Failed, attempt, output};
use crate::containerd::{self, Node, Release, cri, ctr};
use crate::copiers::Copier;
use crate::dockerd::Daemon;
use crate::dockerd_29;
use crate::images::TAG;
use crate::layout;
use crate::matrix::{By, Recorded, Route, Want, foreign, native, wants};
use crate::podman;
use crate::setup::{Setup, TEAM, runtime};
use crate::skopeo::skopeo;
use crate::standin::ECR_HOST;
use crate::tools;

#[test]
fn containerd_1_6_of_a_kubelet_gets_at_the_site_what_the_upstream_has() {
    pulls_of_a_kubelet(Release::V1_6);
}

#[test]
fn containerd_2_of_a_kubelet_gets_at_the_site_what_the_upstream_has() {
    pulls_of_a_kubelet(Release::V2);
}

#[test]
fn ctr_1_6_gets_at_the_site_what_the_upstream_has() {
    pulls_of_ctr(Release::V1_6);
}

#[test]
fn ctr_2_4_gets_at_the_site_what_the_upstream_has() {
    pulls_of_ctr(Release::V2);
}

#[test]
fn dockerd_gets_at_the_site_what_the_upstream_has() {
    pulls(
        Daemon::start,
        |_| true,
        |daemon, setup, route, want| {
            let name = want.reference(&setup.by_path(route));
            daemon.pull(setup, &name, Some(want.platform))
        },
    );
}

#[test]
fn dockerd_with_the_store_of_containerd_gets_at_the_site_what_the_upstream_has() {
    pulls(
        dockerd_29::start,
        |_| true,
        |daemon, setup, route, want| {
            let name = want.reference(&setup.by_path(route));
            daemon.pull_into_store(setup, &name, want.platform)
        },
    );
}

#[test]
fn podman_gets_at_the_site_what_the_upstream_has() {
    pulls(
        |_| (),
        |_| true,
        |(), setup, route, want| {
            podman::lead(setup, &setup.by_path(route), podman::REGISTRIES);
            let name = want.reference(&format!("{ECR_HOST}/{TEAM}"));
            podman::pull("podman", setup, &name, &["--platform", want.platform])
        },
    );
}

#[test]
fn skopeo_gets_at_the_site_what_the_upstream_has() {
    pulls(
        |_| (),
        |_| true,
        |(), setup, route, want| {
            let target = setup.folder();
            let mut copy = skopeo(setup);
            copy.args([
                "--override-os",
                "linux",
                "--override-arch",
                want.architecture(),
            ]);
            copy.args(["copy", "--quiet", "--src-tls-verify=false"]);
            if route == Route::Upstream {
                copy.args(["--src-creds", &setup.standin.user_and_token()]);
            }
            copy.arg(format!(
                "docker://{}",
                want.reference(&setup.by_path(route))
            ));
            attempt(copy.arg(format!("dir:{}", target.path().display())))?;
            Ok(layout::dir_recorded(target.path()))
        },
    );
}

#[test]
fn crane_gets_at_the_site_what_the_upstream_has() {
    copies(Copier::Crane);
}

#[test]
fn oras_gets_at_the_site_what_the_upstream_has() {
    copies(Copier::Oras);
}

fn copies(copier: Copier) {
    pulls(
        |_| (),
        |_| true,
        |(), setup, route, want| {
            let target = setup.folder();
            let source = want.reference(&setup.by_path(route));
            attempt(&mut copier.copy(setup, &source, Some(want.platform), target.path()))?;
            Ok(layout::recorded(target.path()))
        },
    );
}

/// It takes its own platform alone.
fn pulls_of_a_kubelet(release: Release) {
    pulls(
        |setup| cri::start(setup, release),
        Want::is_native,
        |node, setup, route, want| {
            lead(setup, route);
            cri::pull(node, setup, &want.reference(&format!("{ECR_HOST}/{TEAM}")))
        },
    );
}

fn pulls_of_ctr(release: Release) {
    pulls(
        |setup| Node::start(setup, release),
        |_| true,
        |node, setup, route, want| {
            lead(setup, route);
            let name = want.reference(&format!("{ECR_HOST}/{TEAM}"));
            ctr::pull_one_platform(node, setup, want.image, &name, want.platform)
        },
    );
}

fn lead(setup: &Setup, route: Route) {
    match route {
        Route::Upstream => containerd::lead_upstream(setup),
        Route::Archway => containerd::lead_here(setup),
    }
}

/// Holds a client that starts from an empty store each time against the module's head: one that is
/// started outside, and one at the site.
fn pulls<Client>(
    start: impl Fn(&Setup) -> Client,
    can: impl Fn(&Want) -> bool,
    pull: impl Fn(&Client, &Setup, Route, &Want) -> Result<Recorded, Failed>,
) {
    let mut outside = Setup::signed_in();
    let client = start(&outside);
    let mut wants = wants(&outside.standin.images);
    wants.retain(|want| want.by != By::ChildDigest && can(want));
    let straight = |want: &Want| pull(&client, &outside, Route::Upstream, want).expect("pulled");
    let straight: Vec<_> = wants.iter().map(straight).collect();
    let runtime = runtime();
    let bundles = runtime.block_on(bundles(&mut outside));

    let site = Setup::at_site(outside.standin);
    reaches_nobody(&site, &outside);
    let client = start(&site);
    let [only, both] = bundles.map(|bundle| carried(&bundle, &site));
    runtime.block_on(imported(&site.archway, &only));
    for (want, straight) in wants.iter().zip(&straight) {
        let pulled = pull(&client, &site, Route::Archway, want);
        if want.is_native() {
            assert_eq!(&pulled.expect("it is here"), straight, "{want:?}, sparse");
        } else {
            pulled.expect_err("it was left out");
            names_what_there_is(&site, want);
        }
    }
    runtime.block_on(imported(&site.archway, &both));
    for (want, straight) in wants.iter().zip(&straight) {
        let pulled = pull(&client, &site, Route::Archway, want).expect("all is here");
        assert_eq!(&pulled, straight, "{want:?}, both platforms");
    }
}

/// On the connected side: pulls the images for both platforms, and writes one bundle with this
/// machine's platform and one with both.
async fn bundles(outside: &mut Setup) -> [PathBuf; 2] {
    let names = outside.standin.images.iter();
    let names = names.map(|image| format!("{ECR_HOST}/{TEAM}/{}:{TAG}\n", image.name));
    let list = outside.cell.write("images.txt", &names.collect::<String>());
    let both = format!("{},{}", native(), foreign());
    let paths = ["only.tar", "both.tar"].map(|name| outside.cell.path(name));
    exported(&mut outside.archway, &list, &both, &paths[1]).await;
    let only = [
        "export",
        "--from-file",
        text(&list),
        "--platform",
        native(),
        "-o",
        text(&paths[0]),
    ];
    succeeded(&outside.archway.bundle_command(&only).await);
    paths
}

/// Neither the upstream nor the other gateway can be dialled from the site, and outside they can.
fn reaches_nobody(site: &Setup, outside: &Setup) {
    for address in [outside.standin.registry, outside.standin.ecr_api] {
        let reaches =
            |setup: &Setup| attempt(curl(setup).arg(format!("http://{address}/"))).is_ok();
        assert!(reaches(outside), "{address} answers");
        assert!(!reaches(site), "{address} is out of reach");
    }
    let mut routes = site.cell.command(tools::system("ip"));
    let routes = output(routes.args(["route", "show", "table", "main"]));
    assert_eq!(routes, "", "there is no route");
}

fn curl(setup: &Setup) -> Command {
    let mut curl = setup.cell.command(tools::system("curl"));
    curl.arg("--silent");
    curl
}

fn names_what_there_is(site: &Setup, want: &Want) {
    let repository = format!("{ECR_HOST}/{TEAM}/{}", want.image.name);
    let gateway = site.archway.url();
    let url = format!("{gateway}/v2/{repository}/manifests/{}", want.child());
    let answer: Value = serde_json::from_str(&output(curl(site).arg(url))).expect("JSON");
    let error = &answer["errors"][0];
    assert_eq!(error["code"], "MANIFEST_UNKNOWN", "{answer}");
    assert_eq!(
        error["detail"]["platforms"],
        serde_json::json!([native()]),
        "{error}"
    );
}
