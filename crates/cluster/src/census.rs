//! How many nodes there are of each platform.

use std::{collections::BTreeMap, sync::Arc};

use manifest_model::Platform;

/// The most platforms that are told apart: a cluster has two. Nodes of further ones count as nodes
/// whose platform is not known.
const MAX_PLATFORMS: usize = 32;

/// The nodes of one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCount {
    /// Their platform.
    pub platform: Arc<Platform>,
    /// Their number; never zero.
    pub nodes: usize,
}

/// The platforms of all nodes; each is held once in memory.
#[derive(Debug, Default)]
pub(crate) struct Census {
    platforms: BTreeMap<Arc<Platform>, usize>,
}

impl Census {
    /// Counts a node of `platform`, and returns the platform as it is held.
    pub(crate) fn add(&mut self, platform: Option<Arc<Platform>>) -> Option<Arc<Platform>> {
        let platform = platform?;
        let known = self.platforms.get_key_value(&platform);
        let held = known.map(|(held, _)| Arc::clone(held));
        if held.is_none() && self.platforms.len() >= MAX_PLATFORMS {
            return None;
        }
        let held = held.unwrap_or(platform);
        *self.platforms.entry(Arc::clone(&held)).or_default() += 1;
        Some(held)
    }

    /// Forgets a node that was counted.
    pub(crate) fn remove(&mut self, platform: Option<&Arc<Platform>>) {
        let Some(platform) = platform else { return };
        if let Some(nodes) = self.platforms.get_mut(platform) {
            *nodes -= 1;
            if *nodes == 0 {
                self.platforms.remove(platform);
            }
        }
    }

    pub(crate) fn counts(&self) -> Vec<NodeCount> {
        let counts = self.platforms.iter().map(|(platform, nodes)| NodeCount {
            platform: Arc::clone(platform),
            nodes: *nodes,
        });
        counts.collect()
    }

    pub(crate) fn platforms(&self) -> Vec<Arc<Platform>> {
        self.platforms.keys().cloned().collect()
    }
}
