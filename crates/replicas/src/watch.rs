//! Following who is there: the list of members, and how each of them is.

use std::{convert::Infallible, sync::Arc, time::Duration};

use config::ReplicasConfig;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::{
    discovery::Discovery,
    fleet::Fleet,
    view::{MemberName, Moment, View},
};

/// How often each member is greeted, and how often in the beginning.
const GREET_EVERY: Duration = Duration::from_secs(2);
const GREET_AT_FIRST: Duration = Duration::from_millis(250);
const AT_FIRST: Duration = Duration::from_secs(15);

/// What one more member adds to that interval: a thousand are greeted every 10 s.
const PER_MEMBER: Duration = Duration::from_millis(10);

/// How often the list is asked for.
const LIST_EVERY: Duration = Duration::from_secs(5);

/// Follows who is there, for ever.
pub(crate) async fn watch(fleet: &Arc<Fleet>, config: &ReplicasConfig) -> Infallible {
    let discovery = Discovery::new(config);
    let (mut listed, mut was_there) = (None::<Instant>, Vec::new());
    loop {
        if listed.is_none_or(|at| at.elapsed() >= LIST_EVERY) {
            list(fleet, &discovery).await;
            listed = Some(Instant::now());
        }
        let names = fleet.view(|view, _| {
            let names = view.members().map(|(name, _)| name.clone());
            names.collect::<Vec<_>>()
        });
        join_all(names.iter().map(|name| fleet.greet(name))).await;
        let there = fleet.view(|view, now| those_there(view, now));
        fleet.metrics.members(there.len());
        tell(&was_there, &there);
        was_there = there;
        let extra = PER_MEMBER * u32::try_from(names.len()).unwrap_or(u32::MAX);
        let every = if fleet.now() < AT_FIRST {
            GREET_AT_FIRST
        } else {
            GREET_EVERY
        };
        sleep(every.max(extra)).await;
    }
}

/// Takes the list as it is now. Without one the last list stays.
async fn list(fleet: &Fleet, discovery: &Discovery) {
    match discovery.names().await {
        Ok(names) if names.is_empty() => {
            warn!("the list of replicas is empty; the last one stays");
        }
        Ok(names) => fleet.view(|view, now| view.listed(&names, now)),
        Err(error) => warn!(%error, "the replicas cannot be listed; the last list stays"),
    }
}

fn those_there(view: &View, now: Moment) -> Vec<MemberName> {
    let there = view.members().filter(|(_, member)| member.is_there(now));
    there.map(|(name, _)| name.clone()).collect()
}

/// Says who has come and who has gone.
fn tell(before: &[MemberName], now: &[MemberName]) {
    for member in now.iter().filter(|name| !before.contains(name)) {
        info!(%member, "a replica is there");
    }
    for member in before.iter().filter(|name| !now.contains(name)) {
        info!(%member, "a replica is gone");
    }
}
