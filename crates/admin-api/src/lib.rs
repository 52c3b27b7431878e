//! Answers of the admin listener below `/_archway/v1/`.
//!
//! Owns their shapes alone: the parts that have the state fill them in, the command line shows them,
//! and scripts read them as JSON. Refuses to gather and to judge. Field names are a contract between
//! versions; `docs/reference` describes them.
//!
//! Sizes are bytes, times are RFC 3339 in UTC, rates are bytes per second. Names of images, tags,
//! annotations and programs are texts that strangers chose. A field that does not apply is absent.

mod cache;
mod clients;
mod configuration;
mod events;
mod evictions;
mod explained;
mod fills;
mod history;
mod image;
mod overview;
mod platforms;
mod report;
mod time;
mod topic;
mod upstreams;

pub use self::{
    cache::{CacheUse, Share},
    clients::{ClientFamily, ClientHints, Clients, KnownNetwork},
    configuration::Configuration,
    events::{Event, Events, Level},
    evictions::{CacheTotals, EvictionClass, Evictions, NextToGo},
    explained::{ExplainedAnswer, ExplainedName},
    fills::{EndedFill, FillEnd, FillOf, FillOrigin, FillPlace, FillWait, Fills, RunningFill},
    history::{History, Series, Unit},
    image::{ImageDetail, LinkRole, LinkedBlob, ManifestDetail},
    overview::{DiskUse, FillsNow, Overview, PullsLeft, Traffic, Trouble, TroubleKind},
    platforms::{LearnedPlace, PlatformCount, PlatformWeight, Platforms},
    report::{Lacking, Report},
    time::Time,
    topic::{Topic, UnknownTopic},
    upstreams::{
        CallBudget, CallRate, EndpointState, HeldCalls, UpstreamEndpoint, UpstreamState, Upstreams,
    },
};
