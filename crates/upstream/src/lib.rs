//! Asking registries: the HTTP client, its credentials, rates and health.
//!
//! The crate owns all traffic to registries, their stores and token realms: TLS trust, redirects,
//! tokens, rate limits, backing off, circuit breaking, failover between endpoints, and the metrics
//! of these. It turns every answer into a value or into a [`FetchError`], one variant per decision.
//!
//! It refuses to know clients: no header of theirs reaches an upstream, and every request carries
//! the full `Accept`. It stores nothing but tokens. Manifests are verified here against the digest
//! asked for; blobs are verified where they are written.
//!
//! Read first: `upstream.rs` (the front: one method per question), `error.rs` (what can go wrong),
//! `endpoint.rs` (the way of one request), `policy/health.rs` (the circuit breaker) and
//! `auth/token_slot.rs` (the renewal of a token). The modules form layers, each using those below:
//!
//! | module | owns |
//! |---|---|
//! | `registry`, `prober`, `blob_source` | upstreams in use; checks for `doctor`; one download |
//! | `upstream`, `failover` | one upstream and the order of its endpoints |
//! | `manifest`, `blob`, `lists` | one question each to one endpoint |
//! | `endpoint` | credentials, redirects and verdicts for one request |
//! | `auth`, `metrics` | logins and tokens; counters |
//! | `policy`, `transport`, `resolver` | when to send; how to connect |
//! | `response`, `gather`, `error`, `redirect` | answers read in time; vocabulary |

mod auth;
mod blob;
mod blob_source;
mod endpoint;
mod error;
mod failover;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gather;
mod lists;
mod manifest;
mod metrics;
mod policy;
mod prober;
mod redirect;
mod registry;
mod resolver;
mod response;
mod transport;
mod upstream;

pub use self::{
    auth::{AwsKey, AwsKeys, EcrTokens, ImagePushTimes, NoAwsKey, PushTimesError, own_region},
    blob::{BlobBody, Part},
    blob_source::BlobSource,
    error::{
        CallKind, Cause, CircuitOpen, EcrError, FetchError, HttpError, RangeRefusal, RealmError,
        RejectedRealm, Resource, SdkFailure, TokenError,
    },
    gather::{Gathered, Room},
    lists::{Listing, ListingKind},
    policy::{Backoff, Deadline, EndpointStatus, Outage, Pause, Urgency},
    prober::{PingAnswer, Prober},
    redirect::{ForbiddenHost, RedirectError},
    registry::Registry,
    upstream::Upstream,
};
pub use tally::{UpstreamMetrics, UpstreamTally};
