//! crane, oras and regctl copy into an OCI layout, one platform or everything. crane and oras know
//! no mirrors, so Archway stands in the name they are given. regctl does: it puts its mirror's
//! prefix in front of the repository and names the registry once more in `?ns=`, where Docker Hub
//! is `registry-1.docker.io`.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::cell::output;
use crate::layout;
use crate::matrix::{By, Route, Want, check, wants};
use crate::setup::{LIBRARY, Setup, TEAM};
use crate::standin::ECR_HOST;
use crate::tools;

#[test]
fn crane_pulls_by_all_names_and_platforms_and_again_with_ecr_stopped() {
    copies_platforms(Copier::Crane);
}

#[test]
fn crane_pulls_whole_images_unchanged_and_again_with_ecr_stopped() {
    copies_everything(Copier::Crane);
}

#[test]
fn oras_copies_by_all_names_and_platforms_and_again_with_ecr_stopped() {
    copies_platforms(Copier::Oras);
}

#[test]
fn oras_copies_whole_images_unchanged_and_again_with_ecr_stopped() {
    copies_everything(Copier::Oras);
}

#[test]
fn regctl_with_a_mirror_for_ecr_copies_by_all_names_and_platforms_and_again_with_ecr_stopped() {
    copies_platforms(Copier::Regctl(ECR_HOST, TEAM));
}

#[test]
fn regctl_with_a_mirror_for_ecr_copies_whole_images_unchanged_and_again_with_ecr_stopped() {
    copies_everything(Copier::Regctl(ECR_HOST, TEAM));
}

#[test]
fn regctl_with_a_mirror_for_docker_hub_copies_by_all_names_and_platforms_and_again_with_the_hub_stopped()
 {
    copies_platforms(Copier::Regctl(HUB, LIBRARY));
}

/// The name of Docker Hub in image names.
const HUB: &str = "docker.io";

/// regctl's configuration, in the cell's folder.
pub(crate) const REGCTL: &str = "regctl.json";

#[derive(Debug, Clone, Copy)]
pub(crate) enum Copier {
    Crane,
    Oras,
    /// With the registry that Archway is the mirror of, and the images' namespace there.
    Regctl(&'static str, &'static str),
}

fn copies_platforms(copier: Copier) {
    let mut setup = set_up(copier);
    let wants = wants(&setup.standin.images);
    check(&mut setup, &wants, |setup, route, want| {
        let target = setup.folder();
        let source = copier.source(setup, route, want);
        output(&mut copier.copy(setup, &source, Some(want.platform), target.path()));
        layout::recorded(target.path())
    });
}

fn copies_everything(copier: Copier) {
    let mut setup = set_up(copier);
    setup.with_upstream_running_then_stopped(|setup, upstream| {
        let wants = wants(&setup.standin.images);
        let whole = |want: &&Want| want.is_native() && want.by != By::ChildDigest;
        for want in wants.iter().filter(whole) {
            let target = setup.folder();
            let source = copier.source(setup, Route::Archway, want);
            output(&mut copier.copy(setup, &source, None, target.path()));
            let root = layout::root(target.path());
            assert_eq!(root, want.image.index.to_string(), "{want:?}, {upstream}");
            let blobs = layout::blobs(target.path());
            assert_eq!(blobs, want.image.digests(), "{want:?}, {upstream}");
        }
    });
}

/// All three take credentials for the way straight to the upstream from files.
fn set_up(copier: Copier) -> Setup {
    let setup = Setup::signed_in();
    if let Copier::Regctl(mirrored, _) = copier {
        let archway = setup.archway.address().to_string();
        let registry = setup.standin.registry.to_string();
        let hosts = json!({"hosts": {
            &registry: {"tls": "disabled", "user": "AWS", "pass": setup.standin.token},
            &archway: {"tls": "disabled", "pathPrefix": mirrored},
            mirrored: {"mirrors": [&archway]},
        }});
        setup.cell.write(REGCTL, &hosts.to_string());
    }
    setup
}

impl Copier {
    fn source(self, setup: &Setup, route: Route, want: &Want) -> String {
        want.reference(&match (self, route) {
            (Self::Regctl(host, namespace), Route::Archway) => format!("{host}/{namespace}"),
            _ => setup.by_path(route),
        })
    }

    /// Copies one platform, or everything, into an OCI layout.
    pub(crate) fn copy(
        self,
        setup: &Setup,
        source: &str,
        platform: Option<&str>,
        target: &Path,
    ) -> Command {
        let target = target.display();
        let mut command = setup.cell.command(tools::built(self.program()));
        match self {
            Self::Crane => command.args(["pull", "--insecure", "--format", "oci"]),
            Self::Oras => {
                command.args(["copy", "--no-tty", "--from-plain-http", "--to-oci-layout"])
            }
            Self::Regctl(..) => command
                .args(["image", "copy"])
                .env("REGCTL_CONFIG", setup.cell.path(REGCTL)),
        };
        if let Some(platform) = platform {
            command.args(["--platform", platform]);
        }
        command.arg(source);
        match self {
            Self::Crane => command.arg(target.to_string()),
            Self::Oras => command.arg(format!("{target}:copy")),
            Self::Regctl(..) => command.arg(format!("ocidir://{target}:copy")),
        };
        command
    }

    fn program(self) -> &'static str {
        match self {
            Self::Crane => "crane",
            Self::Oras => "oras",
            Self::Regctl(..) => "regctl",
        }
    }
}
