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

    /// Another replica has these. All of them tell the same one, and that is not to take the place of others.
    pub(crate) fn hear(&self, pauses: Vec<ToldPause>) {
        let mut heard = self.heard.lock();
        for (pause, end) in ending(pauses) {
            match heard.iter().position(|(known, _)| is_same(known, &pause)) {
                Some(place) => {
                    let (_, known) = &mut heard[place];
                    *known = end.max(*known);
                }
                None if heard.len() < MAX_PAUSES => heard.push((pause, end)),
                None => {}
            }
        }
    }

    /// What was heard since the last call.
    pub(crate) fn take_heard(&self) -> Vec<ToldPause> {
        left(&std::mem::take(&mut *self.heard.lock()))
    }
}

/// Whether two pauses hold back the same calls.
fn is_same(one: &ToldPause, other: &ToldPause) -> bool {
    one.upstream == other.upstream && one.endpoint == other.endpoint && one.calls == other.calls
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
    async fn what_many_tell_is_heard_once_and_its_last_end_counts() {
        let pauses = Pauses::default();
        for left_ms in [3000, 5000, 4000] {
            pauses.hear(vec![pause(left_ms)]);
        }
        assert_eq!(pauses.take_heard(), [pause(5000)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_heard_is_taken_once_and_is_bounded() {
        let pauses = Pauses::default();
        let of = |number: usize| ToldPause {
            endpoint: format!("https://{number}.test"),
            ..pause(5000)
        };
        for start in 0..3 {
            pauses.hear((start..start + MAX_PAUSES).map(of).collect());
        }
        assert_eq!(pauses.take_heard().len(), MAX_PAUSES);
        assert_eq!(pauses.take_heard(), []);
        pauses.hear(vec![pause(u64::MAX)]);
        assert!(pauses.take_heard().len() <= 1, "an end without end is none");
    }
}
