//! The pauses that upstreams have asked for, told to the others with the answer to a greeting.
//!
//! Each is kept with its end, so that it grows no longer by being passed round.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::hello::ToldPause;

/// How many are told, and heard: a greeting is small.
const MAX_PAUSES: usize = 32;

/// A pause, with what it is for, and its end.
type Ending = (ToldPause, Instant);

/// The pauses of this replica, and those that it has heard of.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    told: Mutex<Vec<Ending>>,
    heard: Mutex<Vec<Ending>>,
}

impl Pauses {
    /// These are the pauses of this replica now.
    pub(crate) fn tell(&self, pauses: Vec<ToldPause>) {
        *self.told.lock() = ending(pauses);
    }

    /// What others are told.
    pub(crate) fn told(&self) -> Vec<ToldPause> {
        left(&self.told.lock())
    }

    /// Another replica has these.
    pub(crate) fn hear(&self, pauses: Vec<ToldPause>) {
        let mut heard = self.heard.lock();
        heard.extend(ending(pauses));
        heard.truncate(MAX_PAUSES);
    }

    /// What was heard since the last call.
    pub(crate) fn take_heard(&self) -> Vec<ToldPause> {
        left(&std::mem::take(&mut *self.heard.lock()))
    }
}

fn ending(pauses: Vec<ToldPause>) -> Vec<Ending> {
    let now = Instant::now();
    let pauses = pauses.into_iter().take(MAX_PAUSES);
    pauses
        .filter_map(|pause| {
            let end = now.checked_add(Duration::from_millis(pause.left_ms))?;
            Some((pause, end))
        })
        .collect()
}

fn left(pauses: &[Ending]) -> Vec<ToldPause> {
    let now = Instant::now();
    let running = pauses.iter().filter(|(_, end)| *end > now);
    running
        .map(|(pause, end)| ToldPause {
            left_ms: u64::try_from((*end - now).as_millis()).unwrap_or(u64::MAX),
            ..pause.clone()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(left_ms: u64) -> ToldPause {
        ToldPause {
            upstream: "docker.io".to_owned(),
            endpoint: "https://registry-1.docker.io".to_owned(),
            calls: "blobs".to_owned(),
            left_ms,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_told_with_what_is_left_of_it() {
        let pauses = Pauses::default();
        pauses.tell(vec![pause(5000)]);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(pauses.told(), [pause(3000)]);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(pauses.told(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_heard_is_taken_once_and_is_bounded() {
        let pauses = Pauses::default();
        for _ in 0..3 {
            pauses.hear(vec![pause(5000); MAX_PAUSES]);
        }
        assert_eq!(pauses.take_heard().len(), MAX_PAUSES);
        assert_eq!(pauses.take_heard(), []);
        pauses.hear(vec![pause(u64::MAX)]);
        assert!(pauses.take_heard().len() <= 1, "an end without end is none");
    }
}
