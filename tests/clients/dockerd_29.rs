//! dockerd 29, whose image store is containerd's, pulls an attested image: with each it asks what is
//! attached to the attestation, and fails the whole pull unless it is told, if only that there is
//! nothing.

use std::ffi::OsString;

use serde_json::json;

use crate::dockerd::Daemon;
use crate::matrix::{Route, check, wants};
use crate::setup::{LIBRARY, Setup};
use crate::tools;

#[test]
fn dockerd_29_pulls_an_attested_image_by_its_mirror_and_again_with_the_hub_stopped() {
    let mut setup = Setup::new();
    let daemon = start(&setup);
    let wants = wants(&setup.standin.attested);
    check(&mut setup, &wants, |setup, route, want| {
        let repositories = match route {
            Route::Upstream => format!("{}/{LIBRARY}", setup.standin.registry),
            Route::Archway => LIBRARY.to_owned(),
        };
        let pulled = daemon.pull_into_store(setup, &want.reference(&repositories), want.platform);
        pulled.expect("pulled")
    });
    asked_for_referrers(&setup);
}

#[test]
fn dockerd_29_pulls_an_attested_image_by_name_and_again_with_ecr_stopped() {
    let mut setup = Setup::new();
    let daemon = start(&setup);
    let wants = wants(&setup.standin.attested);
    check(&mut setup, &wants, |setup, route, want| {
        let reference = want.reference(&setup.by_path(route));
        let pulled = daemon.pull_into_store(setup, &reference, want.platform);
        pulled.expect("pulled")
    });
    asked_for_referrers(&setup);
}

/// It starts its own containerd, which it looks for in `PATH`; Debian's docker is a client older
/// than it takes by default.
pub(crate) fn start(setup: &Setup) -> Daemon {
    let mut path = OsString::from(tools::folder().join("bin"));
    path.push(":/usr/sbin:/usr/bin:/sbin:/bin");
    let environment = [
        ("PATH", path.as_os_str()),
        ("DOCKER_MIN_API_VERSION", "1.40".as_ref()),
    ];
    let config = json!({
        "registry-mirrors": [setup.archway.url()],
        "ip6tables": false,
    });
    let program = tools::built("dockerd");
    Daemon::start_program(setup, "docker-29", &program, &environment, config)
}

/// Otherwise it shows nothing.
fn asked_for_referrers(setup: &Setup) {
    let requests = setup.archway.log().requests();
    let paths = requests
        .iter()
        .filter_map(|request| request["path"].as_str());
    let referrers = paths.filter(|path| path.contains("/referrers/")).count();
    assert!(referrers > 0, "no client asked for referrers");
}
