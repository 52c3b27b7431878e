//! Since when the readers of a download wait where they are, whichever connection they wait for.

use upstream::Deadline;

/// The positions at which readers wait, and when each wait ends.
#[derive(Debug, Default)]
pub(super) struct Waits(Vec<(u64, Deadline)>);

impl Waits {
    /// Readers wait at these positions now. A wait `begins` where none was before.
    pub(super) fn are_at(&mut self, positions: &[u64], begins: impl Fn() -> Deadline) {
        self.0.retain(|(at, _)| positions.contains(at));
        for position in positions {
            if self.at(*position).is_none() {
                self.0.push((*position, begins()));
            }
        }
    }

    /// Whether a reader at `position` has waited all its time, once a connection for it has failed. What
    /// that had `left` is the reader's: its clock knows the waits for rate limits.
    pub(super) fn is_over(&mut self, position: u64, left: &Deadline) -> bool {
        let mut waits = self.0.iter_mut();
        let Some((_, wait)) = waits.find(|(at, _)| *at == position) else {
            return false;
        };
        if wait.left() < left.left() {
            *wait = left.clone();
        }
        wait.is_over()
    }

    /// The wait at `position`, if a reader waits there.
    pub(super) fn at(&self, position: u64) -> Option<&Deadline> {
        let mut waits = self.0.iter();
        waits.find_map(|(at, wait)| (*at == position).then_some(wait))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_stays_goes_on_waiting_and_who_moves_on_begins_anew() {
        let config = config::Config::parse("archway.toml", "").unwrap();
        let upstream = config.upstreams.find(&"docker.io".parse().unwrap());
        let upstream = upstream.unwrap();
        let begins = || Deadline::new(&upstream);
        let (mut waits, whole) = (Waits::default(), begins().left());
        waits.are_at(&[0, 100], begins);
        advance(Duration::from_secs(3)).await;
        waits.are_at(&[50, 100], begins);
        assert!(waits.at(0).is_none());
        assert_eq!(waits.at(50).unwrap().left(), whole);
        let rest = whole.saturating_sub(Duration::from_secs(3));
        assert_eq!(waits.at(100).unwrap().left(), rest);
        advance(rest).await;
        waits.are_at(&[100], begins);
        let over = begins().renewed(Instant::now() - whole);
        assert!(waits.is_over(100, &over));
        assert!(!waits.is_over(200, &over), "no reader is there");
        assert!(!waits.is_over(100, &begins()), "it waited for a rate limit");
        assert_eq!(waits.at(100).unwrap().left(), whole);
    }
}
