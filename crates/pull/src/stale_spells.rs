//! What the log says of tags that go out unconfirmed: one line when that begins at an upstream, and
//! one when it is over. A spell is over with a confirmation, once no tag went out stale for a while:
//! while one repository is refused and others are not, both happen in turn.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use protocol::{error_chain::ErrorChain, host::Host};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::PullError;

/// How long no tag went out stale before a spell is over.
const QUIET: Duration = Duration::from_secs(30);

/// Spells that are known at once. Clients choose the hosts that a pattern matches.
const MAX_SPELLS: usize = 1000;

/// The upstreams of which tags go out unconfirmed.
#[derive(Debug, Default)]
pub(super) struct StaleSpells(Mutex<HashMap<Host, Spell>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spell {
    since: Instant,
    last: Instant,
    /// Answers so far.
    answers: u64,
}

impl StaleSpells {
    /// A tag of `upstream` goes out as last seen, because of `problem`.
    pub(super) fn served(&self, upstream: &Host, problem: &PullError) {
        if self.begins(upstream, Instant::now()) {
            warn!(
                %upstream,
                error = %ErrorChain(problem),
                "tags of an upstream go out as last seen: it does not confirm them; after stale_if_error they fail"
            );
        }
    }

    /// A tag of `upstream` was confirmed.
    pub(super) fn confirmed(&self, upstream: &Host) {
        if let Some(spell) = self.ended(upstream, Instant::now()) {
            info!(
                %upstream,
                seconds = (spell.last - spell.since).as_secs(),
                answers = spell.answers,
                "tags of an upstream are confirmed again"
            );
        }
    }

    fn begins(&self, upstream: &Host, now: Instant) -> bool {
        let mut spells = self.0.lock();
        if let Some(spell) = spells.get_mut(upstream) {
            spell.last = now;
            spell.answers += 1;
            return false;
        }
        if spells.len() < MAX_SPELLS {
            let spell = Spell {
                since: now,
                last: now,
                answers: 1,
            };
            spells.insert(upstream.clone(), spell);
        }
        true
    }

    fn ended(&self, upstream: &Host, now: Instant) -> Option<Spell> {
        let mut spells = self.0.lock();
        let spell = *spells.get(upstream)?;
        if now < spell.last + QUIET {
            return None;
        }
        spells.remove(upstream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spell_begins_once_and_ends_when_no_tag_went_out_stale_for_a_while() {
        let (spells, now) = (StaleSpells::default(), Instant::now());
        let host = "registry.test".parse().unwrap();
        assert!(spells.begins(&host, now));
        assert!(!spells.begins(&host, now + QUIET));
        assert_eq!(spells.ended(&host, now + QUIET), None);
        let ended = spells.ended(&host, now + 2 * QUIET).unwrap();
        assert_eq!((ended.answers, ended.last - ended.since), (2, QUIET));
        assert!(spells.begins(&host, now + 3 * QUIET));
    }
}
