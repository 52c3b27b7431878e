//! The list of nodes in JSON, as the admin route `/_archway/v1/nodes` gives it. Field names are a contract
//! between versions.

use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

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
    /// When it came into the list.
    pub listed: Moment,
    /// When its runtime last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pull: Option<Moment>,
    /// Whether its runtime has never asked, for longer than `silent_after`.
    pub silent: bool,
}

/// A time, in whole seconds; a text as in RFC 3339, as all times in JSON are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub SystemTime);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_seconds(self.0))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text)
            .map(Self)
            .map_err(Error::custom)
    }
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
        listed: Moment(node.listed()),
        last_pull: node.last_pull().map(Moment),
        silent: listed.is_silent,
    }
}
