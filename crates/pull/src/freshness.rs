//! How far a tag that was seen before may be used at its age, and what becomes of it when.

use std::time::{Duration, SystemTime};

use cache::TagEntry;
use config::UpstreamConfig;
use manifest_model::Tag;
use serde::{Deserialize, Serialize};

/// How far a tag that was seen before may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Without asking.
    Fresh,
    /// After asking; if that fails, at this age all the same.
    Stale(Duration),
    /// Not at this age, unless the upstream confirms it.
    Expired(Duration),
}

/// A stored tag as it stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TagState {
    /// Clients get it without a question to the upstream.
    Fresh,
    /// The next client has the upstream asked; while it gives no answer, clients get the tag as it is.
    Stale,
    /// The next client has the upstream asked; while it gives no answer, clients get an error.
    Expired,
    /// It is configured never to move, so the upstream is not asked again.
    Immutable,
    /// Its upstream is offline by configuration, so it holds as it is.
    Held,
}

impl TagState {
    /// The word for it in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Immutable => "immutable",
            Self::Held => "held",
        }
    }
}

/// What is known of a tag's time: when the upstream last confirmed it, when it is asked again, and
/// until when clients get it without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagLife {
    /// Where it stands.
    pub state: TagState,
    /// When the upstream last confirmed it.
    pub confirmed: SystemTime,
    /// From when on a client has the upstream asked; none if never.
    pub asked_again: Option<SystemTime>,
    /// From when on clients get an error while the upstream gives no answer; none if never.
    pub expires: Option<SystemTime>,
}

impl TagLife {
    /// The life of `tag` under the settings of its upstream. Whether the result of a rule may be
    /// held for ever, only the rule can tell: here its tag counts as any other.
    pub fn of(entry: &TagEntry, tag: &Tag, config: &UpstreamConfig, now: SystemTime) -> Self {
        let confirmed = entry.confirmed;
        let for_ever = |state| Self {
            state,
            confirmed,
            asked_again: None,
            expires: None,
        };
        if config.offline {
            return for_ever(TagState::Held);
        }
        if is_immutable(tag, config) {
            return for_ever(TagState::Immutable);
        }
        let ttl = tag_ttl(tag, config);
        Self {
            state: match freshness(entry, tag, false, config, now) {
                Freshness::Fresh => TagState::Fresh,
                Freshness::Stale(_) => TagState::Stale,
                Freshness::Expired(_) => TagState::Expired,
            },
            confirmed,
            asked_again: confirmed.checked_add(ttl),
            expires: confirmed.checked_add(ttl.saturating_add(config.stale_if_error)),
        }
    }
}

/// Whether a tag of this name is configured never to move.
pub(super) fn is_immutable(tag: &Tag, config: &UpstreamConfig) -> bool {
    let mut patterns = config.immutable_tags.iter();
    patterns.any(|pattern| pattern.matches(tag))
}

/// Judges a tag by its upstream's settings.
pub(super) fn freshness(
    entry: &TagEntry,
    tag: &Tag,
    is_immutable: bool,
    config: &UpstreamConfig,
    now: SystemTime,
) -> Freshness {
    if is_immutable {
        return Freshness::Fresh;
    }
    // Confirmed in the future, since the clock was set back: its age is unknown, so it is asked
    // for.
    let Ok(age) = now.duration_since(entry.confirmed) else {
        return Freshness::Stale(Duration::ZERO);
    };
    let ttl = tag_ttl(tag, config);
    if age < ttl {
        Freshness::Fresh
    } else if age < ttl.saturating_add(config.stale_if_error) {
        Freshness::Stale(age)
    } else {
        Freshness::Expired(age)
    }
}

/// How long after its last confirmation a tag goes out at most, while its upstream is in trouble.
pub(super) fn longest_use(tag: &Tag, config: &UpstreamConfig) -> Duration {
    tag_ttl(tag, config).saturating_add(config.stale_if_error)
}

/// The rest of a tag's time to live.
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

#[cfg(test)]
mod tests {
    use config::Config;

    use super::*;

    const LINES: &str = "tag_ttl = \"60s\"\nstale_if_error = \"60s\"\n\
                    tag_ttls = { \"nightly-*\" = \"1h\", \"night*\" = \"0s\" }\nimmutable_tags = [\"v*\"]";

    fn settings(lines: &str) -> UpstreamConfig {
        let text = format!("[upstream.\"docker.io\"]\n{lines}");
        let upstreams = Config::parse("archway.toml", &text).unwrap().upstreams;
        upstreams.find(&"docker.io".parse().unwrap()).unwrap()
    }

    fn entry(confirmed: SystemTime) -> TagEntry {
        TagEntry {
            digest: manifest_model::Digest::of(manifest_model::Algorithm::Sha256, b""),
            confirmed,
        }
    }

    fn state(tag: &str, age: u64) -> Freshness {
        let now = SystemTime::now();
        state_at(tag, now - Duration::from_secs(age), now)
    }

    fn state_at(tag: &str, confirmed: SystemTime, now: SystemTime) -> Freshness {
        let (config, tag) = (settings(LINES), tag.parse().unwrap());
        let is_immutable = is_immutable(&tag, &config);
        freshness(&entry(confirmed), &tag, is_immutable, &config, now)
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_tag_fresh_until_it_has_caught_up() {
        let now = SystemTime::now();
        let future = now + Duration::from_hours(8);
        assert_eq!(
            state_at("latest", future, now),
            Freshness::Stale(Duration::ZERO)
        );
        assert_eq!(state_at("v1", future, now), Freshness::Fresh);
    }

    #[test]
    fn the_first_pattern_that_fits_says_how_long_a_tag_holds() {
        assert_eq!(state("latest", 59), Freshness::Fresh);
        assert_eq!(
            state("latest", 61),
            Freshness::Stale(Duration::from_secs(61))
        );
        assert_eq!(
            state("latest", 121),
            Freshness::Expired(Duration::from_secs(121))
        );
        assert_eq!(state("nightly-1", 3599), Freshness::Fresh);
        assert_eq!(
            state("nightshift", 1),
            Freshness::Stale(Duration::from_secs(1))
        );
        assert_eq!(state("v1", 1_000_000), Freshness::Fresh);
    }

    #[test]
    fn a_life_says_when_a_tag_is_asked_for_again_and_when_it_dies() {
        let now = SystemTime::now();
        let confirmed = now - Duration::from_secs(61);
        let life = |tag: &str, lines: &str| {
            let (config, tag) = (settings(lines), tag.parse().unwrap());
            TagLife::of(&entry(confirmed), &tag, &config, now)
        };
        let stale = life("latest", LINES);
        assert_eq!(stale.state, TagState::Stale);
        assert_eq!(stale.asked_again, Some(confirmed + Duration::from_mins(1)));
        assert_eq!(stale.expires, Some(confirmed + Duration::from_mins(2)));
        let pinned = life("v1", LINES);
        assert_eq!((pinned.state, pinned.expires), (TagState::Immutable, None));
        let held = life("latest", "offline = true");
        assert_eq!((held.state, held.asked_again), (TagState::Held, None));
    }
}
