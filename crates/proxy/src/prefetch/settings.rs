//! The settings of `[prefetch]`, which a reload replaces.

use std::sync::Arc;

use arc_swap::ArcSwap;
use config::{Prefetch, PrefetchConfig};

/// The settings in force. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Settings(Arc<ArcSwap<PrefetchConfig>>);

impl Settings {
    pub(super) fn new(config: PrefetchConfig) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// Whether anything is learned and downloaded ahead.
    pub(super) fn are_on(&self) -> bool {
        self.0.load().mode == Prefetch::Learned
    }

    pub(super) fn current(&self) -> Arc<PrefetchConfig> {
        self.0.load_full()
    }

    pub(super) fn replace(&self, config: PrefetchConfig) {
        self.0.store(Arc::new(config));
    }
}
