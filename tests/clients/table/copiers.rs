//! crane and oras, which know no mirrors: led and hinted by the name they are given. regctl, by its
//! `pathPrefix`.

use serde_json::json;

use super::{About, Client, Flag, Pull, Untold, check};
use crate::cell::{Failed, attempt};
use crate::copiers::{Copier, REGCTL};
use crate::layout;
use crate::matrix::{Recorded, Route};
use crate::setup::{Setup, TEAM};
use crate::standin::ECR_HOST;

pub(super) const CRANE: About = copier("crane 0.22");
pub(super) const ORAS: About = copier("oras 1.3");
pub(super) const REGCTL_0_11: About = copier("regctl 0.11");

#[test]
fn crane_ends_as_the_page_says_whatever_a_tag_is_answered_with() {
    check(&CRANE, &Named::of(Copier::Crane));
}

#[test]
fn oras_ends_as_the_page_says_whatever_a_tag_is_answered_with() {
    check(&ORAS, &Named::of(Copier::Oras));
}

#[test]
fn regctl_ends_as_the_page_says_whatever_a_tag_is_answered_with() {
    check(
        &REGCTL_0_11,
        &Regctl {
            setup: Setup::new(),
        },
    );
}

const fn copier(name: &'static str) -> About {
    About {
        name,
        flag: Flag::Platform,
        untold: Untold::TakesAll,
    }
}

struct Named {
    setup: Setup,
    copier: Copier,
}

struct Regctl {
    setup: Setup,
}

impl Named {
    fn of(copier: Copier) -> Self {
        let setup = Setup::signed_in();
        Self { setup, copier }
    }
}

impl Client for Named {
    fn pull(&self, pull: &Pull) -> Result<Recorded, Failed> {
        copy(self.copier, &self.setup, &name(&self.setup, pull), pull)
    }
}

impl Client for Regctl {
    fn pull(&self, pull: &Pull) -> Result<Recorded, Failed> {
        let setup = &self.setup;
        let (config, repositories) = match pull.shown("regctl", setup) {
            Some(config) => (config, format!("{ECR_HOST}/{TEAM}")),
            None => (credentials(setup), setup.by_path(Route::Upstream)),
        };
        setup.cell.write(REGCTL, &config);
        let source = pull.below(&repositories);
        copy(Copier::Regctl(ECR_HOST, TEAM), setup, &source, pull)
    }
}

/// What regctl is told of the upstream, for the way straight there.
fn credentials(setup: &Setup) -> String {
    let registry = setup.standin.registry.to_string();
    let upstream = json!({"tls": "disabled", "user": "AWS", "pass": setup.standin.token});
    json!({"hosts": {registry: upstream}}).to_string()
}

fn copy(copier: Copier, setup: &Setup, source: &str, pull: &Pull) -> Result<Recorded, Failed> {
    let target = setup.folder();
    attempt(&mut copier.copy(setup, source, pull.platform, target.path()))?;
    let blobs = layout::blobs(target.path());
    let architectures = pull.image.architectures_in(&blobs).join(" and ");
    let root = layout::root(target.path());
    Ok(Recorded::of([root], &architectures))
}

/// The image as a client is told of it that knows no mirror of its registry.
pub(super) fn name(setup: &Setup, pull: &Pull) -> String {
    let image = pull.below(TEAM);
    let Some(shown) = pull.shown("name", setup) else {
        return format!("{}/{image}", setup.standin.registry);
    };
    let (way, _) = shown.split_once("/team/").expect("an image of the team's");
    format!("{way}/{image}")
}
