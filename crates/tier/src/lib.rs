//! The tier: a bucket that replicas share, with a second copy of what was downloaded and of what
//! names it.
//!
//! Every blob that an upstream sends goes there while it arrives, under its digest. A replica that
//! lacks one reads it there before it asks the upstream, and hashes it as it would the upstream's.
//! Which blobs there are an inventory in memory says: a hit and a true miss cost no
//! request. Records of tags and manifests are read only when an upstream is gone.
//!
//! The bucket is never trusted and never needed. A breaker leaves it alone when it is
//! in trouble: then everything is a miss, and what is to be written waits on the disk.
//! Nothing hangs on a conditional write: two who write the same key write the same bytes.
//!
//! Owns all traffic to the bucket. Refuses to choose who may read a blob (`pull`), and to store bytes
//! here (`cache`).

mod breaker;
mod bucket;
mod clean;
mod doctor;
mod download;
mod error;
mod inventory;
mod keeper;
mod leftovers;
mod mark;
mod metrics;
mod names;
mod news;
mod pending;
mod records;
mod shared;
mod tags;
mod tier;
mod upload;
mod uses;

pub use self::{
    clean::{Cleaned, clean_now},
    doctor::{Finding, Report, Verdict, examine},
    download::TierBlob,
    error::TierError,
    metrics::TierMetrics,
    records::TagRecord,
    tags::RECORD_INTERVAL,
    tier::{StartError, Tier},
};
