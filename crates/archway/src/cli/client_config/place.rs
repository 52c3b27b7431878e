//! A node and the Archway that is meant, as the flags of several commands name them.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use doctor::{Cri, Own};
use node::{
    Settings,
    containerd::{
        CONFIG_TOML, Changes, Check, CheckError, ConfigOwner, ConfigTomlError, CriConfig, Node,
        NodeError, Root, Version,
    },
};
use tokio::{process::Command, time::timeout};
use url::Url;

use crate::cli::output::{CommandOutput, Exit, Failure};

/// Where containerd listens unless told otherwise.
const SOCKET: &str = "/run/containerd/containerd.sock";
/// Where Archway's admin listener is unless told otherwise, on the host of the other listener.
const ADMIN_PORT: u16 = 9464;

/// For `containerd --version`.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a node has its containerd.
#[derive(Debug, Args)]
pub(crate) struct Containerd {
    #[arg(
        help = "Where the node's file system is mounted",
        long,
        value_name = "DIR",
        default_value = "/"
    )]
    root: PathBuf,
    #[arg(
        help = "containerd's configuration, on the node",
        long = "containerd-config",
        value_name = "FILE",
        default_value = CONFIG_TOML
    )]
    config: String,
    #[arg(
        help = "containerd's socket, on the node",
        long,
        value_name = "SOCKET",
        default_value = SOCKET
    )]
    cri_socket: String,
    #[arg(
        help = "containerd's version, such as 2.4 [default: it is asked]",
        long = "containerd-version",
        value_name = "VERSION"
    )]
    version: Option<Version>,
}

/// Where Archway's admin listener is.
#[derive(Debug, Args)]
pub(crate) struct AdminListener {
    #[arg(
        help = "Its admin listener [default: port 9464 on the host of --server]",
        long,
        value_name = "URL"
    )]
    admin: Option<Url>,
}

/// How the Archway that is meant is known.
#[derive(Debug, Args)]
pub(crate) struct OwnArchway {
    #[command(flatten)]
    listener: AdminListener,
    /// Believe the mark on a ping alone, as for replicas behind one address
    #[arg(long, conflicts_with = "admin")]
    without_admin: bool,
}

/// Why the files of a node do not tell where its pulls go.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    #[error(transparent)]
    Config(#[from] ConfigTomlError),
    #[error(transparent)]
    Check(#[from] CheckError),
}

impl Containerd {
    pub(crate) fn root(&self) -> Root {
        Root::new(&self.root)
    }

    /// The path of the socket for this process.
    pub(crate) fn socket(&self) -> PathBuf {
        self.root().behind(&self.cri_socket)
    }

    /// The version: as told, as the running one says, or as the program on this machine says.
    async fn version(&self) -> Option<Version> {
        if self.version.is_some() {
            return self.version;
        }
        if let Ok(cri) = Cri::connect(&self.socket()).await
            && let Ok(version) = cri.version().await
        {
            return version.parse().ok();
        }
        if !self.root().is_own() {
            return None;
        }
        // containerd github.com/containerd/containerd v1.7.27 05044ec0a9a7...
        let asked = Command::new("containerd")
            .arg("--version")
            .kill_on_drop(true)
            .output();
        let output = timeout(PROGRAM_TIMEOUT, asked).await.ok()?.ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.split_whitespace().nth(2)?.parse().ok()
    }

    /// The node as it is now; an error if its files are not for us to change.
    pub(super) async fn node(&self) -> Result<Node, NodeError> {
        let version = self.version().await;
        Node::of(self.root(), &self.config, version)
    }

    /// Takes everything of Archway's away.
    pub(super) async fn clear(&self) -> Result<Changes, NodeError> {
        let version = self.version().await;
        Node::clear(&self.root(), &self.config, version)
    }

    /// Looks where the pulls of the node go.
    pub(crate) async fn check(&self, settings: &Settings) -> Result<Check, LookError> {
        let (root, version) = (self.root(), self.version().await);
        let owned = ConfigOwner::of(&root).and_then(|owner| owner.config_toml());
        let config = match owned {
            Some(owned) if self.config == CONFIG_TOML => owned,
            _ => &self.config,
        };
        let cri = CriConfig::read(&root, config, version)?;
        Ok(Check::of(&root, version, &cri, settings)?)
    }
}

impl AdminListener {
    pub(crate) fn of(&self, settings: &Settings) -> Url {
        let host = settings.mirror.host().name();
        self.admin.clone().unwrap_or_else(|| {
            let url = format!("http://{host}:{ADMIN_PORT}");
            url.parse().expect("a host is always good for a URL")
        })
    }
}

impl OwnArchway {
    pub(super) fn of(&self, settings: &Settings) -> Result<Own, Failure> {
        let admin = (!self.without_admin).then(|| self.listener.of(settings));
        Own::new(settings, admin.as_ref()).map_err(|error| Failure::unusable(&error))
    }
}

/// What was done, and what could not be.
pub(super) fn output(changes: &Changes) -> CommandOutput {
    let made = changes
        .made
        .iter()
        .map(|change| format!("done: {change}\n"));
    let mut out: String = made.collect();
    if out.is_empty() {
        out.push_str("nothing had to change\n");
    }
    let faults = changes.faults.iter();
    let faults = faults.map(|fault| format!("error: {fault}\n"));
    let mut err: String = faults.collect();
    err.push_str(changes.restart.as_deref().unwrap_or_default());
    let exit = match (changes.faults.is_empty(), &changes.restart) {
        (false, _) => Exit::Unusable,
        (true, Some(_)) => Exit::Negative,
        (true, None) => Exit::Success,
    };
    CommandOutput::new(out, exit).with_notes(err)
}
