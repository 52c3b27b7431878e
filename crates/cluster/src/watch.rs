//! What keeps the list true: the API's list of nodes once, and from then on its news.

#[cfg(feature = "kubernetes")]
mod session;

use std::time::{Duration, Instant};

use config::KubernetesConfig;
use protocol::error_chain::ErrorChain;
use tracing::{info, warn};

#[cfg(feature = "kubernetes")]
use self::session::follow;
use crate::{back_off::BackOff, error::ClusterError, list::NodeList};

/// A session that lasted so long has worked: the next one need not wait for long, and its end is news.
const WORKED: Duration = Duration::from_mins(1);

/// Keeps a list true for as long as it is polled.
#[derive(Debug)]
pub struct NodeWatch {
    settings: KubernetesConfig,
    list: NodeList,
}

impl NodeWatch {
    /// A watch of the cluster that `settings` name. Nothing is asked yet.
    pub fn new(settings: KubernetesConfig, list: NodeList) -> Self {
        Self { settings, list }
    }

    /// Follows the cluster, and comes back to it whatever happens: on trouble the list stays as it is.
    /// Never ends, but for a list that is not to be kept.
    pub async fn run(self) {
        if !self.list.is_on() {
            return;
        }
        let mut back_off = BackOff::new();
        // Told once, until a session has worked.
        let mut is_told = false;
        loop {
            let started = Instant::now();
            let Err(error) = follow(&self.settings, &self.list).await;
            self.list.watched(false);
            if started.elapsed() > WORKED {
                back_off.reset();
                is_told = false;
            }
            if !std::mem::replace(&mut is_told, true) {
                warn!(error = %ErrorChain(&error), "the nodes of the cluster cannot be followed; the last list stays");
            }
            if matches!(error, ClusterError::NotBuilt) {
                return;
            }
            tokio::time::sleep(back_off.next()).await;
        }
    }
}

/// Takes note that the list is complete.
fn complete(list: &NodeList, nodes: usize) {
    list.watched(true);
    info!(nodes, "the nodes of the cluster are known");
}

/// Without a client of the API there is nothing to follow.
#[cfg(not(feature = "kubernetes"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn follow(
    _settings: &KubernetesConfig,
    _list: &NodeList,
) -> Result<std::convert::Infallible, ClusterError> {
    Err(ClusterError::NotBuilt)
}
