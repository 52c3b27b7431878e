//! podman and buildah, which share a store and are led to Archway by `registries.conf`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cell::{Failed, attempt, output};
use crate::matrix::{By, Recorded, Want, check, wants};
use crate::setup::{Setup, TEAM};
use crate::standin::ECR_HOST;
use crate::tools;

#[test]
fn podman_pulls_by_all_names_and_platforms_and_again_with_ecr_stopped() {
    pulls_all("podman");
}

#[test]
fn buildah_pulls_by_all_names_and_platforms_and_again_with_ecr_stopped() {
    pulls_all("buildah");
}

#[test]
fn podman_with_a_platform_in_its_mirrors_path_gets_that_platform_for_a_tag_and_again_with_ecr_stopped()
 {
    let mut setup = Setup::new();
    setup.with_upstream_running_then_stopped(|setup, upstream| {
        let wants = wants(&setup.standin.images);
        for want in wants.iter().filter(|want| want.by == By::Tag) {
            let platform = want.platform.replace('/', "-");
            let address = setup.archway.address();
            lead(
                setup,
                &format!("{address}/platform/{platform}/{ECR_HOST}/{TEAM}"),
                REGISTRIES,
            );
            // It does not ask for a platform itself: what it gets is what the path names.
            let recorded = pull("podman", setup, &reference(want), &[]).expect("pulled");
            let child = format!("{ECR_HOST}/{TEAM}/{}@{}", want.image.name, want.child());
            assert_eq!(
                recorded,
                Recorded::of([child], want.architecture()),
                "{want:?}, {upstream}"
            );
        }
    });
}

fn pulls_all(program: &str) {
    let mut setup = Setup::signed_in();
    let wants = wants(&setup.standin.images);
    check(&mut setup, &wants, |setup, route, want| {
        lead(setup, &setup.by_path(route), REGISTRIES);
        let platform = ["--platform", want.platform];
        pull(program, setup, &reference(want), &platform).expect("pulled")
    });
}

/// From now on ECR's repositories come from `mirror`; there is nothing to fall back on. `file` is
/// the one that the program reads, in the cell's folder.
pub(crate) fn lead(setup: &Setup, mirror: &str, file: &str) {
    let registries = format!(
        r#"
[[registry]]
prefix = "{ECR_HOST}/{TEAM}"
location = "127.0.0.1:1/{TEAM}"
insecure = true
[[registry.mirror]]
location = "{mirror}"
insecure = true
"#
    );
    setup.cell.write(file, &registries);
}

/// Where podman and buildah are told to look for registries and mirrors.
pub(crate) const REGISTRIES: &str = "registries.conf";

fn reference(want: &Want) -> String {
    want.reference(&format!("{ECR_HOST}/{TEAM}"))
}

/// Pulls into a new store.
pub(crate) fn pull(
    program: &str,
    setup: &Setup,
    reference: &str,
    options: &[&str],
) -> Result<Recorded, Failed> {
    let store = setup.folder();
    attempt(
        through_mirror(&mut on_store(program, setup, store.path()), setup)
            .args(["pull", "--quiet"])
            .args(options)
            .arg(reference)
            .env("REGISTRY_AUTH_FILE", setup.cell.path("docker/config.json")),
    )?;
    // buildah does not tell what it recorded; podman reads the same store.
    let inspected =
        output(on_store("podman", setup, store.path()).args(["image", "inspect", reference]));
    let inspected: Value = serde_json::from_str(&inspected).expect("JSON of podman inspect");
    Ok(Recorded::inspected(&inspected[0]))
}

/// The command, led by what [`lead`] has written.
pub(crate) fn through_mirror<'a>(command: &'a mut Command, setup: &Setup) -> &'a mut Command {
    let registries = setup.cell.path(REGISTRIES);
    command.env("CONTAINERS_REGISTRIES_CONF", registries)
}

/// The program on a store of its own.
pub(crate) fn on_store(program: &str, setup: &Setup, store: &Path) -> Command {
    let mut command = setup.cell.command(tools::system(program));
    command.arg("--root").arg(store.join("root"));
    command.arg("--runroot").arg(store.join("run"));
    command.args(["--storage-driver", "vfs"]);
    command
}
