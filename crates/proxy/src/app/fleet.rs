//! This replica among the others, if there are to be some.

use std::time::Duration;

use config::Config;
use probe::Instance;
use pull::Pull;
use replicas::{PeerTlsError, ReplicaMetrics, Replicas};

/// How often the number of replicas is looked at.
const RATES_EVERY: Duration = Duration::from_secs(1);

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
/// together, however many there are.
pub(super) async fn follow(replicas: Replicas, pull: Pull) {
    tokio::select! {
        () = divide_rates(&replicas, &pull) => {}
        never = replicas.clone().watch() => match never {},
    }
}

async fn divide_rates(replicas: &Replicas, pull: &Pull) {
    let mut ticks = tokio::time::interval(RATES_EVERY);
    loop {
        ticks.tick().await;
        pull.upstreams().divide_rates(replicas.owners());
    }
}
