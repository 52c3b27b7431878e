//! Systems that write containerd's files themselves, so that what others write there does not last.

use std::fmt;

use super::Root;
use crate::family::Family;

/// A system that owns containerd's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigOwner {
    /// Its own way to a mirror.
    family: Family,
    /// What it does.
    deed: &'static str,
    /// The `config.toml` that it makes, unless that is containerd's own.
    config: Option<&'static str>,
    /// The file that it makes the others from, if it is one.
    settings: Option<&'static str>,
    /// The units, one of which starts its containerd.
    units: &'static [&'static str],
    /// What the names of variables begin with that are for containerd alone, before those for all.
    variables: &'static str,
}

const RANCHER: &str = "writes containerd's hosts.toml anew at each start, from its registries.yaml";

/// What k3s and RKE2 hand to their containerd, without what it begins with.
const RANCHER_VARIABLES: &str = "CONTAINERD_";

/// By what is there on a node of each. The socket is all that a pod sees of one.
const OWNERS: [(&str, ConfigOwner); 3] = [
    (
        "/var/lib/rancher/k3s/agent/etc/containerd",
        ConfigOwner {
            family: Family::K3s,
            deed: RANCHER,
            config: Some("/var/lib/rancher/k3s/agent/etc/containerd/config.toml"),
            settings: Some("/etc/rancher/k3s/registries.yaml"),
            units: &["k3s.service", "k3s-agent.service"],
            variables: RANCHER_VARIABLES,
        },
    ),
    (
        "/var/lib/rancher/rke2/agent/etc/containerd",
        ConfigOwner {
            family: Family::Rke2,
            deed: RANCHER,
            config: Some("/var/lib/rancher/rke2/agent/etc/containerd/config.toml"),
            settings: Some("/etc/rancher/rke2/registries.yaml"),
            units: &["rke2-server.service", "rke2-agent.service"],
            variables: RANCHER_VARIABLES,
        },
    ),
    (
        "/run/k3s/containerd/containerd.sock",
        ConfigOwner {
            family: Family::K3s,
            deed: "(or RKE2) writes containerd's hosts.toml anew at each start, from its registries.yaml",
            config: None,
            settings: None,
            units: &[],
            variables: RANCHER_VARIABLES,
        },
    ),
];

const BOTTLEROCKET: ConfigOwner = ConfigOwner {
    family: Family::Bottlerocket,
    deed: "swaps containerd's hosts.toml with those of its own settings",
    config: None,
    settings: None,
    units: CONTAINERD_UNITS,
    variables: "",
};

/// The units of a containerd of its own.
pub(crate) const CONTAINERD_UNITS: &[&str] = &["containerd.service"];

impl ConfigOwner {
    /// The owner of a node's files, if it is a system of its own.
    pub fn of(root: &Root) -> Option<Self> {
        let found = OWNERS.into_iter().find(|(sign, _)| root.has(sign));
        if let Some((_, owner)) = found {
            return Some(owner);
        }
        let release = root.read("/etc/os-release").ok().flatten()?;
        let is_bottlerocket = (release.lines())
            .any(|line| line.trim_end() == "ID=bottlerocket" || line == "ID=\"bottlerocket\"");
        is_bottlerocket.then_some(BOTTLEROCKET)
    }

    /// The `config.toml` that its containerd reads, unless that is where containerd looks anyway.
    pub fn config_toml(&self) -> Option<&'static str> {
        self.config
    }

    /// The units, one of which starts its containerd.
    pub(crate) fn units(&self) -> &'static [&'static str] {
        self.units
    }

    /// What the names of variables begin with that are for its containerd alone.
    pub(crate) fn variables(&self) -> &'static str {
        self.variables
    }

    /// The beginning of the command that says what to write into its settings.
    pub(crate) fn command(&self) -> String {
        format!("use `archway client-config {}", self.family)
    }

    /// The file that it makes the others from, if it is one.
    pub(crate) fn settings_file(&self) -> Option<&'static str> {
        self.settings
    }
}

impl fmt::Display for ConfigOwner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, deed, .. } = self;
        write!(formatter, "{family} {deed}; {}`", self.command())
    }
}
