//! A route's word that its answer may be given again to the same request.

use std::time::Duration;

use bytes::Bytes;

use crate::telemetry::access::Template;

/// The largest body worth keeping in memory.
pub(super) const LARGEST: u64 = 64 * 1024;

/// What is needed to give an answer again. It travels in the response's extensions; see `server::replay`.
#[derive(Clone, Debug)]
pub(crate) struct Keep {
    /// The body, which the response has too.
    pub(crate) body: Bytes,
    /// How long the answer holds.
    pub(crate) holds_for: Duration,
    /// The count of tags written when it was made, if the answer depends on a tag.
    pub(crate) tag_writes: Option<u64>,
    /// What is logged and counted of it; filled in by whoever logs and counts.
    pub(crate) template: Option<Template>,
}
