//! When to look for a startup taint, and what to tell of it.

use std::time::{Duration, Instant};

use protocol::error_chain::ErrorChain;
use tokio::time::timeout;

use super::{StartupTaint, Tainted};

/// The longest time for one look: who looks has other work.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two attempts that failed.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Between two looks while it is gone: who makes nodes may put it there again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How long it may come back. A node that was started longer ago keeps what others put there.
const STARTS_FOR: Duration = Duration::from_mins(10);

/// A taint, and when to look for it.
#[derive(Debug)]
pub struct TaintWatch {
    startup: StartupTaint,
    began: Instant,
    /// The next look; `None` once it may stay.
    due: Option<Instant>,
}

impl TaintWatch {
    /// The first look is due at once.
    pub fn of(startup: StartupTaint) -> Self {
        let now = Instant::now();
        Self {
            startup,
            began: now,
            due: Some(now),
        }
    }

    /// Takes it away where it is there, if it is time to look. Returns what was found, as a line.
    pub async fn look(&mut self) -> Option<String> {
        if self.due.is_none_or(|due| Instant::now() < due) {
            return None;
        }
        let key = &self.startup.key;
        let (text, is_gone) = match timeout(LOOK_TIMEOUT, self.startup.remove()).await {
            Ok(Ok(Tainted::NoLonger)) => (format!("done: took the taint {key} away"), true),
            Ok(Ok(Tainted::Not)) => (format!("this node has no taint {key}"), true),
            Ok(Ok(Tainted::Unknown)) => return None,
            Ok(Err(error)) => (format!("error: {}", ErrorChain(&error)), false),
            Err(_) => (
                format!("error: the taint {key} stays, since the cluster's API does not answer"),
                false,
            ),
        };
        let is_over = is_gone && self.began.elapsed() > STARTS_FOR;
        let pause = if is_gone { LOOK_AGAIN } else { TRY_AGAIN };
        self.due = (!is_over).then(|| Instant::now() + pause);
        Some(text)
    }
}
