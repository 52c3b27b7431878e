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
    due: Instant,
    /// The last thing that was told.
    told: String,
}

impl TaintWatch {
    /// The first look is due at once.
    pub fn of(startup: StartupTaint) -> Self {
        let now = Instant::now();
        Self {
            startup,
            began: now,
            due: now,
            told: String::new(),
        }
    }

    /// Takes it away where it is there, if it is time to look. Returns what there is to tell.
    pub async fn look(&mut self) -> Option<String> {
        if Instant::now() < self.due {
            return None;
        }
        let key = &self.startup.key;
        let (text, pause) = match timeout(LOOK_TIMEOUT, self.startup.remove()).await {
            Ok(Ok(Tainted::NoLonger)) => (format!("done: took the taint {key} away"), LOOK_AGAIN),
            Ok(Ok(Tainted::Not)) => (format!("this node has no taint {key}"), LOOK_AGAIN),
            Ok(Ok(Tainted::Unknown)) => return None,
            Ok(Err(error)) => (format!("error: {}", ErrorChain(&error)), TRY_AGAIN),
            Err(_) => (
                format!("error: the taint {key} stays, since the cluster's API does not answer"),
                TRY_AGAIN,
            ),
        };
        let now = Instant::now();
        self.due = now + pause;
        if pause == LOOK_AGAIN && self.began.elapsed() > STARTS_FOR {
            self.due = now + Duration::from_hours(24 * 365);
        }
        let is_news = self.told != text;
        self.told.clone_from(&text);
        is_news.then_some(text)
    }
}
