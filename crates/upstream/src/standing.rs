//! How an endpoint stands, for those who operate the proxy.

use std::{fmt, time::Duration};

use protocol::host::{Host, HostPattern};
use tokio::time::Instant;

use super::{Upstream, health::Outage};

/// One endpoint of one upstream, now.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The upstream's key in the configuration.
    pub pattern: HostPattern,
    /// The upstream.
    pub upstream: Host,
    /// The endpoint's base URL.
    pub endpoint: String,
    /// Why it is not asked, if it is not.
    pub outage: Option<Outage>,
    /// How long it is left alone because it throttled us.
    pub held: Option<Duration>,
    /// Calls that wait for their turn at the upstream.
    pub waiting: usize,
}

impl Upstream {
    /// Its endpoints in their order.
    pub fn standings(&self) -> impl Iterator<Item = Standing> {
        self.endpoints
            .iter()
            .enumerate()
            .map(|(at, endpoint)| Standing {
                pattern: self.config.pattern.clone(),
                upstream: self.host.clone(),
                endpoint: endpoint.name().trim_end_matches('/').to_owned(),
                outage: endpoint.health.outage(),
                held: endpoint.throttle.remaining(),
                // The queue is the upstream's: told once.
                waiting: if at == 0 {
                    endpoint.shared.budget.waiting()
                } else {
                    0
                },
            })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "upstream {} at {}: ", self.upstream, self.endpoint)?;
        match (&self.outage, self.held) {
            (Some(outage), _) => {
                let seconds = Instant::now()
                    .saturating_duration_since(outage.since)
                    .as_secs();
                write!(f, "down for {seconds} s: {}", outage.reason)
            }
            (None, Some(held)) => {
                write!(f, "throttling us, left alone for {} s", held.as_secs() + 1)
            }
            (None, None) => f.write_str("well"),
        }
    }
}
