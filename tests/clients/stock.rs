//! containerd as it is installed, with no configuration at all: what it takes for a kubelet's pulls
//! to come through Archway, and the proof that they do.
//!
//! The cell gets directories of its own in place of `/etc/containerd`, `/etc/docker` and `/opt`.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use integration_tests::proxy;

use crate::cell::{attempt, eventually, output};
use crate::containerd::Release;
use crate::images::TAG;
use crate::setup::{LIBRARY, Setup};
use crate::tools;

const SOCKET: &str = "/run/containerd/containerd.sock";

/// A containerd that found no file of configuration.
struct Stock {
    setup: Setup,
    release: Release,
}

impl Stock {
    fn start(release: Release) -> Self {
        let setup = Setup::new();
        for folder in ["etc/containerd", "etc/docker", "opt"] {
            let own = setup.cell.path(format!("stock/{folder}"));
            fs::create_dir_all(&own).expect("a new folder");
            let place = PathBuf::from("/").join(folder);
            output(
                setup
                    .cell
                    .command("mount")
                    .arg("--bind")
                    .arg(own)
                    .arg(place),
            );
        }
        let stock = Self { setup, release };
        stock.start_containerd();
        stock
    }

    fn start_containerd(&self) {
        let cell = &self.setup.cell;
        let daemon = self.release.program("containerd");
        let log = format!("containerd-{}", cell.path("pid").exists());
        let script = format!("echo $$ >{}; exec \"$0\"", cell.path("pid").display());
        let shell = ["sh", "-c", &script].map(OsStr::new);
        let command = [&shell[..], &[daemon.as_os_str()]].concat();
        cell.serve(&log, &command, &[], || {
            attempt(self.cri().arg("remove-all")).is_ok()
        });
    }

    fn restart_containerd(&self) {
        let cell = &self.setup.cell;
        let pid = fs::read_to_string(cell.path("pid")).expect("its own process id");
        output(cell.command("kill").arg(pid.trim()));
        eventually("containerd has ended", || {
            attempt(self.cri().arg("remove-all")).is_err()
        });
        self.start_containerd();
    }

    /// A path of the node's `/etc` as the test sees it.
    fn etc(&self, path: &str) -> PathBuf {
        self.setup.cell.path(format!("stock/etc/{path}"))
    }

    fn cri(&self) -> Command {
        let mut command = self.setup.cell.command(tools::built("cri-pull"));
        command.arg(SOCKET);
        command
    }

    /// `archway ARGUMENTS` on the node, with the URLs of the running one; its exit code and output.
    fn archway(&self, arguments: &[&str]) -> (i32, String) {
        let archway = &self.setup.archway;
        let mut command = self.setup.cell.command(proxy::binary());
        command.args(arguments);
        if arguments != ["client-config", "remove", "containerd"] {
            command.args(["--server", &archway.url(), "--admin", &archway.admin_url()]);
        }
        let done = command.output().expect("the binary runs");
        let text = [done.stdout, done.stderr].concat();
        let code = done.status.code().expect("an end of its own");
        (code, String::from_utf8_lossy(&text).into_owned())
    }

    /// Pulls an image of Docker Hub as a kubelet does; whether it came.
    fn pull(&self) -> bool {
        let reference = format!("docker.io/{}:{TAG}", self.repository());
        let pulled = attempt(self.cri().args(["pull", &reference])).is_ok();
        output(self.cri().arg("remove-all"));
        pulled
    }

    fn repository(&self) -> String {
        format!("{LIBRARY}/{}", self.setup.standin.images[0].name)
    }

    /// How many requests Archway has logged for it.
    fn requests(&self) -> usize {
        let (repository, all) = (self.repository(), self.setup.archway.log().requests());
        let of_it = all.iter();
        of_it
            .filter(|request| request["repository"] == repository.as_str())
            .count()
    }

    /// Every object of an image, and no other place is left: the registry's name leads nowhere.
    fn assert_pulls_through_archway(&self) {
        let before = self.requests();
        assert!(self.pull());
        // The tag, the index, a manifest, a config and at least one layer. A line is written after its
        // answer.
        eventually("all requests are logged", || self.requests() >= before + 5);
    }

    fn assert_passes_archway_by(&self) {
        let before = self.requests();
        assert!(!self.pull());
        assert_eq!(self.requests(), before);
    }

    fn assert_probe(&self, code: i32, said: &str) {
        let probe = ["doctor", "clients", "--probe", "--registries", "docker.io"];
        let (found, text) = self.archway(&probe);
        assert!(found == code && text.contains(said), "{found}: {text}");
    }
}

/// It reads no `hosts.toml` out of the box, and says nothing of it.
#[test]
fn a_stock_containerd_2_4_pulls_through_archway_once_it_was_applied_and_without_a_restart() {
    let stock = Stock::start(Release::V2);
    let server = stock.setup.archway.url();
    let hosts = format!("[host.\"{server}\"]\n");
    let file = stock.etc("containerd/certs.d/_default/hosts.toml");
    fs::create_dir_all(file.parent().expect("a folder")).expect("a new folder");
    fs::write(&file, hosts).expect("a new file");
    stock.assert_passes_archway_by();
    stock.assert_probe(1, "bypasses the mirror");
    fs::remove_dir_all(stock.etc("containerd/certs.d")).expect("it is there");

    let (code, text) = stock.archway(&["client-config", "apply", "containerd"]);
    assert_eq!(code, 0, "{text}");
    stock.assert_pulls_through_archway();
    stock.assert_probe(0, "docker.io: uses the mirror, with images for amd64");

    fs::remove_file(stock.etc("containerd/certs.d:/etc/docker/certs.d")).expect("the link");
    stock.assert_passes_archway_by();
    fs::remove_dir_all(stock.etc("containerd/certs.d:")).expect("the tree");
    assert_eq!(
        stock.archway(&["client-config", "apply", "containerd"]).0,
        0
    );
    stock.assert_pulls_through_archway();

    let (code, text) = stock.archway(&["client-config", "remove", "containerd"]);
    assert_eq!(code, 0, "{text}");
    stock.assert_passes_archway_by();
}

#[test]
fn a_stock_containerd_1_6_pulls_through_archway_after_the_two_lines_and_a_restart() {
    pulls_after_the_two_lines_and_a_restart(Release::V1_6, "version = 2\n");
}

/// The first whose pulls go by the transfer service, and the last without a folder by default.
#[test]
fn a_stock_containerd_2_1_pulls_through_archway_after_the_two_lines_and_a_restart() {
    pulls_after_the_two_lines_and_a_restart(Release::V2_1, "version = 3\n");
}

fn pulls_after_the_two_lines_and_a_restart(release: Release, version: &str) {
    let stock = Stock::start(release);
    let (code, text) = stock.archway(&["client-config", "apply", "containerd"]);
    assert_eq!(code, 1, "{text}");
    stock.assert_passes_archway_by();
    let lines = text.split("\n\n").last().expect("the lines");
    assert!(lines.contains(version), "{text}");
    fs::write(stock.etc("containerd/config.toml"), lines).expect("a new file");
    stock.restart_containerd();
    stock.assert_pulls_through_archway();
    stock.assert_probe(0, "docker.io: uses the mirror");
    assert_eq!(
        stock.archway(&["client-config", "apply", "containerd"]).0,
        0
    );
}

/// The platform of a hosts.toml decides over the node's own, and the runtime takes what it gets.
#[test]
fn a_wrong_platform_in_the_nodes_file_is_found_by_the_probe() {
    let stock = Stock::start(Release::V2);
    let apply = [
        "client-config",
        "apply",
        "containerd",
        "--platform",
        "linux/arm64",
    ];
    assert_eq!(stock.archway(&apply).0, 0);
    stock.assert_probe(1, "gets images for arm64, not amd64");
}
