//! `arm64.mirror.example`: a host name of this proxy that means a platform.

use super::{Clues, Wish};

pub(super) fn wish(clues: &Clues<'_>) -> Option<Wish> {
    clues
        .host
        .and_then(|host| clues.config.of_host(host))
        .cloned()
}
