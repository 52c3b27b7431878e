//! `reload`: the way from a request to whoever reads the configuration again, and the answer.

use std::fmt;

use config::Change;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the running reload.
const MAX_WAITING: usize = 16;

/// What a reload has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The keys that have another value now.
    pub changed: Vec<ChangedKey>,
    /// Those that differ from what runs and need a restart.
    pub needs_restart: Vec<ChangedKey>,
}

/// A key whose value differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedKey {
    /// Its name, as a file spells it.
    pub key: String,
    /// Its line in the file; absent where that leaves it to its default.
    pub line: Option<usize>,
}

/// Why the configuration stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file is no valid configuration: all its mistakes.
    #[error("{0}")]
    Invalid(String),
    /// The file is valid, and something it wants cannot be had here.
    #[error("{0}")]
    Impossible(String),
    /// The end has begun.
    #[error("shutting down")]
    Ending,
}

/// The outcome of a reload.
pub type ReloadOutcome = Result<Reloaded, ReloadError>;

/// Asks for reloads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReloadRequests(mpsc::Sender<oneshot::Sender<ReloadOutcome>>);

/// The reloads that were asked for, for the one who makes them.
#[derive(Debug)]
pub struct ReloadQueue(mpsc::Receiver<oneshot::Sender<ReloadOutcome>>);

/// A new way from requests to the one who answers them.
pub fn reloads() -> (ReloadRequests, ReloadQueue) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (ReloadRequests(sender), ReloadQueue(receiver))
}

impl ReloadRequests {
    /// Asks for one reload, and waits for its outcome. It goes on if this is dropped.
    pub(crate) async fn reload(&self) -> ReloadOutcome {
        let (sender, outcome) = oneshot::channel();
        if self.0.send(sender).await.is_err() {
            return Err(ReloadError::Ending);
        }
        outcome.await.unwrap_or(Err(ReloadError::Ending))
    }
}

impl ReloadQueue {
    /// The next request, and where its outcome goes. Pending for ever once nobody can ask.
    pub async fn next(&mut self) -> oneshot::Sender<ReloadOutcome> {
        match self.0.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

impl From<&Change> for ChangedKey {
    fn from(change: &Change) -> Self {
        Self {
            key: change.to_string(),
            line: change.line,
        }
    }
}

impl fmt::Display for ChangedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{} (line {line})", self.key),
            None => write!(formatter, "{} (no longer set)", self.key),
        }
    }
}
