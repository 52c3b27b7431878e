//! The `platform` of a listener: one port per architecture, or one proxy per node.

use super::{Clues, Wish};

pub(super) fn wish(clues: &Clues<'_>) -> Option<Wish> {
    clues.listener.cloned()
}
