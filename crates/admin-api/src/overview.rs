//! `GET /_archway/v1/overview`: whether it is well, what it is worth, and what it is doing.

use serde::{Deserialize, Serialize};

use crate::Time;

/// The first look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// The version of the program.
    pub version: String,
    /// When it started.
    pub started: Time,
    /// When this was gathered.
    pub now: Time,
    /// How it is, in one or a few English sentences. It begins with `Well.` where nothing is wrong.
    pub sentence: String,
    /// What is wrong, the worst first; empty if nothing is.
    pub troubles: Vec<Trouble>,
    /// What it has carried since it started.
    pub traffic: Traffic,
    /// What is on the disk.
    pub disk: DiskUse,
    /// The downloads of this moment.
    pub fills: FillsNow,
    /// Answers of status 5xx in the last hour.
    pub errors_last_hour: u64,
    /// Answers of status 404 for want of a platform, in the last hour.
    pub platform_missing_last_hour: u64,
    /// Upstreams in use.
    pub upstreams: usize,
    /// The upstreams of which an endpoint is in trouble.
    pub upstreams_in_trouble: Vec<String>,
    /// The least number of pulls that an upstream has left; none where none has announced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulls_left: Option<PullsLeft>,
}

/// The pulls that an upstream has left, as last announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullsLeft {
    /// The upstream's key in the configuration.
    pub upstream: String,
    /// The pulls.
    pub left: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What.
    pub kind: TroubleKind,
    /// What it is about: an upstream, a platform, a listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Until when: the next probe, the end of a pause, the expiry of a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// How many, of what the kind counts in the last hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The cause, in English, without URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The same in one English sentence.
    pub sentence: String,
}

impl Trouble {
    /// One of this kind, with nothing but its sentence.
    pub fn new(kind: TroubleKind, sentence: String) -> Self {
        Self {
            kind,
            of: None,
            since: None,
            until: None,
            count: None,
            cause: None,
            sentence,
        }
    }
}

/// The kinds of trouble, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// A stored blob, or one that came, was not what its digest says. `count` counts.
    IntegrityFailure,
    /// No endpoint of an upstream answers.
    UpstreamDown,
    /// An upstream refuses our credentials. `count` counts.
    UpstreamRefuses,
    /// The disk takes no more downloads. `count` counts.
    DiskFull,
    /// Shutdown has begun.
    ShuttingDown,
    /// A certificate of ours has expired, or does soon, at `until`.
    CertificateExpires,
    /// A token of an upstream runs out at `until`, and was not renewed.
    TokenExpires,
    /// One endpoint of an upstream does not answer, another does.
    EndpointDown,
    /// An upstream limits our calls, until `until`.
    UpstreamThrottles,
    /// Tags are served stale, because their upstream gives no answer. `count` counts.
    ServingStale,
    /// Clients ask for a platform that images lack. `count` counts.
    PlatformMissing,
    /// Downloads wait for a slot, or got none. `count` counts.
    FillsQueued,
}

/// Bytes and requests since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes of answers to clients.
    pub sent: u64,
    /// Bytes of answers of upstreams.
    pub received: u64,
    /// Bytes that clients got and that came from no upstream: `sent` less `received`, or 0.
    pub saved: u64,
    /// The share of `saved` in `sent`, from 0 to 1; none before the first byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hit_ratio: Option<f64>,
    /// Requests of clients.
    pub requests: u64,
    /// Requests of clients that were answered without an upstream.
    pub hits: u64,
    /// Calls to upstreams.
    pub upstream_calls: u64,
}

/// What is stored, with its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUse {
    /// Bytes of all stored blobs.
    pub bytes: u64,
    /// How many they are, manifests included.
    pub blobs: u64,
    /// The bound on `bytes`, running downloads included.
    pub max_bytes: u64,
    /// Bytes of what bundles pin, which never leaves.
    pub pinned_bytes: u64,
    /// Bytes evicted since the start.
    pub evicted_bytes: u64,
    /// Bytes that the file system can still give; none where it does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free: Option<u64>,
    /// Bytes of the file system that are left to others.
    pub disk_reserve: u64,
}

/// The downloads of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillsNow {
    /// Those that run.
    pub running: usize,
    /// Those of them that wait for something.
    pub waiting: usize,
    /// The readers of all of them.
    pub followers: usize,
    /// Bytes a second, of all of them.
    pub rate: u64,
    /// How many may run at a time.
    pub max: usize,
}
