//! The configuration in force, which a reload replaces.

use std::sync::Arc;

use arc_swap::ArcSwap;
use config::Config;

/// The configuration in force. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct LiveConfig(Arc<ArcSwap<Config>>);

impl LiveConfig {
    /// With this one in force.
    pub fn new(config: Config) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// The one in force now. Whoever begins with it keeps it to the end.
    pub fn current(&self) -> Arc<Config> {
        self.0.load_full()
    }

    /// Puts another one in force.
    pub fn replace(&self, config: Config) {
        self.0.store(Arc::new(config));
    }
}
