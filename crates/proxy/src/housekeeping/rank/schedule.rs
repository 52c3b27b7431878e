//! When a walk is due: one at a time, and none without a pause after the one before.

use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

/// A walk that took a second is followed by a pause of this many seconds. It has worked for a tenth
/// of that second: it keeps to a [`cache::DutyCycle`].
const PAUSE_FACTOR: u32 = 20;

/// When the next walk may begin.
#[derive(Debug)]
pub(super) struct Schedule {
    next: Mutex<Next>,
}

#[derive(Debug)]
enum Next {
    At(Instant),
    Running,
}

/// A walk that is under way. It ends with this, however it ends.
#[derive(Debug)]
pub(super) struct Run<'a> {
    schedule: &'a Schedule,
    started: Instant,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        *self.schedule.next() = Next::At(Instant::now() + self.started.elapsed() * PAUSE_FACTOR);
    }
}

impl Schedule {
    pub(super) fn new() -> Self {
        Self {
            next: Mutex::new(Next::At(Instant::now())),
        }
    }

    /// Whether a walk is due. The caller then makes it within [`Self::run`].
    pub(super) fn begin(&self, is_near: impl FnOnce() -> bool) -> bool {
        let mut next = self.next();
        let is_due = matches!(*next, Next::At(at) if at <= Instant::now()) && is_near();
        if is_due {
            *next = Next::Running;
        }
        is_due
    }

    pub(super) fn run(&self) -> Run<'_> {
        Run {
            schedule: self,
            started: Instant::now(),
        }
    }

    fn next(&self) -> MutexGuard<'_, Next> {
        self.next.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_walk_is_followed_by_a_pause_that_its_length_decides() {
        let schedule = Schedule::new();
        assert!(!schedule.begin(|| false), "no eviction is near");
        assert!(schedule.begin(|| true));
        assert!(!schedule.begin(|| true), "one is under way");
        let mut run = schedule.run();
        run.started -= Duration::from_secs(1);
        drop(run);
        assert!(!schedule.begin(|| true), "it rests for twenty seconds");
    }

    #[test]
    fn a_walk_that_panics_is_over() {
        let schedule = Schedule::new();
        assert!(schedule.begin(|| true));
        let walk = std::panic::AssertUnwindSafe(|| {
            let _run = schedule.run();
            panic!("a walk fails");
        });
        std::panic::catch_unwind(walk).unwrap_err();
        assert!(matches!(*schedule.next(), Next::At(_)));
    }
}
