//! `archway doctor clients --probe-pods`: a pod on each node of a cluster, of images that only Archway has.

use std::path::Path;

use clap::Args;
use cluster::pods::{PodNetwork, Pods};
use doctor::{
    Own,
    pods::{self, Answering, OnNode},
};
use node::Settings;
use url::Url;

use crate::cli::output::Failure;

/// How the nodes of a cluster are tried.
#[derive(Debug, Args)]
pub(crate) struct PodArgs {
    /// Put a pod on each node of a cluster, of an image that only Archway can answer
    #[arg(long)]
    pub(super) probe_pods: bool,
    /// Namespace of the pods [default: that of the kubeconfig or of this pod]
    #[arg(long, value_name = "NAME", requires = "probe_pods")]
    namespace: Option<String>,
    /// Port of the admin listener of each node's own Archway, at the node's address
    #[arg(
        long,
        value_name = "PORT",
        requires = "probe_pods",
        conflicts_with = "admin"
    )]
    node_admin: Option<u16>,
    /// Give the pods the network of their node, where no network plugin is needed then
    #[arg(long, requires = "probe_pods")]
    host_network: bool,
}

impl PodArgs {
    /// Tries all nodes of the cluster of a kubeconfig, else of this pod.
    pub(super) async fn probe(
        &self,
        own: &Own,
        admin: Url,
        settings: &Settings,
        kubeconfig: Option<&Path>,
    ) -> Result<Vec<OnNode>, Failure> {
        let answering = match self.node_admin {
            Some(port) => Answering::OfNode(port),
            None => Answering::Shared(admin),
        };
        let network = if self.host_network {
            PodNetwork::Host
        } else {
            PodNetwork::Own
        };
        let cluster = Pods::of(kubeconfig, self.namespace.as_deref()).await;
        let cluster = cluster.map_err(|error| Failure::unusable(&error))?;
        let tried = pods::run(own, &answering, &cluster, network, settings).await;
        tried.map_err(|error| Failure::unusable(&error))
    }
}
