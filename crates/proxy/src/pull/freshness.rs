//! How long an answer may be used without asking again.

use std::time::{Duration, Instant, SystemTime};

use cache::{RepoKey, TagEntry};
use config::UpstreamConfig;
use manifest_model::{Reference, Tag};
use moka::sync::Cache;
use upstream::Resource;

/// Names remembered as absent at the same time.
const MAX_ABSENT: u64 = 100_000;

/// No absence is remembered longer, whatever the config says.
const LONGEST_ABSENCE: Duration = Duration::from_hours(1);

/// How a tag stands that was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TagState {
    /// Use it.
    Fresh,
    /// Ask first; if that fails, it may still be used, and is this old.
    Stale(Duration),
    /// Ask; this old, it is not used without an answer.
    TooOld(Duration),
}

/// Judges a tag by its upstream's rules.
pub(super) fn tag_state(
    entry: &TagEntry,
    tag: &Tag,
    is_immutable: bool,
    config: &UpstreamConfig,
    now: SystemTime,
) -> TagState {
    if is_immutable {
        return TagState::Fresh;
    }
    // Confirmed in what is the future since the clock was set back: how old it is nobody knows, so it is asked for.
    let Ok(age) = now.duration_since(entry.confirmed) else {
        return TagState::Stale(Duration::ZERO);
    };
    let ttl = tag_ttl(tag, config);
    if age < ttl {
        TagState::Fresh
    } else if age < ttl.saturating_add(config.stale_if_error) {
        TagState::Stale(age)
    } else {
        TagState::TooOld(age)
    }
}

/// How long a tag holds from now on without being confirmed.
pub(super) fn time_left(
    entry: &TagEntry,
    tag: &Tag,
    config: &UpstreamConfig,
    now: SystemTime,
) -> Duration {
    now.duration_since(entry.confirmed)
        .map_or(Duration::ZERO, |age| {
            tag_ttl(tag, config).saturating_sub(age)
        })
}

fn tag_ttl(tag: &Tag, config: &UpstreamConfig) -> Duration {
    let mut own = config.tag_ttls.iter();
    own.find(|(pattern, _)| pattern.matches(tag))
        .map_or(config.tag_ttl, |(_, ttl)| *ttl)
}

/// What was learned lately and is gone after a restart.
#[derive(Debug)]
pub(super) struct Freshness {
    absent: Cache<(RepoKey, Reference), (Resource, Instant)>,
}

impl Freshness {
    pub(super) fn new() -> Self {
        Self {
            absent: Cache::builder()
                .max_capacity(MAX_ABSENT)
                .time_to_live(LONGEST_ABSENCE)
                .build(),
        }
    }

    /// What the upstream said it lacks, while that may be repeated without asking.
    pub(super) fn absent(&self, key: &(RepoKey, Reference)) -> Option<Resource> {
        let (what, until) = self.absent.get(key)?;
        (Instant::now() < until).then_some(what)
    }

    pub(super) fn note_absent(&self, key: (RepoKey, Reference), what: Resource, ttl: Duration) {
        if !ttl.is_zero() {
            self.absent
                .insert(key, (what, Instant::now() + ttl.min(LONGEST_ABSENCE)));
        }
    }
}

#[cfg(test)]
mod tests {
    use config::Config;

    use super::*;

    fn state(tag: &str, age: u64) -> TagState {
        let now = SystemTime::now();
        state_at(tag, now - Duration::from_secs(age), now)
    }

    fn state_at(tag: &str, confirmed: SystemTime, now: SystemTime) -> TagState {
        let text = "[upstream.\"docker.io\"]\ntag_ttl = \"60s\"\nstale_if_error = \"60s\"\n\
                    tag_ttls = { \"nightly-*\" = \"1h\", \"night*\" = \"0s\" }\nimmutable_tags = [\"v*\"]";
        let config = Config::parse("archway.toml", text).unwrap().upstreams;
        let config = config.find(&"docker.io".parse().unwrap()).unwrap();
        let entry = TagEntry {
            digest: manifest_model::Digest::of(manifest_model::Algorithm::Sha256, b""),
            confirmed,
        };
        let tag: Tag = tag.parse().unwrap();
        let mut patterns = config.immutable_tags.iter();
        let is_immutable = patterns.any(|pattern| pattern.matches(&tag));
        tag_state(&entry, &tag, is_immutable, &config, now)
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_tag_fresh_until_it_has_caught_up() {
        let now = SystemTime::now();
        let future = now + Duration::from_hours(8);
        assert_eq!(
            state_at("latest", future, now),
            TagState::Stale(Duration::ZERO)
        );
        assert_eq!(state_at("v1", future, now), TagState::Fresh);
    }

    #[test]
    fn the_first_pattern_that_fits_says_how_long_a_tag_holds() {
        assert_eq!(state("latest", 59), TagState::Fresh);
        assert_eq!(
            state("latest", 61),
            TagState::Stale(Duration::from_secs(61))
        );
        assert_eq!(
            state("latest", 121),
            TagState::TooOld(Duration::from_secs(121))
        );
        assert_eq!(state("nightly-1", 3599), TagState::Fresh);
        assert_eq!(
            state("nightshift", 1),
            TagState::Stale(Duration::from_secs(1))
        );
        assert_eq!(state("v1", 1_000_000), TagState::Fresh);
    }
}
