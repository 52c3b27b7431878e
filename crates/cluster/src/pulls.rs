//! What the kubelets of a cluster say they have pulled: their events, which a cluster keeps for an hour.

#[cfg(feature = "kubernetes")]
mod events;

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

#[cfg(feature = "kubernetes")]
use self::events::pulled;
use crate::error::ClusterError;

/// An image that a kubelet had its runtime pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeletPull {
    /// The node.
    pub node: String,
    /// The image, as the pod names it.
    pub image: String,
    /// When it was there.
    pub ended: SystemTime,
    /// How long it took, waiting for its turn included.
    pub took: Duration,
}

impl KubeletPull {
    /// The pulls of the last hour or so, by the cluster of a kubeconfig, else of this pod.
    pub async fn all(kubeconfig: Option<&Path>) -> Result<Vec<Self>, ClusterError> {
        pulled(kubeconfig).await
    }

    /// When it began.
    pub fn began(&self) -> SystemTime {
        self.ended - self.took
    }
}

/// Without a client of the API nobody can be asked.
#[cfg(not(feature = "kubernetes"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn pulled(_kubeconfig: Option<&Path>) -> Result<Vec<KubeletPull>, ClusterError> {
    Err(ClusterError::NotBuilt)
}
