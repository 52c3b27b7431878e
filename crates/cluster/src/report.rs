//! The list of nodes in JSON, as the admin route `/_archway/v1/nodes` gives it. Field names are a contract
//! between versions.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::list::{ListedNode, NodeList};

/// The nodes of the cluster, as an Archway knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Whether they are to be known at all.
    pub on: bool,
    /// Whether the list is complete, and kept so at the moment.
    pub watched: bool,
    /// The nodes of each platform.
    pub platforms: Vec<ReportedPlatform>,
    /// Each node, by its name.
    pub nodes: Vec<ReportedNode>,
}

/// How many nodes have a platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedPlatform {
    /// The platform.
    pub platform: String,
    /// Their number.
    pub nodes: usize,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedNode {
    /// Its name.
    pub name: String,
    /// Its platform, where it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its own addresses.
    pub addresses: Vec<String>,
    /// When it came into the list, in seconds since 1970.
    pub listed: u64,
    /// When its runtime last asked, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pull: Option<u64>,
    /// Whether its runtime has never asked, for longer than `silent_after`.
    pub silent: bool,
}

impl NodeReport {
    /// The report of a list.
    pub fn of(list: &NodeList) -> Self {
        let platforms = list.counts().into_iter().map(|count| ReportedPlatform {
            platform: count.platform.to_string(),
            nodes: count.nodes,
        });
        Self {
            on: list.is_on(),
            watched: list.is_watched(),
            platforms: platforms.collect(),
            nodes: list.all().iter().map(reported).collect(),
        }
    }
}

fn reported(listed: &ListedNode) -> ReportedNode {
    let node = &listed.node;
    ReportedNode {
        name: node.name().to_string(),
        platform: node.platform().map(ToString::to_string),
        addresses: node.addresses().iter().map(ToString::to_string).collect(),
        listed: seconds(node.listed()),
        last_pull: node.last_pull().map(seconds),
        silent: listed.is_silent,
    }
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
