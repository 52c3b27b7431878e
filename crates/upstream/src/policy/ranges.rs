//! Whether an upstream answers requests with a `Range`.
//!
//! No client has asked for the ranges that a download asks for, so their refusal is no refusal of
//! the blob: the request is made again without the range. If that is answered, the refusal is
//! remembered for a while, so that the next blob costs one request: for the repository alone where
//! it may be about rights or about this one blob, else for the upstream.

use std::{collections::HashMap, time::Duration};

use manifest_model::RepoName;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::error::RangeRefusal;

/// How long an upstream that refuses ranges is asked for whole blobs.
const REMEMBERED_FOR: Duration = Duration::from_mins(10);

/// Doubtful refusals in a row, without an answered range in between, that count as a clear one.
const MAX_DOUBTFUL: u32 = 3;

/// Repositories whose refusals are remembered at the same time.
const MAX_REPOSITORIES: usize = 1000;

/// What the requests of one upstream have shown about ranges.
#[derive(Debug, Default)]
pub(crate) struct RangeMemory(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    doubtful: u32,
    refused_until: Option<Instant>,
    /// The same for single repositories.
    of_repository: HashMap<RepoName, Instant>,
}

impl RangeMemory {
    /// Whether to ask for blobs of `repository` without a range for now.
    pub(crate) fn are_refused(&self, repository: &RepoName, now: Instant) -> bool {
        let seen = self.0.lock();
        let untils = [
            seen.refused_until,
            seen.of_repository.get(repository).copied(),
        ];
        untils.into_iter().flatten().any(|until| now < until)
    }

    /// A request with a range was answered by one.
    pub(crate) fn answered(&self) {
        self.0.lock().doubtful = 0;
    }

    /// A request with a range was refused, and then answered without it.
    pub(crate) fn refused(&self, refusal: RangeRefusal, repository: &RepoName, now: Instant) {
        let seen = &mut *self.0.lock();
        if refusal == RangeRefusal::OfRepository {
            seen.of_repository.retain(|_, until| now < *until);
            if seen.of_repository.len() < MAX_REPOSITORIES {
                let until = now + REMEMBERED_FOR;
                seen.of_repository.insert(repository.clone(), until);
            }
            return;
        }
        seen.doubtful += 1;
        if refusal == RangeRefusal::Clear || seen.doubtful >= MAX_DOUBTFUL {
            seen.doubtful = 0;
            seen.refused_until = Some(now + REMEMBERED_FOR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(name: &str) -> RepoName {
        name.parse().unwrap()
    }

    #[test]
    fn a_clear_refusal_is_remembered_for_a_while() {
        let (memory, now, here) = (RangeMemory::default(), Instant::now(), repository("a"));
        assert!(!memory.are_refused(&here, now));
        memory.refused(RangeRefusal::Clear, &here, now);
        assert!(memory.are_refused(&repository("b"), now));
        assert!(!memory.are_refused(&here, now + REMEMBERED_FOR));
    }

    #[test]
    fn what_may_be_about_one_repository_counts_for_that_one() {
        let (memory, now, here) = (RangeMemory::default(), Instant::now(), repository("a"));
        memory.refused(RangeRefusal::OfRepository, &here, now);
        assert!(memory.are_refused(&here, now));
        assert!(!memory.are_refused(&repository("b"), now));
        assert!(!memory.are_refused(&here, now + REMEMBERED_FOR));
    }

    #[test]
    fn a_server_error_counts_from_the_third_in_a_row() {
        let (memory, now, here) = (RangeMemory::default(), Instant::now(), repository("a"));
        let refuse = |times| {
            (0..times).for_each(|_| memory.refused(RangeRefusal::Doubtful, &here, now));
        };
        refuse(2);
        memory.answered();
        refuse(2);
        assert!(!memory.are_refused(&here, now));
        refuse(1);
        assert!(memory.are_refused(&here, now));
    }
}
