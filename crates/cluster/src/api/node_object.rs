//! A `Node` of the API, of which only what is used is read. Whatever else it holds, or lacks, is no
//! mistake: one odd node must not hide the others.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use kube::core::ObjectMeta;
use manifest_model::Platform;
use serde::Deserialize;

use super::resource::node_resource;
use crate::node::NodeFacts;

/// The longest name that Kubernetes gives.
const MAX_NAME: usize = 253;

const OS_LABEL: &str = "kubernetes.io/os";
const ARCHITECTURE_LABEL: &str = "kubernetes.io/arch";
const WINDOWS_LABEL: &str = "node.kubernetes.io/windows-build";

/// The addresses that count: a host name or an external address is not what pulls come from.
const INTERNAL: &str = "InternalIP";

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NodeObject {
    #[serde(default)]
    metadata: ObjectMeta,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    addresses: Option<Vec<Address>>,
    node_info: Option<NodeInfo>,
}

#[derive(Clone, Debug, Deserialize)]
struct Address {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    address: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeInfo {
    operating_system: String,
    architecture: String,
}

node_resource!(NodeObject);

impl NodeObject {
    pub(crate) fn name(&self) -> Option<&str> {
        let name = self.metadata.name.as_deref()?;
        (!name.is_empty() && name.len() <= MAX_NAME).then_some(name)
    }

    /// What it says that counts; with `pods`, the networks of its pods too. `None` without a name.
    pub(crate) fn facts(&self, pods: bool) -> Option<NodeFacts> {
        let addresses = self
            .status
            .iter()
            .flat_map(|status| status.addresses.iter().flatten());
        let internal = addresses.filter(|address| address.r#type == INTERNAL);
        Some(NodeFacts {
            name: self.name()?.into(),
            platform: self.platform().map(Arc::new),
            addresses: internal
                .filter_map(|one| one.address.parse::<IpAddr>().ok())
                .collect(),
            pod_networks: if pods {
                self.pod_networks()
            } else {
                Vec::new()
            },
        })
    }

    fn pod_networks(&self) -> Vec<IpNet> {
        let Some(spec) = &self.spec else {
            return Vec::new();
        };
        let all = spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr);
        all.filter_map(|network| network.parse().ok()).collect()
    }

    /// The platform of its kubelet, else of its labels. A Windows needs its build and an arm its
    /// variant, which is not told: a guess that is too high would be an image that does not run.
    fn platform(&self) -> Option<Platform> {
        let info = self
            .status
            .as_ref()
            .and_then(|status| status.node_info.as_ref());
        let told = |text: Option<&str>, label: &str| {
            let text = text.filter(|text| !text.is_empty()).map(str::to_owned);
            text.or_else(|| self.label(label))
        };
        let os = told(info.map(|info| &*info.operating_system), OS_LABEL)?;
        let architecture = told(info.map(|info| &*info.architecture), ARCHITECTURE_LABEL)?;
        let os = match &*os {
            "windows" => format!("windows({})", self.label(WINDOWS_LABEL)?),
            _ => os,
        };
        let platform: Platform = format!("{os}/{architecture}").parse().ok()?;
        let is_vague = platform.architecture == "arm" || !platform.has_known_architecture();
        (!is_vague).then_some(platform)
    }

    fn label(&self, name: &str) -> Option<String> {
        self.metadata.labels.as_ref()?.get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(json: &str, pods: bool) -> Option<NodeFacts> {
        let node: NodeObject = serde_json::from_str(json).unwrap();
        node.facts(pods)
    }

    fn platform(json: &str) -> Option<String> {
        let platform = facts(json, false)?.platform?;
        Some(platform.to_string())
    }

    #[test]
    fn a_node_is_its_internal_addresses_its_platform_and_its_pods_if_asked_for() {
        let json = r#"{
            "kind": "Node", "apiVersion": "v1",
            "metadata": {"name": "one", "labels": {"kubernetes.io/arch": "amd64"}, "managedFields": []},
            "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:1::/64"]},
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": "10.0.0.1"},
                    {"type": "InternalIP", "address": "fd00::1"},
                    {"type": "InternalIP", "address": "no address"},
                    {"type": "ExternalIP", "address": "192.0.2.1"},
                    {"type": "Hostname", "address": "one"}
                ],
                "nodeInfo": {"operatingSystem": "linux", "architecture": "arm64", "kernelVersion": "6.1"},
                "images": [{"names": ["a"], "sizeBytes": 1}]
            }
        }"#;
        let node = facts(json, false).unwrap();
        let addresses: Vec<_> = node.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(
            (&*node.name, addresses.join(" ")),
            ("one", "10.0.0.1 fd00::1".to_owned())
        );
        assert_eq!(node.platform.unwrap().to_string(), "linux/arm64");
        assert!(node.pod_networks.is_empty());
        assert_eq!(facts(json, true).unwrap().bounded().pod_networks.len(), 2);
    }

    #[test]
    fn labels_tell_the_platform_where_the_kubelet_has_not() {
        let labels = r#""labels": {"kubernetes.io/os": "linux", "kubernetes.io/arch": "s390x"}"#;
        let json = format!(
            "{{\"metadata\": {{\"name\": \"a\", {labels}}}, \"spec\": {{}}, \"status\": {{}}}}"
        );
        assert_eq!(platform(&json).as_deref(), Some("linux/s390x"));
    }

    #[test]
    fn a_platform_that_is_vague_or_none_is_not_told() {
        let with = |os: &str, arch: &str, label: &str| {
            platform(&format!(
                r#"{{"metadata": {{"name": "a", "labels": {{{label}}}}},
                    "status": {{"nodeInfo": {{"operatingSystem": "{os}", "architecture": "{arch}"}}}}}}"#
            ))
        };
        let build = r#""node.kubernetes.io/windows-build": "10.0.20348""#;
        assert_eq!(
            with("windows", "amd64", build).as_deref(),
            Some("windows(10.0.20348)/amd64")
        );
        for (os, arch) in [
            ("windows", "amd64"),
            ("linux", "arm"),
            ("linux", "quantum"),
            ("", ""),
            ("a b", "amd64"),
        ] {
            assert_eq!(with(os, arch, ""), None, "{os}/{arch}");
        }
    }

    #[test]
    fn what_is_missing_or_null_is_no_mistake_but_a_node_has_a_name() {
        for json in [
            r#"{"metadata": {"name": "a"}}"#,
            r#"{"metadata": {"name": "a"}, "spec": null, "status": {"addresses": null, "nodeInfo": null}}"#,
        ] {
            assert_eq!(facts(json, true).unwrap().addresses, [] as [IpAddr; 0]);
        }
        let long = format!(r#"{{"metadata": {{"name": "{}"}}}}"#, "x".repeat(254));
        for json in ["{}", r#"{"metadata": {"name": ""}}"#, &long] {
            assert!(facts(json, true).is_none());
        }
    }
}
