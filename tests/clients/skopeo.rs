//! skopeo: single platforms, and whole images with `copy --all`, byte for byte.

use std::path::Path;
use std::process::Command;

use crate::archway::MADE;
use crate::cell::output;
use crate::images::{Kind, TAG};
use crate::layout;
use crate::matrix::{By, Recorded, Route, Want, check, wants};
use crate::setup::Setup;
use crate::standin::MADE_OF;
use crate::tools;

#[test]
fn skopeo_copies_by_all_names_and_platforms_and_again_with_ecr_stopped() {
    let mut setup = Setup::new();
    let wants = wants(&setup.standin.images);
    check(&mut setup, &wants, |setup, route, want| {
        let target = setup.folder();
        let architecture = [
            "--override-os",
            "linux",
            "--override-arch",
            want.architecture(),
        ];
        let mut copy = skopeo(setup);
        copy.args(architecture).arg("copy");
        if route == Route::Upstream {
            copy.args(["--src-creds", &setup.standin.user_and_token()]);
        }
        run(
            copy,
            &source(setup, route, want),
            &format!("dir:{}", target.path().display()),
        );
        layout::dir_recorded(target.path())
    });
}

#[test]
fn skopeo_copies_whole_images_unchanged_and_again_with_ecr_stopped() {
    let mut setup = Setup::new();
    setup.with_upstream_running_then_stopped(|setup, upstream| {
        for want in whole_images(setup) {
            let target = setup.folder();
            copy_whole(setup, &want, &folder_for(want.image.kind, target.path()));
            let copied = match want.image.kind {
                Kind::Oci => layout::blobs(target.path()),
                Kind::Docker => layout::dir_blobs(target.path()),
            };
            assert_eq!(copied, want.image.digests(), "{want:?}, {upstream}");
        }
    });
}

/// The registry it copies into is the stand-in itself, which only Archway cannot reach when
/// "stopped".
#[test]
fn skopeo_copies_whole_images_into_another_repository_unchanged_and_again_with_ecr_stopped() {
    let mut setup = Setup::new();
    setup.with_upstream_running_then_stopped(|setup, upstream| {
        for want in whole_images(setup) {
            let namespace = upstream.replace(' ', "-");
            let target = format!(
                "docker://{}/{namespace}/{}",
                setup.standin.registry, want.image.name
            );
            copy_whole(setup, &want, &format!("{target}:{TAG}"));
            let inspect = [
                "inspect",
                "--tls-verify=false",
                "--format",
                "{{.Digest}}",
                "--creds",
            ];
            let mut digest = skopeo(setup);
            digest
                .args(inspect)
                .args([&setup.standin.user_and_token(), &format!("{target}:{TAG}")]);
            assert_eq!(
                output(&mut digest).trim(),
                want.image.index.to_string(),
                "{want:?}, {upstream}"
            );
        }
    });
}

#[test]
fn skopeo_copies_each_platform_of_an_index_archway_made_and_again_with_ecr_stopped() {
    let mut setup = Setup::new();
    setup.with_upstream_running_then_stopped(|setup, upstream| {
        for image in &setup.standin.images {
            for architecture in MADE_OF {
                let target = setup.folder();
                let mut copy = skopeo(setup);
                copy.args(["--override-os", "linux", "--override-arch", architecture])
                    .arg("copy");
                let name = format!("{}/{}:{MADE}", setup.by_path(Route::Archway), image.name);
                let target_name = format!("dir:{}", target.path().display());
                run(copy, &format!("docker://{name}"), &target_name);
                let pushed = image.children[architecture].manifest.to_string();
                assert_eq!(
                    layout::dir_recorded(target.path()),
                    Recorded::of([pushed], architecture),
                    "{name}, {upstream}"
                );
            }
        }
    });
}

fn whole_images(setup: &Setup) -> Vec<Want> {
    let mut wants = wants(&setup.standin.images);
    wants.retain(|want| want.is_native() && want.by != By::ChildDigest);
    wants
}

fn copy_whole(setup: &Setup, want: &Want, target: &str) {
    let mut copy = skopeo(setup);
    copy.args([
        "copy",
        "--all",
        "--preserve-digests",
        "--dest-tls-verify=false",
    ]);
    if target.starts_with("docker:") {
        copy.args(["--dest-creds", &setup.standin.user_and_token()]);
    }
    run(copy, &source(setup, Route::Archway, want), target);
}

/// A place that keeps an image of this kind as it is: in an OCI layout Docker's manifests would be
/// rewritten.
fn folder_for(kind: Kind, folder: &Path) -> String {
    match kind {
        Kind::Oci => format!("oci:{}:copy", folder.display()),
        Kind::Docker => format!("dir:{}", folder.display()),
    }
}

fn source(setup: &Setup, route: Route, want: &Want) -> String {
    format!("docker://{}", want.reference(&setup.by_path(route)))
}

pub(crate) fn skopeo(setup: &Setup) -> Command {
    let mut skopeo = setup.cell.command(tools::system("skopeo"));
    skopeo.arg("--insecure-policy");
    skopeo
}

fn run(mut copy: Command, source: &str, target: &str) {
    output(copy.args(["--quiet", "--src-tls-verify=false", source, target]));
}
