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
}

const RANCHER: &str = "writes containerd's hosts.toml anew at each start, from its registries.yaml";

const OWNERS: [(&str, ConfigOwner); 2] = [
    (
        "/var/lib/rancher/k3s/agent/etc/containerd",
        ConfigOwner {
            family: Family::K3s,
            deed: RANCHER,
            config: Some("/var/lib/rancher/k3s/agent/etc/containerd/config.toml"),
            settings: Some("/etc/rancher/k3s/registries.yaml"),
        },
    ),
    (
        "/var/lib/rancher/rke2/agent/etc/containerd",
        ConfigOwner {
            family: Family::Rke2,
            deed: RANCHER,
            config: Some("/var/lib/rancher/rke2/agent/etc/containerd/config.toml"),
            settings: Some("/etc/rancher/rke2/registries.yaml"),
        },
    ),
];

const BOTTLEROCKET: ConfigOwner = ConfigOwner {
    family: Family::Bottlerocket,
    deed: "swaps containerd's hosts.toml with those of its own settings",
    config: None,
    settings: None,
};

impl ConfigOwner {
    /// The owner of a node's files, if it is a system of its own.
    pub fn of(root: &Root) -> Option<Self> {
        let found = OWNERS
            .into_iter()
            .find(|(folder, _)| root.at(folder).is_dir());
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

    /// The file that it makes the others from, if it is one.
    pub(crate) fn settings_file(&self) -> Option<&'static str> {
        self.settings
    }
}

impl fmt::Display for ConfigOwner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, deed, .. } = self;
        write!(
            formatter,
            "{family} {deed}; use `archway client-config {family}`"
        )
    }
}
