//! Why the nodes of a cluster cannot be had.

use std::path::PathBuf;

/// Why the nodes of a cluster cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no service account here, and no kubeconfig is named.
    #[error(
        "this is no pod with a service account's token; set platform.kubernetes.kubeconfig, or automountServiceAccountToken"
    )]
    Outside(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig {} cannot be used", path.display())]
    Kubeconfig {
        /// Its place.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No client can be made of it.
    #[error("there is no way to the Kubernetes API")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The API does not let us.
    #[error(
        "the Kubernetes API refuses: the service account needs a ClusterRole with the verbs {verbs} for nodes"
    )]
    Forbidden {
        /// What it needs.
        verbs: &'static str,
        /// What the API says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API does not show its events.
    #[error(
        "the Kubernetes API refuses: whoever asks needs the verb list for events in all namespaces"
    )]
    NoEvents(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The API does not let us have pods.
    #[error(
        "the Kubernetes API refuses: whoever asks needs the verbs create, get and delete for pods in the namespace, and its Pod Security has to take them"
    )]
    NoPods(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It does not answer, or not what it should.
    #[error("the Kubernetes API does not answer as it should")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It does not answer in time.
    #[error("the Kubernetes API has not gone on with its list of nodes for {0} s")]
    Silent(u64),
    /// A node could not be read, or not changed.
    #[error("the startup taint of the node {node} cannot be taken away")]
    Taint {
        /// The node.
        node: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There are more nodes than are held.
    #[error(
        "the cluster has more than {0} nodes; name some of them by platform.kubernetes.label_selector"
    )]
    TooMany(usize),
    /// This Archway was built without it.
    #[error("this Archway was built without the feature `kubernetes`")]
    NotBuilt,
}
