//! The janitor: lists the bucket once a day, deletes what was not used for longest until the rest is
//! below its size, and writes the inventory.
//!
//! Two at once do no harm: they delete the same blobs, and neither loses what the other has read of uses.
//! One that is deleted while a replica believes it is there is a miss. What was used or written within a
//! day stays. Records go when the manifest that they name has gone (`leftovers`).

use std::{
    cmp::Reverse,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use config::TierConfig;
use futures_util::TryStreamExt;
use manifest_model::Digest;
use object_store::Attributes;
use tracing::{debug, warn};

use crate::{
    bucket::{Bucket, Clients, DELETED_AT_ONCE},
    error::TierError,
    inventory::{MAX_BLOBS, encode, short},
    leftovers::delete_records,
    metrics::TierMetrics,
    names::Names,
    news::time_of,
    uses::{Hour, Uses, hour},
};

/// What was used within this time stays, whatever the size.
const SPARED_HOURS: Hour = 24;

/// Where deleting stops, as a part of the size: not every new blob is to bring the janitor.
const LOW_WATER: u64 = 20;

/// How long news are kept: all replicas have read the inventory by then.
const NEWS_KEPT: Duration = Duration::from_hours(48);

/// What the janitor found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Blobs that are in the bucket now.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that were deleted.
    pub deleted: u64,
    /// Their bytes.
    pub freed: u64,
}

/// A blob of the bucket.
#[derive(Clone, Copy, Debug)]
struct Entry {
    digest: Digest,
    size: u64,
    /// The later of its last use and the time it was written.
    used: Hour,
}

/// The outcome of a pass: what it did, and the blobs that are left.
pub(crate) struct Pass {
    pub(crate) cleaned: Cleaned,
    pub(crate) left: Vec<u64>,
    pub(crate) as_of: SystemTime,
}

/// Runs the janitor once, for the command line. Needs no running Archway.
pub async fn clean_now(config: &TierConfig) -> Result<Cleaned, TierError> {
    let metrics = TierMetrics::default();
    let clients = Clients::open(config, &metrics)?;
    let bucket = Bucket::new(clients, Names::new(&config.url.prefix), metrics.clone());
    let pass = clean(&bucket, config.max_size, &metrics).await?;
    Ok(pass.cleaned)
}

/// One pass over the bucket.
pub(crate) async fn clean(
    bucket: &Bucket,
    max_size: Option<u64>,
    metrics: &TierMetrics,
) -> Result<Pass, TierError> {
    let as_of = SystemTime::now();
    let uses = Uses::read(bucket).await?;
    let mut entries = list(bucket, &uses).await?;
    let mut cleaned = Cleaned::default();
    if let Some(max_size) = max_size {
        let gone = choose(&mut entries, max_size, hour(as_of));
        for some in gone.chunks(DELETED_AT_ONCE) {
            let paths = some.iter();
            let paths = paths.map(|entry| bucket.names().blob(&entry.digest));
            bucket.delete(paths.collect()).await?;
            cleaned.deleted += some.len() as u64;
            cleaned.freed += some.iter().map(|entry| entry.size).sum::<u64>();
            metrics.deleted(some.len() as u64);
        }
    }
    cleaned.blobs = entries.len() as u64;
    cleaned.bytes = entries.iter().map(|entry| entry.size).sum();
    if max_size.is_some_and(|max_size| cleaned.bytes > max_size) {
        let bytes = cleaned.bytes;
        warn!(
            bytes,
            max_size, "the tier is above its size, and all of it was used within a day"
        );
    }
    let are_all_known = entries.len() <= MAX_BLOBS;
    if !are_all_known {
        let blobs = entries.len();
        warn!(
            blobs,
            limit = MAX_BLOBS,
            "the tier has more blobs than its inventory takes; those least used are not found there"
        );
        entries.sort_unstable_by_key(|entry| Reverse(entry.used));
        entries.truncate(MAX_BLOBS);
    }
    let mut left: Vec<u64> = entries.iter().map(|entry| short(&entry.digest)).collect();
    drop(entries);
    left.sort_unstable();
    let told = async {
        tell(bucket, &left, as_of, uses).await?;
        if are_all_known {
            delete_records(bucket, &left, as_of).await?;
        }
        Ok::<_, TierError>(())
    };
    if let Err(error) = told.await {
        // Who may only read has an inventory too.
        debug!(%error, "the inventory of the tier was made, and not all that comes with it was written");
    }
    Ok(Pass {
        cleaned,
        left,
        as_of,
    })
}

/// Writes what is left for all replicas, and deletes what they need no more.
async fn tell(
    bucket: &Bucket,
    left: &[u64],
    as_of: SystemTime,
    uses: Uses,
) -> Result<(), TierError> {
    let path = bucket.names().at("inventory");
    let body = Bytes::from(encode(left, as_of)).into();
    bucket.write(&path, body, Attributes::new()).await?;
    uses.keep(bucket, |short| left.binary_search(&short).is_ok())
        .await?;
    delete_old_news(bucket, as_of).await
}

async fn list(bucket: &Bucket, uses: &Uses) -> Result<Vec<Entry>, TierError> {
    let mut listed = bucket.list(&bucket.names().at("blobs"), None);
    let mut entries = Vec::new();
    while let Some(object) = listed.try_next().await? {
        let Some(digest) = bucket.names().digest(&object.location) else {
            continue;
        };
        let written = hour(SystemTime::from(object.last_modified));
        entries.push(Entry {
            digest,
            size: object.size,
            used: written.max(uses.last(short(&digest))),
        });
    }
    Ok(entries)
}

/// Takes out of `entries` what is to go: the least recently used, until the rest is a bit below
/// `max_size`.
fn choose(entries: &mut Vec<Entry>, max_size: u64, now: Hour) -> Vec<Entry> {
    let mut bytes: u64 = entries.iter().map(|entry| entry.size).sum();
    if bytes <= max_size {
        return Vec::new();
    }
    let enough = max_size - max_size / LOW_WATER;
    entries.sort_unstable_by_key(|entry| entry.used);
    let going = entries.iter().take_while(|entry| {
        let goes = bytes > enough && entry.used.saturating_add(SPARED_HOURS) < now;
        if goes {
            bytes -= entry.size;
        }
        goes
    });
    let going = going.count();
    entries.drain(..going).collect()
}

async fn delete_old_news(bucket: &Bucket, now: SystemTime) -> Result<(), TierError> {
    let mut listed = bucket.list(&bucket.names().at("news"), None);
    let mut old = Vec::new();
    while let Some(object) = listed.try_next().await? {
        let time = object.location.filename().and_then(time_of);
        let is_old = |time: SystemTime| now.duration_since(time).is_ok_and(|age| age >= NEWS_KEPT);
        if time.is_some_and(is_old) {
            old.push(object.location);
        }
    }
    bucket.delete(old).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::*;

    const NOW: Hour = 500_000;

    fn entry(number: u32, size: u64, hours_ago: Hour) -> Entry {
        Entry {
            digest: Digest::of(Algorithm::Sha256, &number.to_le_bytes()),
            size,
            used: NOW - hours_ago,
        }
    }

    #[test]
    fn the_least_recently_used_go_until_it_is_below_its_size() {
        let mut entries: Vec<_> = (0..100).map(|age| entry(age, 10, 100 + age)).collect();
        let gone = choose(&mut entries, 900, NOW);
        // Down to 95 % of the size.
        assert_eq!(gone.len(), 15);
        assert!(gone.iter().all(|entry| entry.used < NOW - 184));
        assert_eq!(entries.len(), 85);
    }

    #[test]
    fn below_its_size_nothing_goes() {
        let mut entries = vec![entry(0, 10, 9000)];
        assert!(choose(&mut entries, 10, NOW).is_empty());
    }

    #[test]
    fn what_was_used_within_a_day_stays() {
        let mut entries = vec![
            entry(0, 10, 1),
            entry(1, 10, SPARED_HOURS),
            entry(2, 10, 25),
        ];
        let gone = choose(&mut entries, 1, NOW);
        assert_eq!(gone.len(), 1);
        assert_eq!(entries.len(), 2);
    }
}
