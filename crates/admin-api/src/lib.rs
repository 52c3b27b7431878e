//! The answers of the admin listener below `/_archway/v1/`.
//!
//! Owns the shapes alone: the server fills them in, the console and the command line show them, and
//! scripts read them as JSON. Refuses to gather and to judge. Field names are a contract between
//! versions; `docs/reference/openapi.json` describes them.
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
    clients::{ClientHints, Clients, KnownNetwork},
    configuration::Configuration,
    events::{Event, Events, Level},
    evictions::{EvictionClass, Evictions, NextToGo},
    explained::{ExplainedAnswer, ExplainedName},
    fills::{EndedFill, FillEnd, FillOf, FillOrigin, FillWait, Fills, RunningFill},
    history::{History, Series, Unit},
    image::{ImageDetail, LinkRole, LinkedBlob, ManifestDetail},
    overview::{DiskUse, FillsNow, Overview, Traffic, Trouble, TroubleKind},
    platforms::{LearnedPlace, PlatformCount, PlatformWeight, Platforms},
    report::{Lacking, Report},
    time::Time,
    topic::{Topic, UnknownTopic},
    upstreams::{
        CallRate, Credential, EndpointState, HeldCalls, UpstreamEndpoint, UpstreamState, Upstreams,
    },
};
