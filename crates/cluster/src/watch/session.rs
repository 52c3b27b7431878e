//! One client's time with the API: a list, and the news behind it. kube's watcher knows the protocol:
//! pages, bookmarks, and where a watch goes on. What goes wrong ends the session: the next one reads the
//! credentials anew and begins with a list, so nothing that came in between is missed.

use std::{convert::Infallible, pin::pin, time::Duration};

use config::KubernetesConfig;
use futures_util::StreamExt;
use kube::{
    Api,
    runtime::watcher::{self, Event, watcher},
};
use tokio::time::timeout;

use super::complete;
use crate::{
    api::{self, FORBIDDEN, NodeObject, WATCH_SECONDS},
    error::ClusterError,
    list::NodeList,
    node::NodeFacts,
    table::MAX_NODES,
};

/// The nodes asked for at once: a hundred are a megabyte or two.
const PAGE: u32 = 100;

/// How long the API may take for one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// What the next event belongs to.
enum Stage {
    /// A list that is not complete.
    Listing(Vec<NodeFacts>),
    Watching,
}

/// Follows the nodes until something goes wrong.
pub(super) async fn follow(
    settings: &KubernetesConfig,
    list: &NodeList,
) -> Result<Infallible, ClusterError> {
    let api = Api::<NodeObject>::all(api::client(settings.kubeconfig.as_deref()).await?);
    let mut asked = watcher::Config::default()
        .page_size(PAGE)
        .timeout(WATCH_SECONDS);
    if let Some(selector) = &settings.label_selector {
        asked = asked.labels(selector);
    }
    let mut events = pin!(watcher(api, asked));
    let mut stage = Stage::Listing(Vec::new());
    loop {
        let next = match stage {
            Stage::Listing(_) => timeout(PAGE_TIMEOUT, events.next()).await,
            // Each watch has an end of its own, and so has each wait for a byte.
            Stage::Watching => Ok(events.next().await),
        };
        let next = next.map_err(|_| ClusterError::Silent(PAGE_TIMEOUT.as_secs()))?;
        let event = next.ok_or_else(|| ClusterError::Failed("the watch has ended".into()))?;
        let event = event.map_err(judged)?;
        if matches!(event, Event::InitDone)
            && let Stage::Listing(listed) = &mut stage
        {
            let nodes = listed.len();
            list.replace(std::mem::take(listed));
            complete(list, nodes);
        }
        stage = take(event, stage, settings.pod_cidrs, list)?;
    }
}

/// Takes in one event; returns what the next one belongs to.
fn take(
    event: Event<NodeObject>,
    stage: Stage,
    pods: bool,
    list: &NodeList,
) -> Result<Stage, ClusterError> {
    match (event, stage) {
        (Event::Init, _) => Ok(Stage::Listing(Vec::new())),
        (Event::InitApply(_), Stage::Listing(listed)) if listed.len() >= MAX_NODES => {
            Err(ClusterError::TooMany(MAX_NODES))
        }
        (Event::InitApply(node), Stage::Listing(mut listed)) => {
            listed.extend(node.facts(pods));
            Ok(Stage::Listing(listed))
        }
        (Event::Apply(node) | Event::InitApply(node), _) => {
            if let Some(facts) = node.facts(pods) {
                list.apply(facts);
            }
            Ok(Stage::Watching)
        }
        (Event::Delete(node), _) => {
            if let Some(name) = node.name() {
                list.remove(name);
            }
            Ok(Stage::Watching)
        }
        (Event::InitDone, _) => Ok(Stage::Watching),
    }
}

fn judged(error: watcher::Error) -> ClusterError {
    let inner = match &error {
        watcher::Error::InitialListFailed(inner)
        | watcher::Error::WatchStartFailed(inner)
        | watcher::Error::WatchFailed(inner) => Some(inner),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => None,
    };
    match inner {
        Some(kube::Error::Api(status)) if status.code == FORBIDDEN => ClusterError::Forbidden {
            verbs: "list and watch",
            source: error.into(),
        },
        _ => ClusterError::Failed(error.into()),
    }
}
