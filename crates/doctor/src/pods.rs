//! The proof for all nodes of a cluster: a pod on each, of images that only Archway can answer.

use std::{fmt, time::Duration};

use cluster::{
    ClusterError,
    pods::{PodHost, PodNetwork, Pods, Tried},
};
use futures_util::{StreamExt, stream};
use node::Settings;
use protocol::{error_chain::ErrorChain, host::Host};
use url::Url;

use crate::{NotOurs, Own};

/// The pods at the same time.
const MAX_CONCURRENT_PODS: usize = 16;

/// For the images of one pod, a minute of which a registry that cannot be reached may take.
const POD_TIMEOUT: Duration = Duration::from_mins(3);

/// Who answers for a node.
#[derive(Clone, Debug)]
pub enum Answering {
    /// One Archway for all nodes, by its admin listener.
    Shared(Url),
    /// Each node's own, by its admin listener at this port of the node's address.
    OfNode(u16),
}

/// What became of a registry's image on a node.
#[derive(Debug)]
pub struct OnNode {
    node: PodHost,
    /// `None` where the node was not tried at all.
    registry: Option<Host>,
    tried: Tried,
}

/// Why no node was tried.
#[derive(Debug, thiserror::Error)]
pub enum PodsError {
    /// Archway.
    #[error(transparent)]
    Archway(#[from] NotOurs),
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// There is nothing to try.
    #[error("{0} serves none of these registries; name others by --registries")]
    NoneServed(String),
}

/// Puts a pod on each node, which has an image of each registry. Of a shared Archway those that it
/// serves; which those of nodes serve cannot be asked here.
pub async fn run(
    own: &Own,
    answering: &Answering,
    pods: &Pods,
    network: PodNetwork,
    settings: &Settings,
) -> Result<Vec<OnNode>, PodsError> {
    let registries = match answering {
        Answering::Shared(admin) => served(own, admin, settings).await?,
        Answering::OfNode(_) => settings.registries.names().to_vec(),
    };
    let nodes = pods.nodes().await?;
    let running = nodes
        .into_iter()
        .map(|node| try_one(own, answering, pods, network, &registries, node));
    // All of them, even where one has failed: each takes its pod away.
    let all: Vec<_> = stream::iter(running)
        .buffered(MAX_CONCURRENT_PODS)
        .collect()
        .await;
    let all = all.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut outcomes: Vec<OnNode> = all.into_iter().flatten().collect();
    // Those that need something first.
    outcomes.sort_by_key(OnNode::is_good);
    Ok(outcomes)
}

async fn served(own: &Own, admin: &Url, settings: &Settings) -> Result<Vec<Host>, PodsError> {
    own.prove_by_name(admin, settings.registries.names())
        .await?;
    let issued = own.issue(admin).await?;
    let mut served = Vec::new();
    for registry in settings.registries.names() {
        if own.serves(registry, &issued).await? {
            served.push(registry.clone());
        }
    }
    if served.is_empty() {
        return Err(PodsError::NoneServed(settings.mirror.to_string()));
    }
    Ok(served)
}

async fn try_one(
    own: &Own,
    answering: &Answering,
    pods: &Pods,
    network: PodNetwork,
    registries: &[Host],
    node: PodHost,
) -> Result<Vec<OnNode>, ClusterError> {
    let not_tried = |node: PodHost, why: String| {
        let tried = Tried::Unknown(why);
        let registry = None;
        Ok(vec![OnNode {
            node,
            registry,
            tried,
        }])
    };
    if !node.is_ready {
        return not_tried(node, "it is not ready, or is no Linux".to_owned());
    }
    let Some(admin) = answering.admin(&node) else {
        return not_tried(node, "it has no internal address".to_owned());
    };
    let issued = match own.issue(&admin).await {
        Ok(issued) => issued,
        Err(error) => return not_tried(node, ErrorChain(&error).to_string()),
    };
    let images: Vec<String> = registries
        .iter()
        .map(|registry| format!("{registry}/{}", issued.image))
        .collect();
    let tried = pods
        .try_on(&node.name, &images, network, POD_TIMEOUT)
        .await?;
    let of_registry = |(registry, tried): (&Host, Tried)| OnNode {
        node: node.clone(),
        registry: Some(registry.clone()),
        tried,
    };
    Ok(registries.iter().zip(tried).map(of_registry).collect())
}

impl Answering {
    fn admin(&self, node: &PodHost) -> Option<Url> {
        match self {
            Self::Shared(admin) => Some(admin.clone()),
            Self::OfNode(port) => {
                let address = std::net::SocketAddr::new(node.address?, *port);
                format!("http://{address}").parse().ok()
            }
        }
    }
}

impl OnNode {
    /// Whether nothing has to be mended.
    pub fn is_good(&self) -> bool {
        matches!(self.tried, Tried::Ran { .. })
    }
}

impl fmt::Display for OnNode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PodHost {
            name,
            architecture,
            runtime,
            ..
        } = &self.node;
        formatter.write_str(name)?;
        // A node that has never said anything has neither.
        if !runtime.is_empty() {
            write!(formatter, " ({architecture}, {runtime})")?;
        }
        if let Some(registry) = &self.registry {
            write!(formatter, " {registry}")?;
        }
        match &self.tried {
            Tried::Ran { took } => write!(
                formatter,
                ": uses the mirror, with images for {architecture} ({:.1} s)",
                took.as_secs_f32()
            ),
            Tried::WrongArchitecture => write!(
                formatter,
                ": uses the mirror, but gets images that are not for {architecture}: mend the platform that its \
                 hosts.toml or its listener names (`archway explain`)"
            ),
            Tried::NotPulled(words) => write!(
                formatter,
                ": bypasses the mirror: {}. Run `archway doctor clients --node` there",
                words.lines().next().unwrap_or_default()
            ),
            Tried::Unknown(why) if self.registry.is_none() => {
                write!(formatter, ": not tried: {why}")
            }
            Tried::Unknown(why) => write!(formatter, ": not proven: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(address: Option<&str>) -> PodHost {
        PodHost {
            name: "one".to_owned(),
            architecture: "arm64".to_owned(),
            runtime: "containerd://2.4.2".to_owned(),
            address: address.map(|text| text.parse().unwrap()),
            is_ready: true,
        }
    }

    #[test]
    fn a_nodes_own_archway_is_asked_at_the_nodes_address() {
        let own = Answering::OfNode(9464);
        let at = |address| own.admin(&host(address)).map(|url| url.to_string());
        assert_eq!(
            at(Some("10.0.0.1")).as_deref(),
            Some("http://10.0.0.1:9464/")
        );
        assert_eq!(
            at(Some("fd00::1")).as_deref(),
            Some("http://[fd00::1]:9464/")
        );
        assert_eq!(at(None), None);
    }

    #[test]
    fn each_line_names_the_node_the_registry_and_what_to_do() {
        let line = |tried| {
            let (node, registry) = (host(None), "docker.io".parse().ok());
            OnNode {
                node,
                registry,
                tried,
            }
            .to_string()
        };
        let took = Duration::from_millis(2_100);
        assert_eq!(
            line(Tried::Ran { took }),
            "one (arm64, containerd://2.4.2) docker.io: uses the mirror, with images for arm64 (2.1 s)"
        );
        let words = "failed to pull: not found\nand more".to_owned();
        assert!(line(Tried::NotPulled(words)).ends_with(
            "bypasses the mirror: failed to pull: not found. Run `archway doctor clients --node` there"
        ));
        assert!(line(Tried::WrongArchitecture).contains("images that are not for arm64"));
        let why = "its program ended with 137: OOMKilled".to_owned();
        assert_eq!(
            line(Tried::Unknown(why)),
            "one (arm64, containerd://2.4.2) docker.io: not proven: its program ended with 137: OOMKilled"
        );
    }
}
