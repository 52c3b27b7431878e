//! This replica among the others, if there are to be some.

use std::time::Duration;

use config::Config;
use probe::Instance;
use pull::Pull;
use replicas::{PeerTlsError, ReplicaMetrics, Replicas, ToldPause};
use upstream::{CallKind, Pause, Registry};

/// How often the number of replicas is looked at, and pauses are told and taken over.
const SHARE_EVERY: Duration = Duration::from_secs(1);

/// This replica, as the configuration has it; `None` where it is to be alone: offline, nobody is
/// dialled, and so no other replica.
pub(super) fn join(
    config: &Config,
    instance: &Instance,
    metrics: ReplicaMetrics,
) -> Result<Option<Replicas>, PeerTlsError> {
    let section = config.replicas.as_ref();
    let section = section.filter(|_| !config.upstreams.are_offline());
    let joined = section.map(|section| Replicas::new(section, instance.id().to_string(), metrics));
    joined.transpose()
}

/// Follows who is there, for as long as it is polled. The rates of upstreams are for all replicas
/// together, however many there are, and so are the pauses that they ask for.
pub(super) async fn follow(replicas: Replicas, pull: Pull) {
    tokio::select! {
        () = share(&replicas, pull.upstreams()) => {}
        never = replicas.clone().watch() => match never {},
    }
}

async fn share(replicas: &Replicas, upstreams: &Registry) {
    let mut ticks = tokio::time::interval(SHARE_EVERY);
    loop {
        ticks.tick().await;
        upstreams.divide_rates(replicas.owners());
        replicas.tell_pauses(pauses_of(upstreams));
        for heard in replicas.heard_pauses() {
            take_over(upstreams, &heard);
        }
    }
}

fn pauses_of(upstreams: &Registry) -> Vec<ToldPause> {
    let statuses = upstreams.endpoint_statuses();
    let pauses = statuses.iter().flat_map(|status| {
        status.held.iter().map(|pause| ToldPause {
            upstream: status.upstream.to_string(),
            endpoint: status.endpoint.clone(),
            calls: pause.kind.to_string(),
            left_ms: u64::try_from(pause.left.as_millis()).unwrap_or(u64::MAX),
        })
    });
    pauses.collect()
}

/// Holds back here what an upstream has asked another replica to hold back.
fn take_over(upstreams: &Registry, heard: &ToldPause) {
    let mut kinds = CallKind::ALL.into_iter();
    let kind = kinds.find(|kind| kind.to_string() == heard.calls);
    if let (Some(kind), Ok(host)) = (kind, heard.upstream.parse()) {
        let left = Duration::from_millis(heard.left_ms);
        upstreams.pause(&host, &heard.endpoint, Pause { kind, left });
    }
}
