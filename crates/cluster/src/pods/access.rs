//! The API's side of it: the list of nodes, and a pod made, looked at and deleted.

use std::{path::Path, time::Duration};

use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams},
    core::ObjectMeta,
};
use serde::Deserialize;

use super::{
    PodHost, PodNetwork, Tried,
    pod_object::{PodObject, pod},
};
use crate::{
    api::{self, FORBIDDEN, node_resource},
    error::ClusterError,
};

const NOT_FOUND: u16 = 404;
/// Nodes that the API gives at once.
const PAGE: u32 = 100;

/// A client of the API, and the namespace.
#[derive(Clone)]
pub(super) struct Access {
    client: Client,
    pods: Api<PodObject>,
}

#[derive(Clone, Debug, Deserialize)]
struct HostNode {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default)]
    status: HostStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HostStatus {
    node_info: Info,
    addresses: Vec<HostAddress>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Info {
    operating_system: String,
    architecture: String,
    container_runtime_version: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct HostAddress {
    r#type: String,
    address: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
}

node_resource!(HostNode);

impl Access {
    pub(super) async fn of(
        kubeconfig: Option<&Path>,
        namespace: Option<&str>,
    ) -> Result<Self, ClusterError> {
        let client = api::client(kubeconfig).await?;
        let pods = match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::default_namespaced(client.clone()),
        };
        Ok(Self { client, pods })
    }

    pub(super) async fn nodes(&self) -> Result<Vec<PodHost>, ClusterError> {
        let nodes = Api::<HostNode>::all(self.client.clone());
        let mut asked = ListParams::default().limit(PAGE);
        let mut found = Vec::new();
        loop {
            let page = nodes.list(&asked).await.map_err(|error| match &error {
                kube::Error::Api(status) if status.code == FORBIDDEN => ClusterError::Forbidden {
                    verbs: "list",
                    source: error.into(),
                },
                _ => ClusterError::Failed(error.into()),
            })?;
            found.extend(page.items.into_iter().filter_map(HostNode::host));
            match page.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => asked = asked.continue_token(&next),
                None => return Ok(found),
            }
        }
    }

    /// Makes a pod for these images and returns its name.
    pub(super) async fn create(
        &self,
        node: &str,
        images: &[String],
        network: PodNetwork,
        within: Duration,
    ) -> Result<String, ClusterError> {
        let pod = pod(node, images, network, within);
        let made = self.pods.create(&PostParams::default(), &pod).await;
        let made = made.map_err(judged)?;
        let name = made.metadata.name;
        name.ok_or_else(|| ClusterError::Failed("a pod was made and has no name".into()))
    }

    /// What became of the images so far. The last time, what is not known is told in the kubelet's words.
    pub(super) async fn look(
        &self,
        pod: &str,
        images: usize,
        is_last: bool,
    ) -> Result<Vec<Option<Tried>>, ClusterError> {
        match self.pods.get(pod).await {
            Ok(pod) => Ok(pod.tried(images, is_last)),
            Err(kube::Error::Api(status)) if status.code == NOT_FOUND => {
                let gone = Tried::Unknown("somebody has deleted its pod".to_owned());
                Ok(vec![Some(gone); images])
            }
            Err(error) => Err(judged(error)),
        }
    }

    pub(super) async fn delete(&self, pod: &str) -> Result<(), ClusterError> {
        let now = DeleteParams::default().grace_period(0);
        match self.pods.delete(pod, &now).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == NOT_FOUND => Ok(()),
            Err(error) => Err(judged(error)),
        }
    }
}

fn judged(error: kube::Error) -> ClusterError {
    match &error {
        kube::Error::Api(status) if status.code == FORBIDDEN => ClusterError::NoPods(error.into()),
        _ => ClusterError::Failed(error.into()),
    }
}

impl HostNode {
    fn host(self) -> Option<PodHost> {
        let info = self.status.node_info;
        let says_ready = |one: &Condition| one.r#type == "Ready" && one.status == "True";
        let internal = |one: &&HostAddress| one.r#type == "InternalIP";
        let address = self.status.addresses.iter().find(internal);
        Some(PodHost {
            name: self.metadata.name?,
            is_ready: info.operating_system == "linux"
                && self.status.conditions.iter().any(says_ready),
            architecture: info.architecture,
            runtime: info.container_runtime_version,
            address: address.and_then(|one| one.address.parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(json: &str) -> PodHost {
        let node: HostNode = serde_json::from_str(json).unwrap();
        node.host().unwrap()
    }

    #[test]
    fn only_a_linux_whose_kubelet_says_so_is_ready() {
        let json = r#"{"metadata": {"name": "one"}, "status": {
            "nodeInfo": {"operatingSystem": "linux", "architecture": "arm64", "containerRuntimeVersion": "containerd://2.4.2"},
            "addresses": [{"type": "Hostname", "address": "one"}, {"type": "InternalIP", "address": "10.0.0.1"}],
            "conditions": [{"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": "True"}]}}"#;
        let expected = PodHost {
            name: "one".to_owned(),
            architecture: "arm64".to_owned(),
            runtime: "containerd://2.4.2".to_owned(),
            address: Some([10, 0, 0, 1].into()),
            is_ready: true,
        };
        assert_eq!(host(json), expected);
        for (from, to) in [
            ("linux", "windows"),
            (
                r#""Ready", "status": "True""#,
                r#""Ready", "status": "Unknown""#,
            ),
        ] {
            assert!(!host(&json.replace(from, to)).is_ready, "{to}");
        }
        assert!(!host(r#"{"metadata": {"name": "new"}}"#).is_ready);
    }
}
