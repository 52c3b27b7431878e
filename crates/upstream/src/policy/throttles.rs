//! What each kind of call waits for.
//!
//! ECR limits each action of its API, Docker Hub manifests alone: a 429 to one kind says nothing
//! about the others. Held back with the lists that any client may ask for, every pull would wait.

use std::time::Duration;

use super::budget::Throttle;
use crate::error::CallKind;

/// The pause of an endpoint for one kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The kind.
    pub kind: CallKind,
    /// The rest of it.
    pub left: Duration,
}

/// The throttles of one endpoint, a kind each.
#[derive(Debug, Default)]
pub(crate) struct Throttles([Throttle; CallKind::ALL.len()]);

impl Throttles {
    /// The throttle of one kind.
    pub(crate) fn of(&self, kind: CallKind) -> &Throttle {
        &self.0[kind as usize]
    }

    /// Holds back the calls that a pause is for.
    pub(crate) fn pause(&self, pause: Pause) {
        self.of(pause.kind).pause(pause.left);
    }

    /// The pauses that still run.
    pub(crate) fn pauses(&self) -> Vec<Pause> {
        let all = CallKind::ALL.into_iter();
        let running = all.filter_map(|kind| {
            let left = self.of(kind).remaining()?;
            Some(Pause { kind, left })
        });
        running.collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::error::Resource;

    #[tokio::test]
    async fn a_pause_of_one_kind_holds_no_other() {
        let throttles = Throttles::default();
        let now = Instant::now();
        let lists = throttles.of(CallKind::of(Resource::Repository));
        lists.throttled(now, Some(Duration::from_mins(1)));
        let referrers = throttles.of(CallKind::of(Resource::ReferrersApi));
        assert!(referrers.acquire(now).await.is_err());
        for kind in [Resource::Manifest, Resource::Blob].map(CallKind::of) {
            assert!(throttles.of(kind).acquire(now).await.is_ok(), "{kind}");
        }
        let pauses = throttles.pauses();
        assert_eq!(pauses.len(), 1);
        assert_eq!(pauses[0].kind, CallKind::Lists);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_was_asked_of_another_holds_for_its_time_and_no_shorter_one_ends_it() {
        let (throttles, kind) = (Throttles::default(), CallKind::Blobs);
        let pause = |seconds| {
            let left = Duration::from_secs(seconds);
            throttles.pause(Pause { kind, left });
        };
        pause(30);
        pause(5);
        assert!(throttles.of(kind).acquire(Instant::now()).await.is_err());
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(throttles.of(kind).acquire(Instant::now()).await.is_ok());
    }
}
