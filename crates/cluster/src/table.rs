//! The nodes by name, by address and by the networks of their pods.
//!
//! An address that two nodes claim is nobody's: a hint by it would be a guess.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::SystemTime,
};

use ipnet::IpNet;

use crate::{
    census::{Census, NodeCount},
    node::{Node, NodeFacts},
};

/// The most nodes that are held: twenty times what Kubernetes supports in one cluster.
pub(crate) const MAX_NODES: usize = 100_000;

/// The node behind an address.
#[derive(Debug)]
pub(crate) enum Found {
    Node(Arc<Node>),
    /// Several nodes claim it.
    Several,
    Unknown,
}

/// What a change of the list was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Nothing that counts here: most events tell that a node is alive.
    Nothing,
    Added,
    /// An address may have another platform now, or none: what was answered by it holds no more.
    Moved,
    /// It is not taken: there are too many.
    Refused,
}

/// All nodes.
#[derive(Debug, Default)]
pub(crate) struct NodeTable {
    nodes: HashMap<Arc<str>, Arc<Node>>,
    addresses: HashMap<IpAddr, Vec<Arc<Node>>>,
    networks: HashMap<IpNet, Vec<Arc<Node>>>,
    /// The lengths of those networks' prefixes, the longest first, and how many have each.
    lengths: BTreeMap<Reverse<u8>, usize>,
    census: Census,
}

impl NodeTable {
    /// The table of these nodes; of those that `before` has too, it knows what that knew.
    pub(crate) fn of(
        all: impl IntoIterator<Item = NodeFacts>,
        before: &Self,
        now: SystemTime,
    ) -> Self {
        let mut table = Self::default();
        for facts in all {
            let facts = facts.bounded();
            let node = match before.nodes.get(&facts.name) {
                Some(known) => known.with(facts),
                None => Node::new(facts, now),
            };
            // A list that names one twice is no list, but no reason to hold two.
            let name = Arc::clone(node.name());
            table.remove(&name);
            if table.nodes.len() < MAX_NODES {
                table.insert(node);
            }
        }
        table
    }

    /// Takes in what the API says of one node.
    pub(crate) fn apply(&mut self, facts: NodeFacts, now: SystemTime) -> Changed {
        let facts = facts.bounded();
        let Some(known) = self.nodes.get(&facts.name).cloned() else {
            if self.nodes.len() >= MAX_NODES {
                return Changed::Refused;
            }
            let is_shared = facts
                .addresses
                .iter()
                .any(|one| self.addresses.contains_key(one));
            self.insert(Node::new(facts, now));
            // Its address was another's until now.
            return if is_shared {
                Changed::Moved
            } else {
                Changed::Added
            };
        };
        if known.facts == facts {
            return Changed::Nothing;
        }
        self.remove(&facts.name);
        self.insert(known.with(facts));
        Changed::Moved
    }

    /// Forgets a node.
    pub(crate) fn remove(&mut self, name: &str) -> Changed {
        let Some(node) = self.nodes.remove(name) else {
            return Changed::Nothing;
        };
        self.census.remove(node.facts.platform.as_ref());
        for address in &node.facts.addresses {
            release(&mut self.addresses, address, name);
        }
        for network in &node.facts.pod_networks {
            if release(&mut self.networks, network, name) {
                let length = Reverse(network.prefix_len());
                if let Some(count) = self.lengths.get_mut(&length) {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&length);
                    }
                }
            }
        }
        Changed::Moved
    }

    fn insert(&mut self, mut node: Node) {
        node.facts.platform = self.census.add(node.facts.platform.take());
        let node = Arc::new(node);
        for address in &node.facts.addresses {
            self.addresses
                .entry(*address)
                .or_default()
                .push(Arc::clone(&node));
        }
        for network in &node.facts.pod_networks {
            let owners = self.networks.entry(*network).or_default();
            if owners.is_empty() {
                *self
                    .lengths
                    .entry(Reverse(network.prefix_len()))
                    .or_default() += 1;
            }
            owners.push(Arc::clone(&node));
        }
        self.nodes.insert(Arc::clone(node.name()), node);
    }

    /// The node whose address this is, else the one whose pods have it.
    pub(crate) fn at(&self, address: IpAddr) -> Found {
        let address = address.to_canonical();
        if let Some(owners) = self.addresses.get(&address) {
            return only(owners);
        }
        let mut networks = self.lengths.keys().filter_map(|Reverse(length)| {
            let network = IpNet::new(address, *length).ok()?.trunc();
            self.networks.get(&network)
        });
        networks
            .next()
            .map_or(Found::Unknown, |owners| only(owners))
    }

    /// An address that several nodes claim, and two of their names.
    pub(crate) fn claimed_twice(&self) -> Option<(IpAddr, Arc<str>, Arc<str>)> {
        let mut all = self.addresses.iter();
        let (address, owners) = all.find(|(_, owners)| owners.len() > 1)?;
        Some((
            *address,
            Arc::clone(owners[0].name()),
            Arc::clone(owners[1].name()),
        ))
    }

    /// The nodes in the order of their names.
    pub(crate) fn sorted(&self) -> Vec<Arc<Node>> {
        let mut nodes: Vec<_> = self.nodes.values().cloned().collect();
        nodes.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        nodes
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn counts(&self) -> Vec<NodeCount> {
        self.census.counts()
    }

    pub(crate) fn platforms(&self) -> Vec<Arc<manifest_model::Platform>> {
        self.census.platforms()
    }
}

fn only(owners: &[Arc<Node>]) -> Found {
    match owners {
        [] => Found::Unknown,
        [node] => Found::Node(Arc::clone(node)),
        _ => Found::Several,
    }
}

/// Takes a node from the owners of `key`; true where it was the last.
fn release<K: std::hash::Hash + Eq>(
    all: &mut HashMap<K, Vec<Arc<Node>>>,
    key: &K,
    name: &str,
) -> bool {
    let Some(owners) = all.get_mut(key) else {
        return false;
    };
    owners.retain(|owner| **owner.name() != *name);
    let is_last = owners.is_empty();
    if is_last {
        all.remove(key);
    }
    is_last
}

#[cfg(test)]
mod tests;
