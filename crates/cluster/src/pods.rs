//! Pods of one image each registry, put on a node past the scheduler, to see whether its runtime gets them.
//!
//! Their names are ours and random; each goes again when its trial has ended. What a killed command
//! leaves ends by itself and has the label [`LABEL`].

#[cfg(feature = "kubernetes")]
mod access;
#[cfg(feature = "kubernetes")]
mod pod_object;

use std::{
    net::IpAddr,
    path::Path,
    time::{Duration, Instant},
};

use tokio::time::sleep;

#[cfg(not(feature = "kubernetes"))]
use self::NoAccess as Access;
#[cfg(feature = "kubernetes")]
use self::access::Access;
use crate::error::ClusterError;

/// A label of each pod: its key and its value.
pub const LABEL: (&str, &str) = ("app.kubernetes.io/name", "archway-probe");

/// Between two looks at a pod.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The nodes of a cluster, and one namespace for pods.
#[derive(Clone)]
pub struct Pods {
    access: Access,
}

/// A node to put a pod on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodHost {
    /// Its name.
    pub name: String,
    /// As its kubelet calls it, such as `arm64`.
    pub architecture: String,
    /// Its runtime, such as `containerd://2.4.2`.
    pub runtime: String,
    /// Its first internal address.
    pub address: Option<IpAddr>,
    /// Whether it runs Linux and its kubelet says that it is ready.
    pub is_ready: bool,
}

/// The network of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodNetwork {
    /// One of its own.
    Own,
    /// The node's, which needs no network plugin, and a namespace that allows it.
    Host,
}

/// What became of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Its program ran and ended well.
    Ran {
        /// Since the pod was made.
        took: Duration,
    },
    /// It came, and its program is none for this node.
    WrongArchitecture,
    /// It did not come: the kubelet's words.
    NotPulled(String),
    /// Neither is known: the kubelet's words.
    Unknown(String),
}

impl Pods {
    /// The cluster of a kubeconfig, else of this pod; its namespace, or this one.
    pub async fn of(
        kubeconfig: Option<&Path>,
        namespace: Option<&str>,
    ) -> Result<Self, ClusterError> {
        let access = Access::of(kubeconfig, namespace).await?;
        Ok(Self { access })
    }

    /// All nodes, by their names.
    pub async fn nodes(&self) -> Result<Vec<PodHost>, ClusterError> {
        let mut nodes = self.access.nodes().await?;
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(nodes)
    }

    /// Has a node pull these images and run them, and says of each what became of it, at the latest
    /// after `within`. The pod goes again. An error is about the API, not about an image.
    pub async fn try_on(
        &self,
        node: &str,
        images: &[String],
        network: PodNetwork,
        within: Duration,
    ) -> Result<Vec<Tried>, ClusterError> {
        let began = Instant::now();
        let pod = self.access.create(node, images, network, within).await?;
        let mut tried: Vec<Option<Tried>> = vec![None; images.len()];
        let looked = loop {
            let is_last = began.elapsed() >= within;
            match self.access.look(&pod, images.len(), is_last).await {
                Ok(seen) => {
                    for (known, seen) in tried.iter_mut().zip(seen) {
                        *known = known.take().or_else(|| seen.map(|seen| seen.after(began)));
                    }
                }
                Err(error) => break Err(error),
            }
            if is_last || tried.iter().all(Option::is_some) {
                break Ok(());
            }
            sleep(LOOK_AGAIN).await;
        };
        self.access.delete(&pod).await?;
        looked?;
        let unseen = || Tried::Unknown("its kubelet has said nothing of the pod".to_owned());
        Ok(tried
            .into_iter()
            .map(|one| one.unwrap_or_else(unseen))
            .collect())
    }
}

impl Tried {
    /// With the time that it took, as seen from here.
    fn after(self, began: Instant) -> Self {
        match self {
            Self::Ran { .. } => Self::Ran {
                took: began.elapsed(),
            },
            other => other,
        }
    }
}

/// Without a client of the API there are no pods.
#[cfg(not(feature = "kubernetes"))]
#[derive(Clone)]
enum NoAccess {}

#[cfg(not(feature = "kubernetes"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
impl NoAccess {
    async fn of(_: Option<&Path>, _: Option<&str>) -> Result<Self, ClusterError> {
        Err(ClusterError::NotBuilt)
    }

    async fn nodes(&self) -> Result<Vec<PodHost>, ClusterError> {
        match *self {}
    }

    async fn create(
        &self,
        _: &str,
        _: &[String],
        _: PodNetwork,
        _: Duration,
    ) -> Result<String, ClusterError> {
        match *self {}
    }

    async fn look(&self, _: &str, _: usize, _: bool) -> Result<Vec<Option<Tried>>, ClusterError> {
        match *self {}
    }

    async fn delete(&self, _: &str) -> Result<(), ClusterError> {
        match *self {}
    }
}
