//! The error of a call that was not made.

use std::{sync::Arc, time::Duration};

/// An endpoint or a token realm failed before, and is not asked until a probe is answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no request is sent until a probe succeeds; the last failure was: {reason}")]
pub struct CircuitOpen {
    /// The last failure with its causes, without URLs. It is text, since the error itself went to
    /// the client whose request failed.
    pub reason: Arc<str>,
    /// When it is worth asking again.
    pub retry_in: Duration,
}
