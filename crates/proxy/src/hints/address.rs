//! Networks whose machines are of one platform. The address is the connection's own, or the one a trusted proxy has named.

use super::{Clues, PlatformRequest};

pub(super) fn wish(clues: &Clues<'_>) -> Option<PlatformRequest> {
    clues.config.of_address(clues.peer).cloned()
}
