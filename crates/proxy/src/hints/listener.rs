//! The `platform` of a listener: one port per architecture, or one proxy per node.

use super::{Clues, PlatformRequest};

pub(super) fn wish(clues: &Clues<'_>) -> Option<PlatformRequest> {
    clues.listener.cloned()
}
