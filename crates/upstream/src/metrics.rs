//! Which counters of [`tally`] an event is for.

use protocol::host::HostPattern;
use tally::{Answer, EndpointState, UpstreamMetrics, UpstreamTally};

use crate::{
    error::{CallKind, Cause, FetchError},
    policy::EndpointStatus,
};

/// Counts an answer or a failure.
pub(crate) fn count(tally: &UpstreamTally, error: Option<&FetchError>) {
    let answer = match error {
        // The room is ours; the upstream has answered. An offline one is never asked.
        None | Some(FetchError::NoRoom { .. } | FetchError::Offline { .. }) => Answer::Ok,
        Some(FetchError::NotFound { .. }) => Answer::Absent,
        Some(FetchError::Refused { .. }) => Answer::Refused,
        Some(FetchError::Throttled { .. }) => Answer::Throttled,
        Some(FetchError::Unreachable {
            source: Cause::CircuitOpen(_) | Cause::NoFirstByte(_),
            ..
        }) => Answer::Resting,
        Some(FetchError::Unreachable { .. }) => Answer::Unreachable,
        Some(FetchError::Broken { source, .. }) => {
            if matches!(source.innermost(), Cause::WrongDigest { .. }) {
                tally.corrupt();
            }
            Answer::Broken
        }
    };
    tally.answer(answer);
}

/// Sets the gauges to the state of the endpoints; those of `patterns` without any are zero.
pub(crate) fn observe<'a>(
    metrics: &UpstreamMetrics,
    patterns: impl Iterator<Item = &'a HostPattern>,
    statuses: &'a [EndpointStatus],
) {
    let states = statuses.iter().map(|status| EndpointState {
        pattern: &status.pattern,
        is_down: status.outage.is_some(),
        held: status
            .held
            .iter()
            .map(|pause| pause.kind.as_str())
            .collect(),
        waiting: status.waiting,
        permits: &status.permits,
    });
    metrics.observe(patterns, &CallKind::ALL.map(CallKind::as_str), states);
}
