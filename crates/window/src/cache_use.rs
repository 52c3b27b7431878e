//! What the disk is used for: the sums of now, and the divisions as last counted.

use admin_api::CacheUse;

use crate::parts::Parts;

pub(crate) fn gather(parts: &Parts) -> CacheUse {
    let cache = parts.pull.cache();
    let counted = parts.surveys.latest(cache, &parts.tasks);
    CacheUse {
        disk: parts.disk(),
        ..counted
    }
}
