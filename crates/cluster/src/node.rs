//! One node: what the API says of it, and when it was seen here.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ipnet::IpNet;
use manifest_model::Platform;

/// The most addresses of one node that count, and the most networks of its pods. Real ones have two.
const MAX_ADDRESSES: usize = 16;

/// What the API says of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name.
    pub name: Arc<str>,
    /// Its platform, normalised; `None` where it is not told, or too vague to choose an image by.
    pub platform: Option<Arc<Platform>>,
    /// Its own addresses within the cluster.
    pub addresses: Vec<IpAddr>,
    /// The networks of its pods, where they count.
    pub pod_networks: Vec<IpNet>,
}

/// A node of the list.
#[derive(Debug)]
pub struct Node {
    pub(crate) facts: NodeFacts,
    /// Seconds since 1970.
    listed: u64,
    /// The same; zero for never.
    last_pull: AtomicU64,
}

impl NodeFacts {
    /// The facts in the form that addresses of clients are compared with, within their bounds. What no
    /// machine of its own can have is left out.
    pub(crate) fn bounded(mut self) -> Self {
        self.addresses = self
            .addresses
            .into_iter()
            .map(|a| a.to_canonical())
            .collect();
        self.addresses.retain(|address| {
            !address.is_loopback() && !address.is_unspecified() && !address.is_multicast()
        });
        self.addresses.sort_unstable();
        self.addresses.dedup();
        self.addresses.truncate(MAX_ADDRESSES);
        // One that holds every address is no node's.
        self.pod_networks.retain(|network| network.prefix_len() > 0);
        self.pod_networks = self.pod_networks.iter().map(IpNet::trunc).collect();
        self.pod_networks.sort_unstable();
        self.pod_networks.dedup();
        self.pod_networks.truncate(MAX_ADDRESSES);
        self
    }
}

impl Node {
    pub(crate) fn new(facts: NodeFacts, now: SystemTime) -> Self {
        Self {
            facts,
            listed: seconds(now),
            last_pull: AtomicU64::new(0),
        }
    }

    /// The same node with other facts.
    pub(crate) fn with(&self, facts: NodeFacts) -> Self {
        Self {
            facts,
            listed: self.listed,
            last_pull: AtomicU64::new(self.last_pull.load(Ordering::Relaxed)),
        }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.facts.name
    }

    /// Its platform, if it is told.
    pub fn platform(&self) -> Option<&Platform> {
        self.facts.platform.as_deref()
    }

    /// Its own addresses.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.facts.addresses
    }

    /// When it came into the list of this Archway.
    pub fn listed(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.listed)
    }

    /// When its runtime asked last, as far as this Archway knows.
    pub fn last_pull(&self) -> Option<SystemTime> {
        match self.last_pull.load(Ordering::Relaxed) {
            0 => None,
            at => Some(UNIX_EPOCH + Duration::from_secs(at)),
        }
    }

    /// Whether it has been in the list for `after` and its runtime has never asked.
    pub(crate) fn is_silent(&self, now: SystemTime, after: Duration) -> bool {
        let known_for = seconds(now).saturating_sub(self.listed);
        self.last_pull.load(Ordering::Relaxed) == 0 && known_for >= after.as_secs()
    }

    pub(crate) fn note_pull(&self, now: SystemTime) {
        let now = seconds(now);
        // Most requests come in the second of the one before: the line of memory stays shared.
        if self.last_pull.load(Ordering::Relaxed) != now {
            self.last_pull.store(now, Ordering::Relaxed);
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
