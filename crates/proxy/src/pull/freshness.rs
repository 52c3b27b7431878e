//! How long an answer may be used without asking again.

use std::time::{Duration, Instant, SystemTime};

use cache::{RepoKey, TagEntry};
use manifest_model::Reference;
use moka::sync::Cache;

use crate::{config::UpstreamConfig, protocol::host::Host, upstream::Absent};

/// Names remembered as absent at the same time.
const MAX_ABSENT: u64 = 100_000;

/// No absence is remembered longer, whatever the config says.
const LONGEST_ABSENCE: Duration = Duration::from_hours(1);

/// How long an upstream that could not be reached is not asked to confirm a tag that is there.
const RESPITE: Duration = Duration::from_secs(5);

/// How a tag stands that was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TagState {
    /// Use it.
    Fresh,
    /// Ask first; if that fails, it may still be used, and is this old.
    Stale(Duration),
    /// Ask; it is too old to be used without an answer.
    TooOld,
}

/// Judges a tag by its upstream's rules.
pub(super) fn tag_state(
    entry: &TagEntry,
    is_immutable: bool,
    config: &UpstreamConfig,
    now: SystemTime,
) -> TagState {
    // A clock that was set back makes an entry look young, never old.
    let age = now.duration_since(entry.confirmed).unwrap_or_default();
    if age < config.tag_ttl || is_immutable {
        TagState::Fresh
    } else if age < config.tag_ttl.saturating_add(config.stale_if_error) {
        TagState::Stale(age)
    } else {
        TagState::TooOld
    }
}

/// What was learned lately and is gone after a restart.
#[derive(Debug)]
pub(super) struct Freshness {
    absent: Cache<(RepoKey, Reference), (Absent, Instant)>,
    troubled: Cache<Host, ()>,
}

impl Freshness {
    pub(super) fn new() -> Self {
        Self {
            absent: Cache::builder()
                .max_capacity(MAX_ABSENT)
                .time_to_live(LONGEST_ABSENCE)
                .build(),
            troubled: Cache::builder()
                .max_capacity(MAX_ABSENT)
                .time_to_live(RESPITE)
                .build(),
        }
    }

    /// What the upstream said it lacks, while that may be repeated without asking.
    pub(super) fn absent(&self, key: &(RepoKey, Reference)) -> Option<Absent> {
        let (what, until) = self.absent.get(key)?;
        (Instant::now() < until).then_some(what)
    }

    pub(super) fn note_absent(&self, key: (RepoKey, Reference), what: Absent, ttl: Duration) {
        if !ttl.is_zero() {
            self.absent
                .insert(key, (what, Instant::now() + ttl.min(LONGEST_ABSENCE)));
        }
    }

    pub(super) fn is_troubled(&self, host: &Host) -> bool {
        self.troubled.contains_key(host)
    }

    pub(super) fn note_trouble(&self, host: &Host) {
        self.troubled.insert(host.clone(), ());
    }
}
