//! Pulls as a kubelet asks for them: through the CRI plugin, which always takes the node's own
//! platform.

use std::process::Command;

use serde_json::Value;

use super::{Form, Node, Release, collect, lead};
use crate::cell::{Failed, attempt, eventually, output};
use crate::matrix::{By, Recorded, Route, Want, check, wants};
use crate::setup::{Setup, TEAM};
use crate::standin::ECR_HOST;
use crate::tools;

#[test]
fn containerd_1_6_through_cri_pulls_natively_and_foreign_by_child_digest_and_again_with_ecr_stopped()
 {
    pulls_all(Release::V1_6);
}

#[test]
fn containerd_2_through_cri_pulls_natively_and_foreign_by_child_digest_and_again_with_ecr_stopped()
{
    pulls_all(Release::V2);
}

#[test]
fn containerd_1_6_through_cri_gets_the_platform_of_its_header_for_a_tag() {
    the_header_decides(Release::V1_6);
}

#[test]
fn containerd_2_through_cri_gets_the_platform_of_its_header_for_a_tag() {
    the_header_decides(Release::V2);
}

fn pulls_all(release: Release) {
    let mut setup = Setup::new();
    let node = start(&setup, release);
    let mut wants = wants(&setup.standin.images);
    // A kubelet cannot ask for another platform, only name one's manifest.
    wants.retain(|want| want.is_native() || want.by == By::ChildDigest);
    check(&mut setup, &wants, |setup, route, want| {
        lead(setup, route, Form::Namespace);
        pull_wanted(&node, setup, want)
    });
}

/// A node whose header names the other platform gets that one, and records its manifest.
fn the_header_decides(release: Release) {
    let mut setup = Setup::new();
    let node = start(&setup, release);
    setup.with_upstream_running_then_stopped(|setup, upstream| {
        let wants = wants(&setup.standin.images);
        for want in wants.iter().filter(|want| want.by == By::Tag) {
            lead(setup, Route::Archway, Form::Header(want.platform));
            let recorded = pull_wanted(&node, setup, want);
            let child = format!("{ECR_HOST}/{TEAM}/{}@{}", want.image.name, want.child());
            assert_eq!(
                recorded,
                Recorded::of([child], want.architecture()),
                "{want:?}, {upstream}"
            );
        }
    });
}

/// A containerd whose CRI plugin answers, which is a moment after its socket is there.
pub(crate) fn start(setup: &Setup, release: Release) -> Node {
    let node = Node::start(setup, release);
    eventually("the CRI plugin answers", || {
        wipe(&node, setup)
            .output()
            .is_ok_and(|done| done.status.success())
    });
    node
}

fn pull_wanted(node: &Node, setup: &Setup, want: &Want) -> Recorded {
    pull(node, setup, &want.reference(&format!("{ECR_HOST}/{TEAM}"))).expect("pulled")
}

/// Pulls one image for the node's own platform.
pub(crate) fn pull(node: &Node, setup: &Setup, reference: &str) -> Result<Recorded, Failed> {
    let pulled = match attempt(cri(node, setup).args(["pull", reference])) {
        Ok(pulled) => pulled,
        Err(failed) => {
            collect(node, setup, "k8s.io");
            return Err(failed);
        }
    };
    let pulled: Value = serde_json::from_str(&pulled).expect("JSON of cri-pull");
    let digests = pulled["repoDigests"].as_array().expect("a list");
    let recorded = Recorded {
        digests: digests
            .iter()
            .map(|digest| digest.as_str().expect("text").to_owned())
            .collect(),
        architecture: pulled["architecture"].as_str().expect("text").to_owned(),
    };
    output(&mut wipe(node, setup));
    let left =
        output(
            node.ctr(setup)
                .args(["--namespace", "k8s.io", "content", "list", "--quiet"]),
        );
    assert_eq!(left, "", "content is left after all images were removed");
    Ok(recorded)
}

fn cri(node: &Node, setup: &Setup) -> Command {
    let mut command = setup.cell.command(tools::built("cri-pull"));
    command.arg(&node.socket);
    command
}

fn wipe(node: &Node, setup: &Setup) -> Command {
    let mut command = cri(node, setup);
    command.arg("remove-all");
    command
}
