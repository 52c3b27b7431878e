//! The change of the node at its API.

use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::ObjectMeta,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{StartupTaint, Tainted};
use crate::{
    api::{self, FORBIDDEN, node_resource},
    error::ClusterError,
};

const CONFLICT: u16 = 409;

/// A node, as far as its taints go. They are kept as they are written.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct TaintedNode {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Taints,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Taints {
    taints: Option<Vec<Value>>,
}

node_resource!(TaintedNode);

pub(super) async fn remove(taint: &StartupTaint) -> Result<Tainted, ClusterError> {
    let client: Client = api::client(taint.kubeconfig.as_deref()).await?;
    let nodes = Api::<TaintedNode>::all(client);
    let node = nodes.get(&taint.node).await;
    let node = node.map_err(|error| judged(taint, error))?;
    let all = node.spec.taints.unwrap_or_default();
    let is_ours = |one: &Value| one["key"].as_str() == Some(&*taint.key);
    if !all.iter().any(is_ours) {
        return Ok(Tainted::Not);
    }
    let others: Vec<Value> = all.into_iter().filter(|one| !is_ours(one)).collect();
    // With the version that was read it is refused where somebody else was quicker.
    let change = json!({
        "metadata": { "resourceVersion": node.metadata.resource_version },
        "spec": { "taints": others },
    });
    let (how, patch) = (PatchParams::default(), Patch::Merge(change));
    match nodes.patch(&taint.node, &how, &patch).await {
        Ok(_) => Ok(Tainted::NoLonger),
        Err(kube::Error::Api(status)) if status.code == CONFLICT => Ok(Tainted::Unknown),
        Err(error) => Err(judged(taint, error)),
    }
}

fn judged(taint: &StartupTaint, error: kube::Error) -> ClusterError {
    match &error {
        kube::Error::Api(status) if status.code == FORBIDDEN => ClusterError::Forbidden {
            verbs: "get and patch",
            source: error.into(),
        },
        _ => ClusterError::Taint {
            node: taint.node.clone(),
            source: error.into(),
        },
    }
}
