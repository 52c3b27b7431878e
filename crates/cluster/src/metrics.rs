//! What is counted of nodes. Labels are closed sets, whatever a cluster calls its machines.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{census::NodeCount, table::Found};

const SYSTEMS: [&str; 2] = ["linux", "windows"];
const ARCHITECTURES: [&str; 7] = [
    "amd64", "arm64", "arm", "ppc64le", "s390x", "riscv64", "386",
];
const OTHER: &str = "other";
const RESULTS: [&str; 4] = ["node", "no_platform", "several_nodes", "unknown"];

/// The metrics of the node list. Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub struct NodeMetrics {
    nodes: Family<NodeLabels, Gauge>,
    /// The labels that have had a value: one that is gone is zero from then on.
    labels: Arc<Mutex<HashMap<NodeLabels, i64>>>,
    watched: Gauge,
    silent: Gauge,
    hints: Family<HintLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabels {
    os: &'static str,
    arch: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HintLabels {
    result: &'static str,
}

impl NodeMetrics {
    /// Registers everything. The registry's prefix goes before the names.
    pub fn register(&self, registry: &mut Registry) {
        for result in RESULTS {
            self.hints.get_or_create_owned(&HintLabels { result });
        }
        let help = "Nodes of the cluster, by the operating system and processor it tells";
        registry.register("nodes", help, self.nodes.clone());
        let help = "Whether the list of nodes is complete and watched; 0 while the API is away";
        registry.register("node_watch_up", help, self.watched.clone());
        let help = "Nodes whose runtime has not asked this Archway once since they are listed";
        registry.register("nodes_silent", help, self.silent.clone());
        let help = "Look-ups of runtimes' addresses among the nodes";
        registry.register("node_hints", help, self.hints.clone());
    }

    pub(crate) fn watched(&self, is_watched: bool) {
        self.watched.set(i64::from(is_watched));
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watched.get() == 1
    }

    pub(crate) fn silent(&self, nodes: usize) {
        self.silent.set(i64::try_from(nodes).unwrap_or(i64::MAX));
    }

    pub(crate) fn looked_up(&self, found: &Found) {
        let result = match found {
            Found::Node(node) if node.platform().is_some() => "node",
            Found::Node(_) => "no_platform",
            Found::Several => "several_nodes",
            Found::Unknown => "unknown",
        };
        self.hints.get_or_create(&HintLabels { result }).inc();
    }

    pub(crate) fn nodes(&self, counts: &[NodeCount], all: usize) {
        let mut values = self.labels.lock();
        for value in values.values_mut() {
            *value = 0;
        }
        let mut add = |labels, nodes: usize| {
            *values.entry(labels).or_default() += i64::try_from(nodes).unwrap_or(i64::MAX);
        };
        let mut told = 0;
        for count in counts {
            told += count.nodes;
            let os = word(&SYSTEMS, &count.platform.os);
            let arch = word(&ARCHITECTURES, &count.platform.architecture);
            add(NodeLabels { os, arch }, count.nodes);
        }
        if all > told {
            let (os, arch) = (OTHER, OTHER);
            add(NodeLabels { os, arch }, all - told);
        }
        for (labels, value) in &*values {
            self.nodes.get_or_create(labels).set(*value);
        }
    }
}

fn word(known: &[&'static str], text: &str) -> &'static str {
    let mut known = known.iter().copied();
    known.find(|word| *word == text).unwrap_or(OTHER)
}
