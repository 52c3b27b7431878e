//! The parts of a running Archway that can be changed.

use std::sync::Arc;

use pull::Pull;
use server::Server;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{LiveConfig, ReloadRequests};

/// The parts that can be changed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    /// What is pulled through, and the cache.
    pub pull: Pull,
    /// What names mean.
    pub config: LiveConfig,
    /// Answers that are given again, until told otherwise.
    pub server: Server,
    /// The way to whoever reads the configuration again.
    pub reloads: ReloadRequests,
    /// Whose turn it is.
    pub turns: Turns,
    /// The end of the process.
    pub stop: CancellationToken,
}

/// What is done one at a time. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    /// Held by the one removal that runs: each looks at all that is stored.
    pub removing: Arc<Mutex<()>>,
    /// Held by the one import that runs.
    pub importing: Arc<Mutex<()>>,
}
