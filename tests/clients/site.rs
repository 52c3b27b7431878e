//! Two gateways with nothing between them but a file: what a client gets at the site is what it gets
//! straight from the upstream, by tag and by the digest of the index.
//!
//! First the bundle has this machine's platform alone: what is pinned to an index runs there, and the
//! other platform is an answer that names what there is. Then another bundle brings that one, while
//! the gateway serves.

use integration_tests::proxy::Archway;
use serde_json::Value;

use crate::air_gap::{exported, runtime, site, succeeded, text};
use crate::cell::{Failed, attempt};
use crate::containerd::{self, Node, Release, cri, ctr};
use crate::copiers::Copier;
use crate::dockerd::Daemon;
use crate::images::TAG;
use crate::layout;
use crate::matrix::{By, Recorded, Route, Want, foreign, native, wants};
use crate::podman;
use crate::setup::{Setup, TEAM};
use crate::skopeo::skopeo;
use crate::standin::ECR_HOST;

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
    let mut setup = Setup::new();
    let node = Node::start(&setup, Release::V1_6);
    pulls(
        &mut setup,
        |_| true,
        |setup, route, want| {
            lead(setup, route);
            let name = want.reference(&format!("{ECR_HOST}/{TEAM}"));
            ctr::pull(&node, setup, want.image, &name, Some(want.platform))
        },
    );
}

#[test]
fn dockerd_gets_at_the_site_what_the_upstream_has() {
    let mut setup = Setup::new();
    let daemon = Daemon::start(&setup);
    pulls(
        &mut setup,
        |_| true,
        |setup, route, want| {
            let name = want.reference(&setup.by_path(route));
            daemon.pull(setup, &name, Some(want.platform))
        },
    );
}

#[test]
fn podman_gets_at_the_site_what_the_upstream_has() {
    let mut setup = Setup::signed_in();
    pulls(
        &mut setup,
        |_| true,
        |setup, route, want| {
            podman::lead(setup, &setup.by_path(route), podman::REGISTRIES);
            let name = want.reference(&format!("{ECR_HOST}/{TEAM}"));
            podman::pull("podman", setup, &name, &["--platform", want.platform])
        },
    );
}

#[test]
fn skopeo_gets_at_the_site_what_the_upstream_has() {
    let mut setup = Setup::new();
    pulls(
        &mut setup,
        |_| true,
        |setup, route, want| {
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
    let mut setup = Setup::signed_in();
    pulls(
        &mut setup,
        |_| true,
        |setup, route, want| {
            let target = setup.folder();
            let source = want.reference(&setup.by_path(route));
            attempt(&mut copier.copy(setup, &source, Some(want.platform), target.path()))?;
            Ok(layout::recorded(target.path()))
        },
    );
}

/// It takes its own platform alone.
fn pulls_of_a_kubelet(release: Release) {
    let mut setup = Setup::new();
    let node = cri::start(&setup, release);
    pulls(&mut setup, Want::is_native, |setup, route, want| {
        lead(setup, route);
        cri::pull(&node, setup, &want.reference(&format!("{ECR_HOST}/{TEAM}")))
    });
}

fn lead(setup: &Setup, route: Route) {
    match route {
        Route::Upstream => containerd::lead_upstream(setup),
        Route::Archway => containerd::lead_here(setup),
    }
}

/// Holds a client that starts from an empty store each time against the module's head.
fn pulls(
    setup: &mut Setup,
    can: impl Fn(&Want) -> bool,
    pull: impl Fn(&Setup, Route, &Want) -> Result<Recorded, Failed>,
) {
    let mut wants = wants(&setup.standin.images);
    wants.retain(|want| want.by != By::ChildDigest && can(want));
    let straight = |setup: &Setup, want: &Want| pull(setup, Route::Upstream, want).expect("pulled");
    let straight: Vec<_> = wants.iter().map(|want| straight(setup, want)).collect();
    let runtime = runtime();
    let [only, both] = runtime.block_on(bundles(setup));
    setup.archway = runtime.block_on(site());
    runtime.block_on(import(&setup.archway, &only));
    for (want, straight) in wants.iter().zip(&straight) {
        let pulled = pull(setup, Route::Archway, want);
        if want.is_native() {
            assert_eq!(&pulled.expect("it is here"), straight, "{want:?}, sparse");
        } else {
            pulled.expect_err("it was left out");
            runtime.block_on(names_what_there_is(&setup.archway, want));
        }
    }
    runtime.block_on(import(&setup.archway, &both));
    for (want, straight) in wants.iter().zip(&straight) {
        let pulled = pull(setup, Route::Archway, want).expect("all is here");
        assert_eq!(&pulled, straight, "{want:?}, both platforms");
    }
}

/// On the connected side: pulls the images for both platforms, and writes one bundle with this
/// machine's platform and one with both.
async fn bundles(setup: &mut Setup) -> [String; 2] {
    let names = setup.standin.images.iter();
    let names = names.map(|image| format!("{ECR_HOST}/{TEAM}/{}:{TAG}\n", image.name));
    let list = setup.cell.write("images.txt", &names.collect::<String>());
    let both = format!("{},{}", native(), foreign());
    let path = |name: &str| text(&setup.cell.path(name)).to_owned();
    let paths = [path("only.tar"), path("both.tar")];
    exported(&mut setup.archway, &list, &both, paths[1].as_ref()).await;
    let only = [
        "export",
        "--from-file",
        text(&list),
        "--platform",
        native(),
        "-o",
        &paths[0],
    ];
    succeeded(&setup.archway.bundle_command(&only).await);
    paths
}

async fn import(site: &Archway, bundle: &str) {
    succeeded(&site.bundle_command(&["import", bundle]).await);
}

async fn names_what_there_is(site: &Archway, want: &Want) {
    let repository = format!("{ECR_HOST}/{TEAM}/{}", want.image.name);
    let answer = site.client().manifest(&repository, want.child()).await;
    let error: Value = answer.expect(404).json()["errors"][0].clone();
    assert_eq!(
        error["detail"]["platforms"],
        serde_json::json!([native()]),
        "{error}"
    );
}
