//! Networks whose machines share a platform. The address is the connection's, or the one a trusted
//! proxy names.

use super::{Clues, Wish};

pub(super) fn wish(clues: &Clues<'_>) -> Option<Wish> {
    clues.config.of_address(clues.peer).cloned()
}
