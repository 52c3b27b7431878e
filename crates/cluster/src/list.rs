//! The list of nodes as the rest of Archway has it: look-ups, counts, and news of them.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use manifest_model::Platform;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use tracing::warn;

use crate::{
    census::NodeCount,
    metrics::NodeMetrics,
    node::{Node, NodeFacts},
    table::{Changed, Found, MAX_NODES, NodeTable},
};

/// How often a fault of the list is told at most: an API may repeat it with every event.
const TELL_INTERVAL: Duration = Duration::from_mins(1);

/// The nodes of the cluster, where they are to be known. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct NodeList(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    table: RwLock<NodeTable>,
    metrics: NodeMetrics,
    silent_after: Duration,
    /// Told when an address is no longer what it was.
    moved: Notify,
    platforms: watch::Sender<Vec<Arc<Platform>>>,
    told: Mutex<Option<Instant>>,
}

/// A node as it is listed for people and programs.
#[derive(Clone, Debug)]
pub struct ListedNode {
    /// The node.
    pub node: Arc<Node>,
    /// Whether its runtime has never asked, for as long as makes it one to look at.
    pub is_silent: bool,
}

impl NodeList {
    /// A list that nobody asked for: always empty, and it costs nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// An empty list, in which a node is silent that never asks for `silent_after`.
    pub fn new(silent_after: Duration, metrics: NodeMetrics) -> Self {
        Self(Some(Arc::new(Shared {
            table: RwLock::default(),
            metrics,
            silent_after,
            moved: Notify::new(),
            platforms: watch::Sender::new(Vec::new()),
            told: Mutex::new(None),
        })))
    }

    /// Whether nodes are to be known.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The node whose runtime asks from this address, which is noted. Only one that has it alone.
    pub fn asks(&self, address: IpAddr) -> Option<Arc<Node>> {
        let shared = self.0.as_ref()?;
        let found = shared.table.read().at(address);
        shared.metrics.looked_up(&found);
        let Found::Node(node) = found else {
            return None;
        };
        node.note_pull(SystemTime::now());
        Some(node)
    }

    /// The platforms that there are nodes of.
    pub fn platforms(&self) -> Vec<Arc<Platform>> {
        let platforms = self
            .0
            .as_ref()
            .map(|shared| shared.platforms.borrow().clone());
        platforms.unwrap_or_default()
    }

    /// The platforms, for one who waits for others; never any where nodes are not to be known.
    pub fn platform_news(&self) -> Option<watch::Receiver<Vec<Arc<Platform>>>> {
        Some(self.0.as_ref()?.platforms.subscribe())
    }

    /// The nodes of each platform.
    pub fn counts(&self) -> Vec<NodeCount> {
        let counts = self.0.as_ref().map(|shared| shared.table.read().counts());
        counts.unwrap_or_default()
    }

    /// All nodes, in the order of their names.
    pub fn all(&self) -> Vec<ListedNode> {
        let Some(shared) = &self.0 else {
            return Vec::new();
        };
        let (nodes, now) = (shared.table.read().sorted(), SystemTime::now());
        let listed = |node: Arc<Node>| ListedNode {
            is_silent: node.is_silent(now, shared.silent_after),
            node,
        };
        nodes.into_iter().map(listed).collect()
    }

    /// Whether the list is complete and kept so.
    pub fn is_watched(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|shared| shared.metrics.is_watched())
    }

    /// Returns when an address may have become another node's, or nobody's. For one caller.
    pub async fn moved(&self) {
        match &self.0 {
            Some(shared) => shared.moved.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Brings the metrics up to date. To be called when they are read.
    pub fn observe(&self) {
        let Some(shared) = &self.0 else { return };
        let now = SystemTime::now();
        let table = shared.table.read();
        let silent = table
            .nodes()
            .filter(|node| node.is_silent(now, shared.silent_after));
        shared.metrics.silent(silent.count());
        shared.metrics.nodes(&table.counts(), table.len());
    }

    /// Puts another list in the place of this one.
    pub(crate) fn replace(&self, all: Vec<NodeFacts>) {
        let Some(shared) = &self.0 else { return };
        let before = shared.table.read();
        let table = NodeTable::of(all, &before, SystemTime::now());
        drop(before);
        *shared.table.write() = table;
        shared.settle(&Changed::Moved);
    }

    /// Takes in what the API says of one node.
    pub(crate) fn apply(&self, facts: NodeFacts) {
        let Some(shared) = &self.0 else { return };
        let changed = shared.table.write().apply(facts, SystemTime::now());
        shared.settle(&changed);
    }

    /// Forgets a node.
    pub(crate) fn remove(&self, name: &str) {
        let Some(shared) = &self.0 else { return };
        let changed = shared.table.write().remove(name);
        shared.settle(&changed);
    }

    pub(crate) fn watched(&self, is_watched: bool) {
        if let Some(shared) = &self.0 {
            shared.metrics.watched(is_watched);
        }
    }
}

impl Shared {
    /// Tells whoever waits for a change, and the log what is wrong with the list.
    fn settle(&self, changed: &Changed) {
        if *changed == Changed::Nothing {
            return;
        }
        if *changed == Changed::Moved {
            self.moved.notify_one();
        }
        if *changed == Changed::Refused && self.may_tell() {
            warn!(
                most = MAX_NODES,
                "the cluster has too many nodes; the new ones give no hints"
            );
        }
        let (platforms, twice) = {
            let table = self.table.read();
            (table.platforms(), table.claimed_twice())
        };
        self.platforms.send_if_modified(|known| {
            let is_news = *known != platforms;
            *known = platforms;
            is_news
        });
        if let Some((address, one, other)) = twice
            && self.may_tell()
        {
            warn!(%address, %one, %other, "two nodes have one address, which gives no hints");
        }
    }

    fn may_tell(&self) -> bool {
        let (mut told, now) = (self.told.lock(), Instant::now());
        let is_due = told.is_none_or(|last| now - last >= TELL_INTERVAL);
        if is_due {
            *told = Some(now);
        }
        is_due
    }
}
