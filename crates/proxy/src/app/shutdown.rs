//! What ends the process, and how long what still runs may take.

use std::{io, time::Duration};

use tier::Tier;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, timeout_at},
};
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::housekeeping::Housekeeping;

/// The signals that end the process.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on they end nobody by themselves.
    pub(super) fn watch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns with the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Lets requests and downloads finish, all within `grace`.
pub(super) async fn drain(
    serving: &TaskTracker,
    housekeeping: &Housekeeping,
    tier: Option<&Tier>,
    grace: Duration,
) {
    let deadline = Instant::now() + grace;
    serving.close();
    if timeout_at(deadline, serving.wait()).await.is_err() {
        warn!("the grace period is over: cutting clients that are still reading");
    }
    housekeeping
        .drain(deadline.saturating_duration_since(Instant::now()))
        .await;
    if let Some(tier) = tier {
        let left = deadline.saturating_duration_since(Instant::now());
        tier.drain(left).await;
    }
}
