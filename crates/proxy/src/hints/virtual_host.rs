//! `arm64.mirror.example`: a name of ours that stands for a platform.

use super::{Clues, PlatformRequest};

pub(super) fn wish(clues: &Clues<'_>) -> Option<PlatformRequest> {
    clues
        .host
        .and_then(|host| clues.config.of_host(host))
        .cloned()
}
