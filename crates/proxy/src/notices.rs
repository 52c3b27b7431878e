//! What an operator should know of a configuration that comes into force.

use config::Config;
use protocol::host::HostPattern;
use tracing::{info, warn};

/// Says all of it, in the log.
pub(crate) fn tell(config: &Config) {
    warn_of_exposures(config);
    tell_offline(config);
}

/// Says who can read what through an identity of ours. It may be meant so, behind a firewall.
fn warn_of_exposures(config: &Config) {
    for exposure in config.exposures() {
        warn!(
            listener = %exposure.listener,
            upstreams = exposure.upstreams.join(", "),
            identity = exposure.identity,
            "everybody who reaches this listener can read what this identity can; limit it by allow_from or upstreams, or bind it to loopback"
        );
    }
}

/// Says which upstreams are never asked: what is missing from them is not looked for.
fn tell_offline(config: &Config) {
    let mut offline = config.upstreams.offline_patterns().peekable();
    if offline.peek().is_some() {
        let upstreams: Vec<_> = offline.map(HostPattern::as_str).collect();
        info!(
            upstreams = upstreams.join(", "),
            "these upstreams are offline by configuration: only what is stored of them is served"
        );
    }
    if config.upstreams.are_offline() && (config.replicas.is_some() || config.tier.is_some()) {
        info!(
            "every upstream is offline by configuration: other replicas and the tier are not asked"
        );
    }
}
