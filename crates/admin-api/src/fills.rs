//! `GET /_archway/v1/fills`: the downloads into the cache that run, and the last that ended.

use manifest_model::Digest;
use serde::{Deserialize, Serialize};

use crate::Time;

/// The downloads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fills {
    /// Those that run, the oldest first.
    pub running: Vec<RunningFill>,
    /// The last hundred that ended, the latest first.
    pub ended: Vec<EndedFill>,
    /// How many may run at a time.
    pub max: usize,
}

/// What a download is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillOf {
    /// The blob.
    pub digest: Digest,
    /// The upstream, by its canonical name.
    pub upstream: String,
    /// The repository at the upstream that it is asked for.
    pub repository: String,
    /// The image that it belongs to, `HOST/REPOSITORY:TAG` or `HOST/REPOSITORY@DIGEST`; none where
    /// no remembered manifest names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The platform of that image, where an index tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Who started it.
    pub origin: FillOrigin,
}

/// Who started a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FillOrigin {
    /// A client that asked for the blob; `archway warm` is one.
    Client,
    /// Another replica, for its clients.
    Replica,
    /// Archway itself, ahead of clients.
    Prefetch,
}

impl FillOrigin {
    /// The spelling in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Replica => "replica",
            Self::Prefetch => "prefetch",
        }
    }
}

/// A download that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningFill {
    /// What it is for.
    #[serde(flatten)]
    pub of: FillOf,
    /// When it began.
    pub started: Time,
    /// Bytes of the whole; none until they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes that are there, those of an earlier download included.
    pub written: u64,
    /// Bytes that an earlier download has left, so that they need not come again; 0 if it did not
    /// resume.
    pub resumed: u64,
    /// Bytes a second, lately.
    pub rate: u64,
    /// Where the bytes come from now.
    pub from: FillPlace,
    /// Connections to there.
    pub connections: usize,
    /// Those who read it as it arrives.
    pub followers: usize,
    /// What it waits for; none while bytes come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<FillWait>,
}

/// Where the bytes of a download come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FillPlace {
    /// A registry.
    Upstream,
    /// Another replica.
    Replica,
    /// The bucket that replicas share.
    Tier,
}

impl FillPlace {
    /// The spelling in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Replica => "replica",
            Self::Tier => "tier",
        }
    }
}

/// What a download waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FillWait {
    /// A slot: as many downloads as may run at a time do.
    Slot,
    /// The upstream's first answer, and the turn to ask for it.
    Answer,
    /// Room on the disk.
    Room,
    /// Bytes: none has come for more than a second.
    Bytes,
    /// The disk: all bytes are there, and are checked and stored.
    Storing,
}

impl FillWait {
    /// The spelling in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slot => "slot",
            Self::Answer => "answer",
            Self::Room => "room",
            Self::Bytes => "bytes",
            Self::Storing => "storing",
        }
    }
}

/// A download that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedFill {
    /// What it was for.
    #[serde(flatten)]
    pub of: FillOf,
    /// When it began.
    pub started: Time,
    /// When it ended.
    pub ended: Time,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Bytes of the whole, where they were known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes that were there at the end.
    pub written: u64,
    /// Bytes of `written` that an earlier download had left.
    pub resumed: u64,
    /// How it ended.
    pub end: FillEnd,
    /// The cause, in English, where it was not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// How a download ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FillEnd {
    /// The blob is stored.
    Stored,
    /// The upstream did not give it, or not to its end.
    Failed,
    /// As many downloads as may run at a time did, for too long.
    NoSlot,
    /// Nobody followed it, and others waited: the next request resumes it.
    GaveWay,
    /// Its clients have a download of their own past the cache.
    SentPast,
    /// The disk did not take it.
    Unstored,
    /// What came was not what its digest says.
    Wrong,
    /// A shutdown cut it.
    Cut,
}

impl FillEnd {
    /// The spelling in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Failed => "failed",
            Self::NoSlot => "no_slot",
            Self::GaveWay => "gave_way",
            Self::SentPast => "sent_past",
            Self::Unstored => "unstored",
            Self::Wrong => "wrong",
            Self::Cut => "cut",
        }
    }
}
