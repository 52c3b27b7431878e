//! A node's containerd as it is now, to be led to Archway or away from it.

use protocol::error_chain::ErrorChain;

use super::{
    ConfigOwner, ConfigTomlError, CriConfig, Root, Version,
    disk::DiskError,
    plan::{Plan, PlanError},
};
use crate::{Settings, family::containerd::FOLDER};

/// A containerd whose files may be changed.
#[derive(Clone, Debug)]
pub struct Node {
    root: Root,
    version: Option<Version>,
    cri: CriConfig,
}

/// Why a node is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Another system writes the files.
    #[error("nothing was written: {0}")]
    Owned(ConfigOwner),
    /// `config.toml` does not tell.
    #[error(transparent)]
    Config(#[from] ConfigTomlError),
    /// A change failed. Those before it are made.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What was changed, or has to be.
#[derive(Debug)]
pub struct Changes {
    /// A line for each.
    pub made: Vec<String>,
    /// A line for each file that is left as it is, though it should change.
    pub faults: Vec<String>,
    /// What else containerd needs, if it does not read the files as it is.
    pub restart: Option<String>,
}

impl Node {
    /// The node below `root`, with its `config.toml` at this path. An error if its files are not
    /// for us to change.
    pub fn of(root: Root, config: &str, version: Option<Version>) -> Result<Self, NodeError> {
        if let Some(owner) = ConfigOwner::of(&root) {
            return Err(NodeError::Owned(owner));
        }
        let cri = CriConfig::read(&root, config, version)?;
        Ok(Self { root, version, cri })
    }

    /// Leads containerd to Archway.
    pub fn apply(&self, settings: &Settings) -> Result<Changes, NodeError> {
        let plan = Plan::apply(&self.root, &self.cri, settings);
        plan.carry_out(&self.root)?;
        Ok(Changes::of(&plan, self.restart()))
    }

    /// What [`Self::apply`] would change.
    pub fn pending(&self, settings: &Settings) -> Changes {
        let plan = Plan::apply(&self.root, &self.cri, settings);
        Changes::of(&plan, self.restart())
    }

    /// Takes everything of Archway's away, whoever owns the files. Where `config.toml` cannot be
    /// read, the folders of containerd's defaults are looked through, and the fault is told.
    pub fn clear(
        root: &Root,
        config: &str,
        version: Option<Version>,
    ) -> Result<Changes, NodeError> {
        let cri = CriConfig::read(root, config, version);
        let plan = Plan::remove(root, cri);
        plan.carry_out(root)?;
        Ok(Changes::of(&plan, None))
    }

    /// What containerd needs to read `hosts.toml` at all.
    fn restart(&self) -> Option<String> {
        let wrong = if self.cri.has_inline_mirrors {
            "has mirrors in config.toml itself, and then reads no hosts.toml; take them out"
        } else if self.cri.path.is_empty() {
            "reads no hosts.toml, because `config_path` is not set"
        } else {
            return None;
        };
        let version = self
            .version
            .map_or_else(String::new, |version| format!(" {version}"));
        let lines = self.cri.lines_for(FOLDER);
        Some(format!(
            "containerd{version} {wrong}. Add these lines to its config.toml and restart it:\n\n{lines}"
        ))
    }
}

impl Changes {
    fn of(plan: &Plan, restart: Option<String>) -> Self {
        let faults = plan.faults.iter();
        Self {
            made: plan.changes.iter().map(ToString::to_string).collect(),
            faults: faults
                .map(|fault: &PlanError| ErrorChain(fault).to_string())
                .collect(),
            restart,
        }
    }

    /// Whether all is, or was, as it should be.
    pub fn is_empty(&self) -> bool {
        self.made.is_empty() && self.faults.is_empty() && self.restart.is_none()
    }
}
