//! `--startup-taint`: the taint of this node goes once its containerd is led to an Archway that answers.

use std::path::PathBuf;

use clap::Args;
use cluster::{StartupTaint, TaintWatch};

/// The taint of a new node.
#[derive(Debug, Args)]
pub(crate) struct TaintArgs {
    /// Key of a taint to take from this node once containerd is led to an Archway that answers
    #[arg(long, value_name = "KEY", requires = "watch", requires = "node_name")]
    startup_taint: Option<String>,
    /// This node's name in its cluster
    #[arg(long, value_name = "NAME", requires = "startup_taint")]
    node_name: Option<String>,
    /// Way to the cluster's API [default: the service account of this pod]
    #[arg(long, value_name = "FILE", requires = "startup_taint")]
    kubeconfig: Option<PathBuf>,
}

impl TaintArgs {
    /// What is to be done, if anything is.
    pub(super) fn taint(&self) -> Option<TaintWatch> {
        Some(TaintWatch::of(StartupTaint {
            key: self.startup_taint.clone()?,
            node: self.node_name.clone()?,
            kubeconfig: self.kubeconfig.clone(),
        }))
    }
}
