//! When blobs of the bucket were last used, by all replicas: each writes the ones it has used in an
//! hour, and the janitor merges them. So no use costs a request.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::{Attributes, path::Path};

use crate::{
    bucket::Bucket,
    error::TierError,
    names::seconds,
    news::{decode, encode, stamped, time_of},
};

/// What the names of objects begin with that logs are merged into. Each pass writes its own, and then
/// deletes what it has read: so two at once lose nothing.
const MERGED: &str = "merged";

/// The largest of these objects.
const MAX_LOG: usize = 32 << 20;

/// The uses in one merged object, of 12 bytes each.
const MAX_ROWS: usize = MAX_LOG / 12;

/// Hours since 1970.
pub(crate) type Hour = u32;

/// The last use of each blob, by the start of its digest.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    last: HashMap<u64, Hour>,
    /// The objects it was read from.
    read: Vec<Path>,
}

/// The hour of a time.
pub(crate) fn hour(time: SystemTime) -> Hour {
    Hour::try_from(seconds(time) / 3600).unwrap_or(Hour::MAX)
}

/// Writes what was used.
pub(crate) async fn log(bucket: &Bucket, used: &[u64], id: &str) -> Result<(), TierError> {
    if used.is_empty() {
        return Ok(());
    }
    let path = bucket.names().at(&stamped("uses", SystemTime::now(), id));
    let body = Bytes::from(encode(&used[..used.len().min(MAX_LOG / 8)]));
    bucket.write(&path, body.into(), Attributes::new()).await
}

impl Uses {
    /// Reads what all replicas have written.
    pub(crate) async fn read(bucket: &Bucket) -> Result<Self, TierError> {
        let mut uses = Self::default();
        let mut listed = bucket.list(&bucket.names().at("uses"), None);
        while let Some(object) = listed.try_next().await? {
            let path = object.location;
            let body = match bucket.fetch(&path, MAX_LOG).await {
                Ok(body) => body,
                // Another janitor has merged it meanwhile, or somebody else has written it.
                Err(TierError::Absent | TierError::TooLarge) => continue,
                Err(error) => return Err(error),
            };
            let name = path.filename().unwrap_or_default();
            if name.starts_with(MERGED) {
                uses.merge(&body);
            } else if let Some(time) = time_of(name) {
                let hour = hour(time);
                decode(&body).for_each(|short| uses.note(short, hour));
            } else {
                continue;
            }
            uses.read.push(path);
        }
        Ok(uses)
    }

    fn merge(&mut self, body: &[u8]) {
        let (rows, _) = body.as_chunks::<12>();
        for row in rows {
            if let Some((short, hour)) = row.split_first_chunk::<8>()
                && let Some(hour) = hour.first_chunk::<4>()
            {
                self.note(u64::from_le_bytes(*short), Hour::from_le_bytes(*hour));
            }
        }
    }

    fn note(&mut self, short: u64, hour: Hour) {
        let last = self.last.entry(short).or_default();
        *last = hour.max(*last);
    }

    /// When a blob was last used.
    pub(crate) fn last(&self, short: u64) -> Hour {
        self.last.get(&short).copied().unwrap_or_default()
    }

    /// Writes them for the next time, without those that are not `kept`, and deletes what they were read
    /// from.
    pub(crate) async fn keep(
        mut self,
        bucket: &Bucket,
        kept: impl Fn(u64) -> bool,
    ) -> Result<(), TierError> {
        self.last.retain(|short, _| kept(*short));
        let rows: Vec<_> = self.last.into_iter().collect();
        let pass = fastrand::u64(..);
        for (number, rows) in rows.chunks(MAX_ROWS).enumerate() {
            let name = format!("uses/{MERGED}-{pass:016x}-{number}");
            let body = Bytes::from(encode_rows(rows)).into();
            let path = bucket.names().at(&name);
            bucket.write(&path, body, Attributes::new()).await?;
        }
        bucket.delete(self.read).await.map(|_| ())
    }
}

fn encode_rows(rows: &[(u64, Hour)]) -> Vec<u8> {
    rows.iter()
        .flat_map(|(short, hour)| short.to_le_bytes().into_iter().chain(hour.to_le_bytes()))
        .collect()
}

/// How long before a log is written the uses in it may lie.
pub(crate) const LOG_INTERVAL: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_use_counts() {
        let mut uses = Uses::default();
        uses.note(1, 10);
        uses.note(1, 5);
        assert_eq!((uses.last(1), uses.last(2)), (10, 0));
    }

    #[test]
    fn merged_uses_come_back() {
        let mut uses = Uses::default();
        uses.merge(&encode_rows(&[(1, 10), (u64::MAX, 7)]));
        assert_eq!((uses.last(1), uses.last(u64::MAX)), (10, 7));
    }
}
