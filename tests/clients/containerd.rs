//! containerd, in the releases that differ: Debian's 1.6, 2.1 and the current 2.x.

pub(crate) mod cri;
pub(crate) mod ctr;

use std::ffi::OsStr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use crate::cell::output;
use crate::matrix::Route;
use crate::setup::Setup;
use crate::standin::ECR_HOST;
use crate::tools;

/// Which containerd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    /// Debian's.
    V1_6,
    /// The one before 2.2, whose own settings name a folder of `hosts.toml` files. Only the daemon.
    V2_1,
    /// The current one, which `tests/tools/install.sh` builds, as it does 2.1.
    V2,
}

/// How `hosts.toml` leads to Archway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `[host."http://ARCHWAY"]`: containerd appends `?ns=HOST`.
    Namespace,
    /// `[host."http://ARCHWAY/HOST"]`: containerd puts the path before `/v2`.
    PathBeforeV2,
    /// `[host."http://ARCHWAY/v2/HOST"]` with `override_path`: the path stands as it is.
    OverridePath,
    /// As [`Form::Namespace`], with a header that names this platform.
    Header(&'static str),
}

/// A running containerd.
pub(crate) struct Node {
    release: Release,
    socket: PathBuf,
}

impl Node {
    /// Starts containerd in the setup's cell.
    pub(crate) fn start(setup: &Setup, release: Release) -> Self {
        let name = release.name();
        // A cell may have one of each release.
        let socket = setup.cell.path(format!("{name}.sock"));
        let config = config(setup, release, &socket);
        let config = setup.cell.write(&format!("{name}.toml"), &config);
        let daemon = release.program("containerd");
        let command = [
            daemon.as_os_str(),
            OsStr::new("--config"),
            config.as_os_str(),
        ];
        setup
            .cell
            .serve(name, &command, &[], || UnixStream::connect(&socket).is_ok());
        Self { release, socket }
    }

    /// Pulls one image for this machine's platform, and removes it again.
    pub(crate) fn pull_and_remove(&self, setup: &Setup, reference: &str) {
        let hosts = hosts_folder(setup);
        output(
            self.ctr(setup)
                .args(["images", "pull", "--hosts-dir"])
                .arg(hosts)
                .arg(reference),
        );
        output(
            self.ctr(setup)
                .args(["images", "remove", "--sync", reference]),
        );
    }

    /// `ctr` of the same release, connected to this node.
    pub(crate) fn ctr(&self, setup: &Setup) -> Command {
        let mut command = setup.cell.command(self.release.program("ctr"));
        command.arg("--address").arg(&self.socket);
        command
    }
}

impl Release {
    /// Of what belongs to its daemon in a cell.
    fn name(self) -> &'static str {
        match self {
            Self::V1_6 => "containerd-1.6",
            Self::V2_1 => "containerd-2.1",
            Self::V2 => "containerd-2",
        }
    }

    pub(crate) fn program(self, name: &str) -> PathBuf {
        match self {
            Self::V1_6 => tools::system(name),
            Self::V2_1 => tools::built(&format!("{name}-2.1")),
            Self::V2 => tools::built(name),
        }
    }
}

/// Removes what a pull that failed has left: the image's name, and all that no name needs.
pub(crate) fn collect(node: &Node, setup: &Setup, namespace: &str) {
    let images = || {
        let mut images = node.ctr(setup);
        images.args(["--namespace", namespace, "images"]);
        images
    };
    let names = output(images().args(["list", "--quiet"]));
    if !names.is_empty() {
        output(images().arg("remove").args(names.lines()));
    }
    // The end of a lease is what one can wait for.
    for lease in [
        &["create", "--id", "collect"][..],
        &["delete", "--sync", "collect"],
    ] {
        output(
            node.ctr(setup)
                .args(["--namespace", namespace, "leases"])
                .args(lease),
        );
    }
}

fn config(setup: &Setup, release: Release, socket: &std::path::Path) -> String {
    let (version, registry) = match release {
        Release::V1_6 => (2, "io.containerd.grpc.v1.cri"),
        Release::V2_1 | Release::V2 => (3, "io.containerd.cri.v1.images"),
    };
    let name = release.name();
    format!(
        r#"
version = {version}
root = "{root}"
state = "{state}"
[grpc]
address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{opt}"
[plugins."{registry}".registry]
config_path = "{hosts}"
"#,
        root = setup.cell.path(format!("{name}/root")).display(),
        state = setup.cell.path(format!("{name}/state")).display(),
        socket = socket.display(),
        opt = setup.cell.path(format!("{name}/opt")).display(),
        hosts = hosts_folder(setup).display(),
    )
}

/// Where containerd looks for `HOST/hosts.toml`, anew at every pull.
fn hosts_folder(setup: &Setup) -> PathBuf {
    setup.cell.path("certs.d")
}

/// Leads pulls of ECR's name one way. Nothing else is left to fall back on: `server` is a closed
/// port.
fn lead(setup: &Setup, route: Route, form: Form) {
    let archway = setup.archway.url();
    let (host, setting) = match (route, form) {
        (Route::Upstream, _) => (format!("http://{}", setup.standin.registry), {
            header(
                "Authorization",
                &format!("Basic {}", setup.standin.basic_credentials()),
            )
        }),
        (Route::Archway, Form::Namespace) => (archway, String::new()),
        (Route::Archway, Form::PathBeforeV2) => (format!("{archway}/{ECR_HOST}"), String::new()),
        (Route::Archway, Form::OverridePath) => (
            format!("{archway}/v2/{ECR_HOST}"),
            "override_path = true".to_owned(),
        ),
        (Route::Archway, Form::Header(platform)) => (archway, header("Archway-Platform", platform)),
    };
    let hosts = format!(
        "server = \"http://127.0.0.1:1\"\n[host.\"{host}\"]\ncapabilities = [\"pull\", \"resolve\"]\n{setting}\n"
    );
    lead_by(setup, &hosts);
}

/// Leads pulls of ECR's name by this `hosts.toml`.
pub(crate) fn lead_by(setup: &Setup, hosts: &str) {
    setup
        .cell
        .write(&format!("certs.d/{ECR_HOST}/hosts.toml"), hosts);
}

/// Leads pulls of ECR's name straight to the upstream, with its credentials.
pub(crate) fn lead_upstream(setup: &Setup) {
    lead(setup, Route::Upstream, Form::Namespace);
}

/// Leads pulls of ECR's name to Archway.
pub(crate) fn lead_here(setup: &Setup) {
    lead(setup, Route::Archway, Form::Namespace);
}

/// The same, and on to the upstream itself where Archway does not serve.
pub(crate) fn lead_here_then_upstream(setup: &Setup) {
    let credentials = format!("Basic {}", setup.standin.basic_credentials());
    let hosts = format!(
        "server = \"http://127.0.0.1:1\"\n[host.\"{}\"]\ncapabilities = [\"pull\", \"resolve\"]\n\
         [host.\"http://{}\"]\ncapabilities = [\"pull\", \"resolve\"]\n{}\n",
        setup.archway.url(),
        setup.standin.registry,
        header("Authorization", &credentials),
    );
    lead_by(setup, &hosts);
}

fn header(name: &str, value: &str) -> String {
    format!("header = {{ {name} = [\"{value}\"] }}")
}
