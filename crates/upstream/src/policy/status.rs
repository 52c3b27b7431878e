//! The state of an endpoint as operators see it.

use std::fmt;

use protocol::host::{Host, HostPattern};
use tokio::time::Instant;

use super::{health::Outage, throttles::Pause};

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
    /// The pauses after 429s, of each kind of call that is held back.
    pub held: Vec<Pause>,
    /// The number of calls that wait for the upstream's rates. The queue is the upstream's, so only
    /// its first endpoint counts them.
    pub waiting: usize,
    /// How many calls each configured rate would let go at once: of a kind, or of `all`.
    pub permits: Vec<(&'static str, u32)>,
}

impl fmt::Display for EndpointStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "upstream {} at {}: ",
            self.upstream, self.endpoint
        )?;
        match &self.outage {
            Some(outage) => {
                let seconds = Instant::now()
                    .saturating_duration_since(outage.since)
                    .as_secs();
                write!(formatter, "down for {seconds} s: {}", outage.reason)
            }
            None if self.held.is_empty() => formatter.write_str("healthy"),
            None => {
                formatter.write_str("throttling us")?;
                for (at, pause) in self.held.iter().enumerate() {
                    let (and, seconds) =
                        (if at > 0 { ", and" } else { "" }, pause.left.as_secs() + 1);
                    write!(
                        formatter,
                        "{and} for {}, paused for {seconds} s",
                        pause.kind
                    )?;
                }
                Ok(())
            }
        }
    }
}
