//! Which records of names this process has written, so that none is written twice for nothing.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use manifest_model::{Digest, RepoKey, Tag};
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long after its last record a tag that has not moved is written again, so that the record's age
/// says how long ago the upstream confirmed it.
pub const RECORD_INTERVAL: Duration = Duration::from_hours(6);

/// How long after its last record a manifest that comes once more is written again: the janitor may have
/// deleted it.
const MANIFEST_INTERVAL: Duration = Duration::from_hours(24);

/// How many such records may be written in a minute.
const AGAIN_A_MINUTE: u32 = 4;

/// Names that are remembered; beyond that all are forgotten, which costs a write each.
const MAX_KNOWN: usize = 200_000;

/// The records that were written, by hashes of their names.
#[derive(Debug, Default)]
pub(crate) struct KnownTags(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    records: HashMap<u64, (u64, Instant)>,
    minute: Option<Instant>,
    again: u32,
}

impl KnownTags {
    /// Whether a tag that points at `digest` is to be written; it counts as written from now on.
    pub(crate) fn is_due(&self, repository: &RepoKey, tag: &Tag, digest: &Digest) -> bool {
        self.is_new(hash(&(repository, tag)), hash(digest))
    }

    /// The same of the record that a repository has a manifest.
    pub(crate) fn is_manifest_due(&self, repository: &RepoKey, digest: &Digest) -> bool {
        let (name, now) = (hash(&(repository, digest)), Instant::now());
        let mut known = self.0.lock();
        let last = known.records.get(&name).map(|(_, at)| *at);
        if last.is_some_and(|at| now.duration_since(at) < MANIFEST_INTERVAL) {
            return false;
        }
        known.make_room();
        known.records.insert(name, (0, now));
        true
    }

    fn is_new(&self, name: u64, value: u64) -> bool {
        let now = Instant::now();
        let mut known = self.0.lock();
        if let Some((written, at)) = known.records.get(&name)
            && *written == value
            && (now.duration_since(*at) < RECORD_INTERVAL || !known.may_write_again(now))
        {
            return false;
        }
        known.make_room();
        known.records.insert(name, (value, now));
        true
    }
}

impl Written {
    fn make_room(&mut self) {
        if self.records.len() >= MAX_KNOWN {
            self.records.clear();
        }
    }

    fn may_write_again(&mut self, now: Instant) -> bool {
        let is_over = |begun: Instant| now.duration_since(begun) >= Duration::from_mins(1);
        if self.minute.is_none_or(is_over) {
            self.minute = Some(now);
            self.again = 0;
        }
        self.again += 1;
        self.again <= AGAIN_A_MINUTE
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(Algorithm::Sha256, text.as_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn a_tag_is_written_when_it_moves_and_now_and_then() {
        let known = KnownTags::default();
        let repository: RepoKey = "docker.io/library/hello".parse().unwrap();
        let tag: Tag = "latest".parse().unwrap();
        let is_due = |text| known.is_due(&repository, &tag, &digest(text));
        assert!(is_due("one"));
        assert!(!is_due("one"));
        assert!(is_due("two"));
        assert!(is_due("one"), "it has moved back");
        tokio::time::advance(RECORD_INTERVAL).await;
        assert!(is_due("one"));
        assert!(!is_due("one"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_manifest_that_comes_again_is_written_once_a_day() {
        let known = KnownTags::default();
        let repository: RepoKey = "docker.io/library/hello".parse().unwrap();
        let is_due = || known.is_manifest_due(&repository, &digest("one"));
        assert!(is_due());
        assert!(!is_due());
        tokio::time::advance(MANIFEST_INTERVAL).await;
        assert!(is_due());
    }

    #[tokio::test(start_paused = true)]
    async fn tags_that_have_not_moved_are_written_a_few_at_a_time() {
        let known = KnownTags::default();
        let repository: RepoKey = "docker.io/library/hello".parse().unwrap();
        let tags: Vec<Tag> = (0..100)
            .map(|number| format!("v{number}").parse().unwrap())
            .collect();
        let due = || {
            let due = tags.iter();
            due.filter(|tag| known.is_due(&repository, tag, &digest("one")))
                .count()
        };
        assert_eq!(due(), 100);
        tokio::time::advance(RECORD_INTERVAL).await;
        assert_eq!(due(), AGAIN_A_MINUTE as usize);
    }
}
