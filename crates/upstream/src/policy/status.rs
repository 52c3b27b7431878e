//! The state of an endpoint as operators see it.

use std::{fmt, time::Duration};

use protocol::host::{Host, HostPattern};
use tokio::time::Instant;

use super::health::Outage;

/// The state of one endpoint of one upstream.
#[derive(Clone, Debug)]
pub struct EndpointStatus {
    /// The upstream's key in the configuration.
    pub pattern: HostPattern,
    /// The upstream.
    pub upstream: Host,
    /// The endpoint's base URL.
    pub endpoint: String,
    /// The outage; `None` while requests are sent.
    pub outage: Option<Outage>,
    /// The rest of the pause after a 429.
    pub held: Option<Duration>,
    /// The number of calls that wait for the upstream's rates. The queue is the upstream's, so only
    /// its first endpoint counts them.
    pub waiting: usize,
}

impl fmt::Display for EndpointStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "upstream {} at {}: ",
            self.upstream, self.endpoint
        )?;
        match (&self.outage, self.held) {
            (Some(outage), _) => {
                let seconds = Instant::now()
                    .saturating_duration_since(outage.since)
                    .as_secs();
                write!(formatter, "down for {seconds} s: {}", outage.reason)
            }
            (None, Some(pause)) => {
                let seconds = pause.as_secs() + 1;
                write!(formatter, "throttling us, paused for {seconds} s")
            }
            (None, None) => formatter.write_str("healthy"),
        }
    }
}
