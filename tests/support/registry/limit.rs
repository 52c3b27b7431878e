//! A registry that counts: so many calls in any second, and 429 for the rest.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a call counts. A little less than the second that is promised: calls a fifth of a
/// second apart arrive now and then a few milliseconds closer.
const WINDOW: Duration = Duration::from_millis(950);

/// The limit and the calls that count at the moment.
#[derive(Default)]
pub(super) struct Limit(Mutex<State>);

#[derive(Default)]
struct State {
    calls: Option<usize>,
    taken: VecDeque<Instant>,
}

impl Limit {
    pub(super) fn set(&self, calls: usize) {
        self.0.lock().expect("no panic under it").calls = Some(calls);
    }

    /// Whether one more call may pass; it counts if so.
    pub(super) fn take(&self) -> bool {
        let mut state = self.0.lock().expect("no panic under it");
        let Some(calls) = state.calls else {
            return true;
        };
        let now = Instant::now();
        state.taken.retain(|at| now - *at < WINDOW);
        let fits = state.taken.len() < calls;
        if fits {
            state.taken.push_back(now);
        }
        fits
    }
}
