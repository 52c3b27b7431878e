//! dockerd with its classic image store (Debian's 20.10), by `registry-mirrors` and by path.
//!
//! It records digests under the name it was given, and that name differs between Archway and the upstream, so
//! only the digests are compared.

use std::ffi::OsStr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::cell::output;
use crate::matrix::{Recorded, Route, Want, check, wants};
use crate::setup::{LIBRARY, Setup};
use crate::tools;

#[test]
fn dockerd_with_a_registry_mirror_pulls_docker_io_by_all_names_and_platforms_and_again_with_the_hub_stopped()
 {
    let mut setup = Setup::new();
    let daemon = Daemon::start(&setup);
    let wants = wants(&setup.standin.images);
    check(&mut setup, &wants, |setup, route, want| {
        let repositories = match route {
            Route::Upstream => format!("{}/{LIBRARY}", setup.standin.registry),
            Route::Archway => LIBRARY.to_owned(),
        };
        daemon.pull(setup, &want.reference(&repositories), want)
    });
}

#[test]
fn dockerd_pulls_ecr_by_path_by_all_names_and_platforms_and_again_with_ecr_stopped() {
    let mut setup = Setup::new();
    let daemon = Daemon::start(&setup);
    let wants = wants(&setup.standin.images);
    check(&mut setup, &wants, |setup, route, want| {
        daemon.pull(setup, &want.reference(&setup.by_path(route)), want)
    });
}

/// A running dockerd whose only mirror is the setup's Archway.
pub(crate) struct Daemon {
    socket: PathBuf,
}

impl Daemon {
    pub(crate) fn start(setup: &Setup) -> Self {
        let socket = setup.cell.path("docker.sock");
        let config = json!({
            "registry-mirrors": [setup.archway.url()],
            "data-root": setup.cell.path("docker-data"),
            "exec-root": setup.cell.path("docker-exec"),
            "pidfile": setup.cell.path("docker.pid"),
            "hosts": [format!("unix://{}", socket.display())],
            "bridge": "none",
            "iptables": false,
            "max-download-attempts": 1,
        });
        let config = setup.cell.write("daemon.json", &config.to_string());
        // Credentials for the way straight to the upstream; Archway is asked without any.
        let credentials = setup.standin.docker_config();
        setup.cell.write("docker/config.json", &credentials);
        let daemon = tools::system("dockerd");
        let command = [
            daemon.as_os_str(),
            OsStr::new("--config-file"),
            config.as_os_str(),
        ];
        setup.cell.serve("dockerd", &command, &[], || {
            UnixStream::connect(&socket).is_ok()
        });
        Self { socket }
    }

    pub(crate) fn docker(&self, setup: &Setup) -> Command {
        let mut command = setup.cell.command(tools::system("docker"));
        command
            .arg("--host")
            .arg(format!("unix://{}", self.socket.display()));
        command
    }

    fn pull(&self, setup: &Setup, reference: &str, want: &Want) -> Recorded {
        output(self.docker(setup).args([
            "pull",
            "--quiet",
            "--platform",
            want.platform,
            reference,
        ]));
        let inspected = output(self.docker(setup).args(["image", "inspect", reference]));
        self.wipe(setup);
        let inspected: Value = serde_json::from_str(&inspected).expect("JSON of docker inspect");
        Recorded::inspected(&inspected[0]).without_names()
    }

    /// Removes all images.
    pub(crate) fn wipe(&self, setup: &Setup) {
        let list = || {
            output(
                self.docker(setup)
                    .args(["image", "list", "--all", "--quiet"]),
            )
        };
        output(
            self.docker(setup)
                .args(["image", "remove", "--force"])
                .args(list().lines()),
        );
        assert_eq!(list(), "", "images are left");
    }
}
