//! The way to the Kubernetes API, and a node as it is written there.
//!
//! Of a node's ten kilobytes a few fields are read: the list of a large cluster must not be held.

mod bounded;
mod node_object;
mod resource;

use std::{path::Path, time::Duration};

// Named for the version of its types, which kube leaves to be chosen.
use k8s_openapi as _;
use kube::{
    Client, Config,
    client::{ClientBuilder, DynBody},
    config::{KubeConfigOptions, Kubeconfig},
};
use tower_http::map_response_body::MapResponseBodyLayer;

use self::bounded::BoundedLines;
pub(crate) use self::{node_object::NodeObject, resource::node_resource};
use crate::error::ClusterError;

/// The status of a refusal: the account lacks a right.
pub(crate) const FORBIDDEN: u16 = 403;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one watch lasts, in seconds: then the API ends it, and the next one begins where it ended.
pub(crate) const WATCH_SECONDS: u32 = 60;

/// How long an answer may go without a byte. A watch may as long as it lasts.
const READ_TIMEOUT: Duration = Duration::from_secs(75);

/// A client of the cluster: of the kubeconfig, else of the service account of this pod. Both are read
/// anew with each, the token of a service account as often as it changes.
pub(crate) async fn client(kubeconfig: Option<&Path>) -> Result<Client, ClusterError> {
    let mut config = match kubeconfig {
        Some(path) => of_kubeconfig(path).await?,
        None => Config::incluster().map_err(|error| ClusterError::Outside(error.into()))?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    // The watch has pauses of its own.
    config.default_retry = false;
    let builder =
        ClientBuilder::try_from(config).map_err(|error| ClusterError::Client(error.into()))?;
    Ok(builder
        .with_layer(&MapResponseBodyLayer::new(
            BoundedLines::<Box<DynBody>>::new,
        ))
        .build())
}

async fn of_kubeconfig(path: &Path) -> Result<Config, ClusterError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| ClusterError::Kubeconfig {
        path: path.to_owned(),
        source,
    };
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| failed(error.into()))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    config.map_err(|error| failed(error.into()))
}
