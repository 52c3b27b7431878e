//! The taint that keeps pods from a new node until its Archway has answered.

#[cfg(feature = "kubernetes")]
mod remove;
mod watch;

use std::path::PathBuf;

#[cfg(feature = "kubernetes")]
use self::remove::remove;
pub use self::watch::TaintWatch;
use crate::error::ClusterError;

/// A taint of one node, by its key.
#[derive(Clone, Debug)]
pub struct StartupTaint {
    /// Its key; the effect does not matter.
    pub key: String,
    /// The node.
    pub node: String,
    /// The way to the API; none means the service account of this pod.
    pub kubeconfig: Option<PathBuf>,
}

/// What has become of a taint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tainted {
    /// It was taken away.
    NoLonger,
    /// It was not there.
    Not,
    /// Somebody else changed the node meanwhile: to be tried again.
    Unknown,
}

impl StartupTaint {
    /// Takes the taint away, if the node has it. Nothing else of the node is changed, whoever else
    /// changes it at the same time.
    pub async fn remove(&self) -> Result<Tainted, ClusterError> {
        remove(self).await
    }
}

/// Without a client of the API nothing can be taken away.
#[cfg(not(feature = "kubernetes"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn remove(_taint: &StartupTaint) -> Result<Tainted, ClusterError> {
    Err(ClusterError::NotBuilt)
}
