//! Pulls with `ctr --hosts-dir`, in every form a `hosts.toml` can lead to Archway.

use std::collections::BTreeSet;

use manifest_model::Digest;

use super::{Form, Node, Release, collect, hosts_folder, lead};
use crate::cell::{Failed, attempt, output};
use crate::images::Image;
use crate::matrix::{By, Recorded, Route, Want, check, wants};
use crate::setup::{Setup, TEAM};
use crate::standin::ECR_HOST;

#[test]
fn ctr_1_6_pulls_with_ns_all_names_and_platforms_and_again_with_ecr_stopped() {
    pulls_all(Release::V1_6, Form::Namespace);
}

#[test]
fn ctr_1_6_pulls_with_a_path_before_v2_all_names_and_platforms_and_again_with_ecr_stopped() {
    pulls_all(Release::V1_6, Form::PathBeforeV2);
}

#[test]
fn ctr_1_6_pulls_with_override_path_all_names_and_platforms_and_again_with_ecr_stopped() {
    pulls_all(Release::V1_6, Form::OverridePath);
}

#[test]
fn ctr_2_pulls_with_ns_all_names_and_platforms_and_again_with_ecr_stopped() {
    pulls_all(Release::V2, Form::Namespace);
}

#[test]
fn ctr_2_pulls_with_a_path_before_v2_all_names_and_platforms_and_again_with_ecr_stopped() {
    pulls_all(Release::V2, Form::PathBeforeV2);
}

#[test]
fn ctr_2_pulls_with_override_path_all_names_and_platforms_and_again_with_ecr_stopped() {
    pulls_all(Release::V2, Form::OverridePath);
}

#[test]
fn ctr_1_6_with_a_platform_header_gets_that_platform_for_a_tag_and_the_index_for_its_digest() {
    the_header_decides_tags_only(Release::V1_6);
}

#[test]
fn ctr_2_with_a_platform_header_gets_that_platform_for_a_tag_and_the_index_for_its_digest() {
    the_header_decides_tags_only(Release::V2);
}

fn pulls_all(release: Release, form: Form) {
    let mut setup = Setup::new();
    let node = Node::start(&setup, release);
    let wants = wants(&setup.standin.images);
    check(&mut setup, &wants, |setup, route, want| {
        lead(setup, route, form);
        pull_wanted(&node, setup, want)
    });
}

fn the_header_decides_tags_only(release: Release) {
    let mut setup = Setup::new();
    let node = Node::start(&setup, release);
    setup.with_upstream_running_then_stopped(|setup, upstream| {
        for want in wants(&setup.standin.images) {
            lead(setup, Route::Archway, Form::Header(want.platform));
            let recorded = pull_wanted(&node, setup, &want);
            let expected = match want.by {
                By::IndexDigest => want.image.index,
                By::Tag | By::ChildDigest => want.child(),
            };
            assert_eq!(
                recorded,
                Recorded::of([expected.to_string()], want.architecture()),
                "{want:?}, {upstream}"
            );
        }
    });
}

fn pull_wanted(node: &Node, setup: &Setup, want: &Want) -> Recorded {
    let reference = want.reference(&format!("{ECR_HOST}/{TEAM}"));
    pull(node, setup, want.image, &reference, Some(want.platform)).expect("pulled")
}

/// Pulls one image; its architecture is the one whose layers are there.
pub(crate) fn pull(
    node: &Node,
    setup: &Setup,
    image: &Image,
    reference: &str,
    platform: Option<&str>,
) -> Result<Recorded, Failed> {
    let mut options = Vec::new();
    if let Some(platform) = platform {
        options.extend(["--platform", platform]);
    }
    pull_with(node, setup, image, reference, &options)
}

/// The same of an index whose other platforms may be absent: that of containerd 2 reads the manifests
/// of all of them unless it is told not to.
pub(crate) fn pull_one_platform(
    node: &Node,
    setup: &Setup,
    image: &Image,
    reference: &str,
    platform: &str,
) -> Result<Recorded, Failed> {
    let mut options = vec!["--platform", platform];
    if node.release == Release::V2 {
        options.push("--skip-metadata");
    }
    pull_with(node, setup, image, reference, &options)
}

fn pull_with(
    node: &Node,
    setup: &Setup,
    image: &Image,
    reference: &str,
    options: &[&str],
) -> Result<Recorded, Failed> {
    let mut pull = node.ctr(setup);
    pull.args(["images", "pull", "--hosts-dir"])
        .arg(hosts_folder(setup))
        .args(options);
    if let Err(failed) = attempt(pull.arg(reference)) {
        collect(node, setup, "default");
        return Err(failed);
    }
    let listed = output(node.ctr(setup).args(["images", "list"]));
    let digest = listed
        .lines()
        .find(|line| line.starts_with(reference))
        .and_then(|line| {
            line.split_whitespace()
                .find(|word| word.starts_with("sha256:"))
        })
        .unwrap_or_else(|| panic!("{reference} is not in {listed}"))
        .to_owned();
    let architecture = image.architectures_in(&content(node, setup)).join(" and ");
    wipe(node, setup);
    Ok(Recorded::of([digest], &architecture))
}

fn content(node: &Node, setup: &Setup) -> BTreeSet<Digest> {
    let listed = output(node.ctr(setup).args(["content", "list", "--quiet"]));
    listed
        .lines()
        .map(|line| line.parse().expect("a digest"))
        .collect()
}

fn wipe(node: &Node, setup: &Setup) {
    let names = output(node.ctr(setup).args(["images", "list", "--quiet"]));
    output(
        node.ctr(setup)
            .args(["images", "remove", "--sync"])
            .args(names.lines()),
    );
    assert_eq!(
        content(node, setup),
        BTreeSet::new(),
        "content is left after {names:?} were removed"
    );
}
