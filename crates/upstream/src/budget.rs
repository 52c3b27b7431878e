//! When a call to an upstream may go: within the configured rates, and after the pause it asked for.
//!
//! Calls wait in the order they came. Confirmations of tags let pulls go first, since what they confirm is there already. Nobody
//! waits longer than its deadline, and who could not be served by then is told at once.

mod hold;
mod turnstile;

use std::time::Duration;

use config::Limits;
use tokio::time::Instant;

use self::{hold::Hold, turnstile::Turnstile};

/// What a call is for, since registries count them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Manifest,
    Blob,
    List,
}

/// Who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A client that has nothing.
    Pull,
    /// One that could be served what is there.
    Confirmation,
}

/// A call cannot go before its deadline; it could after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong(pub(super) Duration);

/// The calls of one upstream.
#[derive(Debug)]
pub(super) struct Budget {
    all: Option<Turnstile>,
    manifests: Option<Turnstile>,
    blobs: Option<Turnstile>,
    patience: Duration,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        let turnstile = |rate: Option<config::Rate>| {
            let rate = rate?;
            let burst = limits.burst.unwrap_or_else(|| rate.default_burst());
            Some(Turnstile::new(rate.interval(), burst))
        };
        Self {
            all: turnstile(limits.rate),
            manifests: turnstile(limits.manifest_rate),
            blobs: turnstile(limits.blob_rate),
            patience: limits.patience,
        }
    }

    /// When a call that comes now gives up.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// Waits for the turn of a call.
    pub(super) async fn pass(
        &self,
        kind: Kind,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<(), TooLong> {
        let of_kind = match kind {
            Kind::Manifest => self.manifests.as_ref(),
            Kind::Blob => self.blobs.as_ref(),
            Kind::List => None,
        };
        for turnstile in of_kind.into_iter().chain(&self.all) {
            turnstile.pass(urgency, deadline).await?;
        }
        Ok(())
    }

    /// Calls that wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        let all = [&self.all, &self.manifests, &self.blobs];
        all.into_iter().flatten().map(Turnstile::waiting).sum()
    }
}

/// What an endpoint's own 429s have taught.
#[derive(Debug, Default)]
pub(super) struct Throttle(Hold);

impl Throttle {
    /// Waits until the endpoint may be asked again.
    pub(super) async fn pass(&self, deadline: Instant) -> Result<(), TooLong> {
        self.0.pass(deadline).await
    }

    /// It throttled a call that went out at `asked`. How long it is left alone from now on.
    pub(super) fn throttled(&self, asked: Instant, retry_after: Option<Duration>) -> Duration {
        self.0.extend(asked, Instant::now(), retry_after)
    }

    /// It answered otherwise.
    pub(super) fn answered(&self) {
        self.0.relax();
    }

    /// How long it is still left alone.
    pub(super) fn remaining(&self) -> Option<Duration> {
        self.0.remaining(Instant::now())
    }
}
