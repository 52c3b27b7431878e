//! `[platform.kubernetes]`: the nodes of the cluster that is served.

use std::{path::PathBuf, time::Duration};

use serde::Serialize;

use crate::{
    meaning::{Meaning, Wrong},
    show,
    table::Table,
    units::Timeout,
};

const DEFAULT_SILENT_AFTER: Timeout = Timeout(Duration::from_hours(24));

/// Whether the nodes of a cluster are to be known, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KubernetesConfig {
    /// Whether they are.
    pub nodes: bool,
    /// The way to its API; none means the service account of the pod Archway runs in.
    #[serde(serialize_with = "show::optional_path")]
    pub kubeconfig: Option<PathBuf>,
    /// Whether an address of a node's pods is the node's too.
    pub pod_cidrs: bool,
    /// Which nodes, as Kubernetes selects by labels; none means all.
    pub label_selector: Option<String>,
    /// The time after which a node that has never pulled counts as silent.
    #[serde(serialize_with = "show::duration")]
    pub silent_after: Duration,
}

/// A selector of labels. Only the API knows its whole grammar.
struct LabelSelector(String);

impl KubernetesConfig {
    pub(crate) fn read(table: &mut Table<'_>) -> Self {
        let selector = table.take("label_selector");
        Self {
            nodes: table.flag("nodes", false),
            kubeconfig: table.take("kubeconfig"),
            pod_cidrs: table.flag("pod_cidrs", false),
            label_selector: selector.map(|LabelSelector(text)| text),
            silent_after: table.or("silent_after", DEFAULT_SILENT_AFTER).0,
        }
    }
}

impl Meaning for LabelSelector {
    const WHAT: &'static str = "a selector of labels";
    const EXAMPLE: &'static str = "\"eks.amazonaws.com/nodegroup=builders\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            return Err(Wrong::new("this selects nothing").help("remove the key to take all nodes"));
        }
        Ok(Self(text.to_owned()))
    }
}
