//! ECR is gone for longer than a tag holds: a hundred cached images are pulled all the same, by tag
//! and by digest, and what is not cached is left to the client's next host at once.

use std::time::{Duration, Instant};

use integration_tests::client::Client;

use crate::cell::output;
use crate::containerd;
use crate::dockerd::Daemon;
use crate::many::{self, REPOSITORY};
use crate::podman;
use crate::setup::{Setup, runtime};
use crate::standin::ECR_HOST;

/// A minute and a bit. A tag holds for a second here, so every pull by tag is of a stale one.
const OUTAGE: Duration = Duration::from_secs(62);

#[test]
fn containerd_pulls_100_cached_images_by_tag_and_digest_while_ecr_is_gone_for_a_minute() {
    let mut setup = Setup::new();
    let node = containerd::Node::start(&setup, containerd::Release::V2);
    containerd::lead_here(&setup);
    outlives(&mut setup, |setup, suffix| {
        let reference = format!("{ECR_HOST}/{REPOSITORY}{suffix}");
        node.pull_and_remove(setup, &reference);
    });
}

#[test]
fn dockerd_pulls_100_cached_images_by_tag_and_digest_while_ecr_is_gone_for_a_minute() {
    let mut setup = Setup::new();
    let daemon = Daemon::start(&setup);
    outlives(&mut setup, |setup, suffix| {
        let reference = format!(
            "{}/{ECR_HOST}/{REPOSITORY}{suffix}",
            setup.archway.address()
        );
        output(daemon.docker(setup).args(["pull", "--quiet", &reference]));
        daemon.wipe(setup);
    });
}

#[test]
fn podman_pulls_100_cached_images_by_tag_and_digest_while_ecr_is_gone_for_a_minute() {
    let mut setup = Setup::new();
    podman::lead(
        &setup,
        &format!("{}/{ECR_HOST}/team", setup.archway.address()),
        podman::REGISTRIES,
    );
    outlives(&mut setup, |setup, suffix| {
        let store = setup.folder();
        let reference = format!("{ECR_HOST}/{REPOSITORY}{suffix}");
        let mut pull = podman::on_store("podman", setup, store.path());
        output(podman::through_mirror(&mut pull, setup).args(["pull", "--quiet", &reference]));
    });
}

#[test]
fn what_is_not_cached_is_left_to_containerds_next_host_within_a_second() {
    let mut setup = Setup::new();
    many::pushed(setup.standin);
    let node = containerd::Node::start(&setup, containerd::Release::V2);
    containerd::lead_here_then_upstream(&setup);
    setup.stop_upstream();
    for number in 0..10 {
        let reference = format!("{ECR_HOST}/{REPOSITORY}:v{number}");
        node.pull_and_remove(&setup, &reference);
    }
    let refused: Vec<_> = setup
        .archway
        .log()
        .requests()
        .into_iter()
        .filter(|request| {
            request["status"]
                .as_u64()
                .is_some_and(|status| status >= 500)
        })
        .collect();
    assert!(refused.len() >= 10, "{} refusals", refused.len());
    for request in &refused[1..] {
        let took = request["duration_ms"].as_f64().expect("a number");
        assert!(took < 1000.0, "{request}");
    }
}

/// Has everything cached, stops the upstream, and pulls each image by digest and by tag until the
/// outage is over.
fn outlives(setup: &mut Setup, pull: impl Fn(&Setup, &str)) {
    let images = many::pushed(setup.standin);
    cache(setup);
    setup.stop_upstream();
    let gone = Instant::now();
    for digest in images {
        pull(setup, &format!("@{digest}"));
    }
    loop {
        for number in 0..images.len() {
            pull(setup, &format!(":v{number}"));
        }
        if gone.elapsed() > OUTAGE {
            break;
        }
    }
    let requests = setup.archway.log().requests();
    assert!(
        requests.iter().any(|request| request["outcome"] == "stale"),
        "no tag was older than its time"
    );
    for request in requests {
        let status = request["status"].as_u64().expect("a status");
        assert!(status < 500 && status != 401, "{request}");
    }
}

fn cache(setup: &Setup) {
    let client = Client::new(&format!("{}/{ECR_HOST}", setup.archway.url()));
    runtime().block_on(async {
        for number in 0..many::NUMBER {
            client.pull(REPOSITORY, &format!("v{number}")).await;
        }
    });
}
