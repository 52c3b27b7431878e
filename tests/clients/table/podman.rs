//! podman, buildah and skopeo, which share a library: led and hinted by the mirror's location in
//! `registries.conf`.

use super::{About, Client, Flag, Pull, Untold, architecture, check};
use crate::cell::{Failed, attempt};
use crate::layout;
use crate::matrix::{Recorded, Route};
use crate::podman;
use crate::setup::{Setup, TEAM};
use crate::skopeo;
use crate::standin::ECR_HOST;

pub(super) const PODMAN: About = puller("podman 4.3");
pub(super) const BUILDAH: About = puller("buildah 1.28");
pub(super) const SKOPEO: About = About {
    name: "skopeo 1.9",
    flag: Flag::Architecture,
    untold: Untold::TakesItsOwn,
};

/// Where skopeo looks for what the others are told the place of.
const SKOPEO_REGISTRIES: &str = "home/.config/containers/registries.conf";

#[test]
fn podman_ends_as_the_page_says_whatever_a_tag_is_answered_with() {
    check(&PODMAN, &Puller::of("podman"));
}

#[test]
fn buildah_ends_as_the_page_says_whatever_a_tag_is_answered_with() {
    check(&BUILDAH, &Puller::of("buildah"));
}

#[test]
fn skopeo_ends_as_the_page_says_whatever_a_tag_is_answered_with() {
    check(
        &SKOPEO,
        &Skopeo {
            setup: Setup::signed_in(),
        },
    );
}

const fn puller(name: &'static str) -> About {
    About {
        name,
        flag: Flag::Platform,
        untold: Untold::TakesItsOwn,
    }
}

/// podman or buildah.
struct Puller {
    setup: Setup,
    program: &'static str,
}

struct Skopeo {
    setup: Setup,
}

impl Puller {
    fn of(program: &'static str) -> Self {
        Self {
            setup: Setup::signed_in(),
            program,
        }
    }
}

impl Client for Puller {
    fn pull(&self, pull: &Pull) -> Result<Recorded, Failed> {
        lead(&self.setup, pull, podman::REGISTRIES);
        let options = match pull.platform {
            Some(platform) => vec!["--platform", platform],
            None => Vec::new(),
        };
        podman::pull(self.program, &self.setup, &reference(pull), &options)
    }
}

impl Client for Skopeo {
    fn pull(&self, pull: &Pull) -> Result<Recorded, Failed> {
        let setup = &self.setup;
        lead(setup, pull, SKOPEO_REGISTRIES);
        let target = setup.folder();
        let mut copy = skopeo::skopeo(setup);
        if let Some(platform) = pull.platform {
            copy.args(["--override-arch", architecture(platform)]);
        }
        copy.args(["copy", "--quiet", "--src-authfile"])
            .arg(setup.cell.path("docker/config.json"))
            .arg(format!("docker://{}", reference(pull)))
            .arg(format!("dir:{}", target.path().display()));
        attempt(&mut copy)?;
        Ok(layout::dir_recorded(target.path()))
    }
}

fn lead(setup: &Setup, pull: &Pull, file: &str) {
    match pull.shown("registries.conf", setup) {
        Some(shown) => {
            setup.cell.write(file, &shown);
        }
        None => podman::lead(setup, &setup.by_path(Route::Upstream), file),
    }
}

fn reference(pull: &Pull) -> String {
    pull.below(&format!("{ECR_HOST}/{TEAM}"))
}
