//! `arm64.mirror.example`: a name of ours that stands for a platform.

use super::{Clues, Wish};

pub(super) fn wish(clues: &Clues<'_>) -> Option<Wish> {
    clues
        .host
        .and_then(|host| clues.config.of_host(host))
        .cloned()
}
