//! dockerd with its classic image store (Debian's 20.10), by `registry-mirrors` and by path.
//!
//! It records digests under the name it was given, and that name differs between Archway and the
//! upstream, so only the digests are compared.

use std::ffi::OsStr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::cell::{Failed, attempt, output};
use crate::images::TAG;
use crate::matrix::{Recorded, Route, check, foreign, native, wants};
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
        let platform = Some(want.platform);
        let pulled = daemon.pull(setup, &want.reference(&repositories), platform);
        pulled.expect("pulled")
    });
}

#[test]
fn dockerd_pulls_ecr_by_path_by_all_names_and_platforms_and_again_with_ecr_stopped() {
    let mut setup = Setup::new();
    let daemon = Daemon::start(&setup);
    let wants = wants(&setup.standin.images);
    check(&mut setup, &wants, |setup, route, want| {
        let reference = want.reference(&setup.by_path(route));
        let pulled = daemon.pull(setup, &reference, Some(want.platform));
        pulled.expect("pulled")
    });
}

#[test]
fn dockerd_gets_its_daemons_platform_where_tags_are_always_resolved_even_when_it_asks_for_another()
{
    let repository = format!("[upstream.\"docker.io\".repositories.\"{LIBRARY}/*\"]");
    let mut setup = Setup::with_tables(&format!("{repository}\nresolve = \"always\""));
    let daemon = Daemon::start(&setup);
    setup.with_upstream_running_then_stopped(|setup, upstream| {
        for image in &setup.standin.images {
            let reference = format!("{LIBRARY}/{}:{TAG}", image.name);
            for platform in [None, Some(native()), Some(foreign())] {
                let pulled = daemon.pull(setup, &reference, platform).expect("pulled");
                let own = native().rsplit('/').next().unwrap_or_default();
                let child = image.children[own].manifest.to_string();
                assert_eq!(
                    pulled,
                    Recorded::of([child], own),
                    "{reference} told {platform:?}, {upstream}"
                );
            }
        }
    });
}

/// A running dockerd whose only mirror is the setup's Archway.
pub(crate) struct Daemon {
    socket: PathBuf,
}

impl Daemon {
    pub(crate) fn start(setup: &Setup) -> Self {
        Self::start_with(setup, json!({ "registry-mirrors": [setup.archway.url()] }))
    }

    /// One with these settings, which say nothing of where it lives.
    pub(crate) fn start_with(setup: &Setup, config: Value) -> Self {
        Self::start_program(setup, "docker", &tools::system("dockerd"), &[], config)
    }

    /// The same of another dockerd, with this environment. What belongs to it has `name` in the cell, which
    /// may have one of each.
    pub(crate) fn start_program(
        setup: &Setup,
        name: &str,
        daemon: &Path,
        environment: &[(&str, &OsStr)],
        mut config: Value,
    ) -> Self {
        let own = |part: &str| setup.cell.path(format!("{name}{part}"));
        let socket = own(".sock");
        let place = json!({
            "data-root": own("-data"),
            "exec-root": own("-exec"),
            "pidfile": own(".pid"),
            "hosts": [format!("unix://{}", socket.display())],
            "bridge": "none",
            "iptables": false,
            "max-download-attempts": 1,
        });
        let config_keys = config.as_object_mut().expect("an object");
        config_keys.extend(place.as_object().expect("an object").clone());
        let config = setup
            .cell
            .write(&format!("{name}.json"), &config.to_string());
        setup.sign_in();
        let command = [
            daemon.as_os_str(),
            OsStr::new("--config-file"),
            config.as_os_str(),
        ];
        setup.cell.serve(name, &command, environment, || {
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

    /// Pulls one image and removes it again.
    pub(crate) fn pull(
        &self,
        setup: &Setup,
        reference: &str,
        platform: Option<&str>,
    ) -> Result<Recorded, Failed> {
        let mut pull = self.docker(setup);
        pull.args(["pull", "--quiet"]);
        if let Some(platform) = platform {
            pull.args(["--platform", platform]);
        }
        attempt(pull.arg(reference))?;
        let inspected = output(self.docker(setup).args(["image", "inspect", reference]));
        self.wipe(setup);
        let inspected: Value = serde_json::from_str(&inspected).expect("JSON of docker inspect");
        Ok(Recorded::inspected(&inspected[0]).without_names())
    }

    /// The same of a dockerd whose store is containerd's: an image there has many platforms, and
    /// its clients in Debian cannot say which one they ask about.
    pub(crate) fn pull_into_store(
        &self,
        setup: &Setup,
        reference: &str,
        platform: &str,
    ) -> Result<Recorded, Failed> {
        let mut pull = self.docker(setup);
        let pulled = attempt(pull.args(["pull", "--quiet", "--platform", platform, reference]));
        let inspected = pulled.and_then(|_| self.inspect_in_store(setup, reference, platform));
        self.wipe(setup);
        Ok(Recorded::inspected(&inspected?).without_names())
    }

    /// What it says of an image for one of its platforms.
    pub(crate) fn inspect_in_store(
        &self,
        setup: &Setup,
        reference: &str,
        platform: &str,
    ) -> Result<Value, Failed> {
        let (os, architecture) = platform.split_once('/').expect("two parts");
        let platform = json!({ "os": os, "architecture": architecture });
        let mut inspect = setup.cell.command(tools::system("curl"));
        inspect
            .args(["--silent", "--show-error", "--fail", "--get"])
            .arg("--unix-socket")
            .arg(&self.socket)
            .args(["--data-urlencode", &format!("platform={platform}")])
            .arg(format!("http://docker/images/{reference}/json"));
        let inspected = attempt(&mut inspect)?;
        Ok(serde_json::from_str(&inspected).expect("JSON"))
    }

    /// Removes all images.
    pub(crate) fn wipe(&self, setup: &Setup) {
        let list = || {
            output(
                self.docker(setup)
                    .args(["image", "list", "--all", "--quiet"]),
            )
        };
        let images = list();
        // It takes no empty list.
        if images.is_empty() {
            return;
        }
        let mut remove = self.docker(setup);
        output(
            remove
                .args(["image", "remove", "--force"])
                .args(images.lines()),
        );
        assert_eq!(list(), "", "images are left");
    }
}
