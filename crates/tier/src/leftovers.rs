//! Records that name what the bucket no longer has: they go once a day, behind the janitor's blobs.
//!
//! A manifest's record names it, so a list is enough. A tag's has to be read; of those that nobody has
//! written for a month a few are, others on another day. So all that is dead goes in the end, for a
//! bounded number of requests a day.

use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt;
use manifest_model::Digest;
use object_store::path::Path;

use crate::{
    bucket::{Bucket, DELETED_AT_ONCE},
    error::TierError,
    inventory::short,
    names::Names,
    records::{MAX_RECORD, digest_in},
};

/// How long a record stays whatever it names: its manifest may have been written after the list was made.
const SPARED: Duration = Duration::from_hours(24);

/// How long nobody may have written the record of a tag before it is looked at. One that is in use is
/// written every few hours.
const UNUSED: Duration = Duration::from_hours(30 * 24);

/// Records of tags that one pass reads.
const MAX_READ: usize = 1000;

/// Deletes the records whose manifests are not `left`, which is sorted and was listed at `now`.
pub(crate) async fn delete_records(
    bucket: &Bucket,
    left: &[u64],
    now: SystemTime,
) -> Result<(), TierError> {
    let is_left = |digest: &Digest| left.binary_search(&short(digest)).is_ok();
    delete_manifests(bucket, is_left, now).await?;
    for path in old_tags(bucket, now).await? {
        let named = match bucket.fetch(&path, MAX_RECORD).await {
            Ok(record) => digest_in(&record),
            Err(TierError::Absent) => continue,
            Err(TierError::TooLarge) => None,
            Err(error) => return Err(error),
        };
        if !named.is_some_and(|digest| is_left(&digest)) {
            bucket.delete(vec![path]).await?;
        }
    }
    Ok(())
}

async fn delete_manifests(
    bucket: &Bucket,
    is_left: impl Fn(&Digest) -> bool,
    now: SystemTime,
) -> Result<(), TierError> {
    let mut listed = bucket.list(&bucket.names().at("manifests"), None);
    let mut gone = Vec::new();
    while let Some(object) = listed.try_next().await? {
        let is_of_gone = Names::recorded(&object.location).is_some_and(|digest| !is_left(&digest));
        if is_of_gone && is_older(object.last_modified.into(), SPARED, now) {
            gone.push(object.location);
        }
        if gone.len() >= DELETED_AT_ONCE {
            bucket.delete(std::mem::take(&mut gone)).await?;
        }
    }
    bucket.delete(gone).await.map(|_| ())
}

/// Some of the tags that nobody has written for long, each as likely as any other.
async fn old_tags(bucket: &Bucket, now: SystemTime) -> Result<Vec<Path>, TierError> {
    let mut listed = bucket.list(&bucket.names().at("tags"), None);
    let (mut chosen, mut seen) = (Vec::new(), 0);
    while let Some(object) = listed.try_next().await? {
        if !is_older(object.last_modified.into(), UNUSED, now) {
            continue;
        }
        seen += 1;
        if chosen.len() < MAX_READ {
            chosen.push(object.location);
        } else if let Some(place) = chosen.get_mut(fastrand::usize(..seen)) {
            *place = object.location;
        }
    }
    Ok(chosen)
}

fn is_older(written: SystemTime, age: Duration, now: SystemTime) -> bool {
    now.duration_since(written).is_ok_and(|since| since >= age)
}
