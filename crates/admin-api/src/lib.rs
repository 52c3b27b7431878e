//! Answers of the admin listener below `/_archway/v1/`: what is downloaded, how upstreams are, and
//! what leaves the cache next.
//!
//! Owns their shapes alone: the parts that have the state fill them in, the command line shows them,
//! and scripts read them as JSON. Refuses to gather and to judge. Field names are a contract between
//! versions; `docs/reference` describes them.
//!
//! Sizes are bytes, times are RFC 3339 in UTC, rates are bytes per second. A field that does not
//! apply is absent.

mod evictions;
mod fills;
mod time;
mod upstreams;

pub use self::{
    evictions::{CacheTotals, EvictionClass, Evictions, NextToGo},
    fills::{EndedFill, FillEnd, FillOf, FillOrigin, FillPlace, FillWait, Fills, RunningFill},
    time::Time,
    upstreams::{CallBudget, EndpointState, HeldCalls, UpstreamEndpoint, UpstreamState, Upstreams},
};
