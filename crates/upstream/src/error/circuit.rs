//! The error of a call that was not made.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// An endpoint or a token realm failed before, and is not asked until a probe is answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}, and is asked again in {} s: {reason}", first(*since), retry_in.as_secs() + 1)]
pub struct CircuitOpen {
    /// The last failure with its causes, without URLs. It is text, since the error itself went to
    /// the client whose request failed.
    pub reason: Arc<str>,
    /// The time of the first failure.
    pub since: SystemTime,
    /// When it is worth asking again.
    pub retry_in: Duration,
}

fn first(time: SystemTime) -> String {
    format!("it fails since {}", humantime::format_rfc3339_seconds(time))
}
