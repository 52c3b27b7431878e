//! When to send a request, and when not: rate limits, backing off, circuit breaking, hedging.
//!
//! These are state machines over time. They know neither requests nor credentials; endpoints and
//! token realms ask them before a request and report the result after it.

mod backoff;
mod budget;
mod call;
mod deadline;
mod health;
pub(crate) mod hedge;
pub(crate) mod probe;
mod ranges;
mod repeats;
mod status;
mod throttles;

pub use self::{
    backoff::Backoff, budget::Urgency, deadline::Deadline, health::Outage, status::EndpointStatus,
    throttles::Pause,
};
pub(crate) use self::{
    budget::{Budget, Throttle, WaitTooLong},
    call::Call,
    health::{Admission, Announce, Failure, Health, ProbeGuard},
    ranges::RangeMemory,
    repeats::{Answered, Repeats, Step},
    throttles::Throttles,
};
