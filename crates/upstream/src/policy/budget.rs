//! When a call to an upstream may go: within the configured rates, and after the pause it asked
//! for.
//!
//! Calls wait in the order they came. Confirmations of tags let pulls go first, since a copy of
//! what they confirm is cached. No call waits longer than the upstream's `patience`; one that
//! cannot go by then fails at once.

mod rate_limiter;
mod throttle;

use std::time::Duration;

use config::Limits;
use tokio::time::Instant;

use self::rate_limiter::RateLimiter;
pub(crate) use self::throttle::Throttle;
use crate::error::CallKind;

/// How urgent a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A client that has nothing.
    Pull,
    /// A client that could be served the cached copy.
    Confirmation,
}

/// A call cannot go before its deadline; it could after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitTooLong(pub(crate) Duration);

/// The configured rates of one upstream, in all and of each kind of call.
#[derive(Debug)]
pub(crate) struct Budget {
    all: Option<RateLimiter>,
    manifests: Option<RateLimiter>,
    blobs: Option<RateLimiter>,
    lists: Option<RateLimiter>,
    longest_wait: Duration,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        let limiter = |rate: Option<config::Rate>| {
            let rate = rate?;
            let burst = limits.burst.unwrap_or_else(|| rate.default_burst());
            Some(RateLimiter::new(rate.interval(), burst))
        };
        Self {
            all: limiter(limits.rate),
            manifests: limiter(limits.manifest_rate),
            blobs: limiter(limits.blob_rate),
            // A client reads the pages of a list one after the other, and then no more: they may
            // come in one burst.
            lists: Some(RateLimiter::new(
                limits.list_rate.interval(),
                limits.burst.unwrap_or(limits.list_rate.calls()),
            )),
            longest_wait: limits.patience,
        }
    }

    /// A budget without rates.
    pub(crate) fn unlimited() -> Self {
        Self {
            all: None,
            manifests: None,
            blobs: None,
            lists: None,
            longest_wait: Duration::ZERO,
        }
    }

    /// When a client gives up on a permit that began to wait then.
    pub(crate) fn patience_from(&self, began: Instant) -> Instant {
        began + self.longest_wait
    }

    /// Waits until the rates allow the call.
    pub(crate) async fn acquire(
        &self,
        kind: CallKind,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<(), WaitTooLong> {
        let of_kind = match kind {
            CallKind::Manifests => self.manifests.as_ref(),
            CallKind::Blobs => self.blobs.as_ref(),
            CallKind::Lists => self.lists.as_ref(),
        };
        for limiter in of_kind.into_iter().chain(&self.all) {
            limiter.acquire(urgency, deadline).await?;
        }
        Ok(())
    }

    /// From now on the rates are divided among so many processes.
    pub(crate) fn divide(&self, among: u32) {
        self.limiters().for_each(|limiter| limiter.divide(among));
    }

    /// How many calls each of the rates would let go now, with what it is for.
    pub(crate) fn permits(&self) -> Vec<(&'static str, u32)> {
        let rates = [
            ("all", &self.all),
            (CallKind::Manifests.as_str(), &self.manifests),
            (CallKind::Blobs.as_str(), &self.blobs),
            (CallKind::Lists.as_str(), &self.lists),
        ];
        let now = Instant::now();
        let rates = rates.into_iter();
        rates
            .filter_map(|(calls, limiter)| Some((calls, limiter.as_ref()?.permits(now))))
            .collect()
    }

    /// The number of calls that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.limiters().map(RateLimiter::waiting).sum()
    }

    fn limiters(&self) -> impl Iterator<Item = &RateLimiter> {
        let all = [&self.all, &self.manifests, &self.blobs, &self.lists];
        all.into_iter().flatten()
    }
}
