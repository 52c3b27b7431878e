//! What the parts of one tier share.

use std::sync::Arc;

use cache::Cache;
use config::TierConfig;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    bucket::Bucket, inventory::Inventory, mark::Key, metrics::TierMetrics, news::News,
    pending::Pending, records::Records, tags::KnownTags, upload::Uploads,
};

/// The state of one tier. Each part owns its own.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: TierConfig,
    pub(crate) cache: Cache,
    pub(crate) bucket: Bucket,
    pub(crate) inventory: Arc<Inventory>,
    pub(crate) key: Key,
    pub(crate) records: Records,
    pub(crate) uploads: Uploads,
    pub(crate) pending: Pending,
    pub(crate) news: News,
    pub(crate) tags: KnownTags,
    pub(crate) metrics: TierMetrics,
    pub(crate) tasks: TaskTracker,
    pub(crate) closing: CancellationToken,
}
