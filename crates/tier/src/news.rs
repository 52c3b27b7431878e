//! What replicas have added to the bucket since the inventory was written, told to each other by small
//! objects: at most one from each of them in a minute.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::Attributes;
use parking_lot::Mutex;

use crate::{bucket::Bucket, error::TierError, inventory::Inventory, names::seconds};

/// How far back news are looked for beside the time of the last look: clocks differ, and a write takes
/// a while.
const LOOK_BACK: Duration = Duration::from_mins(5);

/// The largest of these objects.
const MAX_NEWS: usize = 8 << 20;

/// What this replica has added, and what it has heard of others.
#[derive(Debug)]
pub(crate) struct News {
    /// This process, by a name that no other has.
    id: String,
    state: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    added: Vec<u64>,
    objects: HashSet<String>,
    looked: Option<SystemTime>,
}

impl News {
    pub(crate) fn new() -> Self {
        Self {
            id: format!("{:016x}", fastrand::u64(..)),
            state: Mutex::default(),
        }
    }

    /// The name of this process in the names of objects.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Notes what was added, to be told.
    pub(crate) fn add(&self, short: u64) {
        self.state.lock().added.push(short);
    }

    /// Tells the others, of so many as they will read. What was not told stays to be told, also if this is
    /// dropped before its end.
    pub(crate) async fn tell(&self, bucket: &Bucket) -> Result<(), TierError> {
        let mut telling = Telling::begin(self);
        if telling.added.is_empty() {
            return Ok(());
        }
        let name = stamped("news", SystemTime::now(), &self.id);
        let path = bucket.names().at(&name);
        let body = Bytes::from(encode(&telling.added));
        let written = bucket.write(&path, body.into(), Attributes::new());
        written.await?;
        telling.added.clear();
        self.state.lock().objects.insert(path.to_string());
        Ok(())
    }

    /// Hears what others have added, since `as_of` at first.
    pub(crate) async fn hear(
        &self,
        bucket: &Bucket,
        inventory: &Inventory,
        as_of: SystemTime,
    ) -> Result<(), TierError> {
        let begun = SystemTime::now();
        let since = self.state.lock().looked.unwrap_or(as_of);
        let since = since.checked_sub(LOOK_BACK).unwrap_or(since);
        let folder = bucket.names().at("news");
        let after = bucket.names().at(&stamped("news", since, ""));
        let mut listed = bucket.list(&folder, Some(&after));
        let mut listed_now = HashSet::new();
        while let Some(object) = listed.try_next().await? {
            let name = object.location.to_string();
            if !self.state.lock().objects.contains(&name) {
                match bucket.fetch(&object.location, MAX_NEWS).await {
                    Ok(body) => decode(&body).for_each(|short| inventory.add(short)),
                    // The janitor has deleted it meanwhile, or somebody else has written it.
                    Err(TierError::Absent | TierError::TooLarge) => {}
                    Err(error) => return Err(error),
                }
            }
            listed_now.insert(name);
        }
        let mut state = self.state.lock();
        state.objects = listed_now;
        state.looked = Some(begun);
        Ok(())
    }
}

/// Names on their way to the others. Those that have not arrived go back.
struct Telling<'a> {
    news: &'a News,
    added: Vec<u64>,
}

impl<'a> Telling<'a> {
    fn begin(news: &'a News) -> Self {
        let mut state = news.state.lock();
        let number = state.added.len().min(MAX_NEWS / 8);
        let added = state.added.drain(..number).collect();
        Self { news, added }
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.news.state.lock().added.append(&mut self.added);
    }
}

/// The name of an object of this moment: names are in the order of their times.
pub(crate) fn stamped(folder: &str, time: SystemTime, id: &str) -> String {
    format!("{folder}/{:012}-{id}", seconds(time))
}

/// The time in such a name.
pub(crate) fn time_of(name: &str) -> Option<SystemTime> {
    let (seconds, _) = name.split_once('-')?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds.parse().ok()?))
}

pub(crate) fn encode(shorts: &[u64]) -> Vec<u8> {
    shorts
        .iter()
        .flat_map(|short| short.to_le_bytes())
        .collect()
}

pub(crate) fn decode(body: &[u8]) -> impl Iterator<Item = u64> {
    let (shorts, _) = body.as_chunks::<8>();
    shorts.iter().map(|short| u64::from_le_bytes(*short))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_their_times_and_tell_them() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let earlier = stamped("news", at(999_999_999), "b");
        let later = stamped("news", at(1_800_000_000), "a");
        assert!(earlier < later);
        let name = later.strip_prefix("news/").unwrap();
        assert_eq!(time_of(name), Some(at(1_800_000_000)));
        assert_eq!(time_of("merged"), None);
    }

    #[test]
    fn what_was_not_told_to_the_end_is_told_again() {
        let news = News::new();
        (0..3).for_each(|short| news.add(short));
        let telling = Telling::begin(&news);
        news.add(3);
        drop(telling);
        let mut added = Telling::begin(&news).added.clone();
        added.sort_unstable();
        assert_eq!(added, [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_told_is_heard() {
        let told = [1, 2, u64::MAX];
        assert_eq!(decode(&encode(&told)).collect::<Vec<_>>(), told);
    }
}
