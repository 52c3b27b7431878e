//! containerd in both releases: as a kubelet asks it, and by `ctr`. Led and hinted by `hosts.toml`.

use super::{About, Client, Flag, Pull, Untold, check};
use crate::cell::Failed;
use crate::containerd::{Node, Release, cri, ctr, lead_by, lead_upstream};
use crate::matrix::Recorded;
use crate::setup::{Setup, TEAM};
use crate::standin::ECR_HOST;

pub(super) const CRI_1_6: About = kubelet("containerd 1.6, CRI");
pub(super) const CRI_2: About = kubelet("containerd 2.4, CRI");
pub(super) const CTR_1_6: About = by_hand("containerd 1.6, `ctr`");
pub(super) const CTR_2: About = by_hand("containerd 2.4, `ctr`");

#[test]
fn containerd_1_6_through_cri_ends_as_the_page_says_whatever_a_tag_is_answered_with() {
    check(&CRI_1_6, &Kubelet::of(Release::V1_6));
}

#[test]
fn containerd_2_through_cri_ends_as_the_page_says_whatever_a_tag_is_answered_with() {
    check(&CRI_2, &Kubelet::of(Release::V2));
}

#[test]
fn ctr_1_6_ends_as_the_page_says_whatever_a_tag_is_answered_with() {
    check(&CTR_1_6, &Ctr::of(Release::V1_6));
}

#[test]
fn ctr_2_ends_as_the_page_says_whatever_a_tag_is_answered_with() {
    check(&CTR_2, &Ctr::of(Release::V2));
}

struct Kubelet {
    setup: Setup,
    node: Node,
}

struct Ctr {
    setup: Setup,
    node: Node,
}

const fn kubelet(name: &'static str) -> About {
    About {
        name,
        flag: Flag::Missing,
        untold: Untold::TakesItsOwn,
    }
}

const fn by_hand(name: &'static str) -> About {
    About {
        name,
        flag: Flag::Platform,
        untold: Untold::TakesItsOwn,
    }
}

impl Kubelet {
    fn of(release: Release) -> Self {
        let setup = Setup::new();
        let node = cri::start(&setup, release);
        Self { setup, node }
    }
}

impl Ctr {
    fn of(release: Release) -> Self {
        let setup = Setup::new();
        let node = Node::start(&setup, release);
        Self { setup, node }
    }
}

impl Client for Kubelet {
    fn pull(&self, pull: &Pull) -> Result<Recorded, Failed> {
        lead(&self.setup, pull);
        cri::pull(&self.node, &self.setup, &reference(pull))
    }
}

impl Client for Ctr {
    fn pull(&self, pull: &Pull) -> Result<Recorded, Failed> {
        lead(&self.setup, pull);
        let reference = reference(pull);
        ctr::pull(
            &self.node,
            &self.setup,
            pull.image,
            &reference,
            pull.platform,
        )
    }
}

fn lead(setup: &Setup, pull: &Pull) {
    match pull.shown("hosts.toml", setup) {
        Some(shown) => lead_by(setup, &shown),
        None => lead_upstream(setup),
    }
}

fn reference(pull: &Pull) -> String {
    pull.below(&format!("{ECR_HOST}/{TEAM}"))
}
