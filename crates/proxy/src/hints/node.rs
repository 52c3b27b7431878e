//! The node of the cluster whose runtime asks, by its address. It was looked up before, since the
//! explanation names it.

use cluster::Node;

use super::{Clues, PlatformRequest};

pub(super) fn wish(clues: &Clues<'_>) -> Option<PlatformRequest> {
    let platform = clues.node.and_then(Node::platform)?;
    Some(PlatformRequest::Platform(platform.clone()))
}
