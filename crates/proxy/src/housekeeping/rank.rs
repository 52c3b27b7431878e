//! Marks the blobs that no client here is expected to ask for, so that the cache evicts them before
//! all others.
//!
//! Blobs that prefetching would not download again need not be kept: those that belong to images of
//! index entries for platforms outside the learned ones, and to nothing else that is stored. An
//! image without an index names no platform, and where nothing is learned only use counts. The
//! cache keeps manifests longest in any case.
//!
//! Nothing is learned from a client that knows the digest of an image, asks for its manifest alone
//! and has its layers already. Such an image is in use all the same. So an image is wanted,
//! whatever is learned, if its manifest was asked for within 24 hours and more than an hour after
//! any index that lists it. Within that hour the pull began with the index, and its platform is
//! learned from its layers.
//!
//! A walk reads every stored manifest, on a blocking thread, and takes a tenth of a core meanwhile.
//! It holds some tens of bytes per blob, is followed by a pause 20 times as long, and is made only
//! while an eviction is near.

mod entry;
mod schedule;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use cache::{Cache, CacheError, DutyCycle};
use image_inventory as inventory;
use manifest_model::{Digest, Manifest};
use protocol::error_chain::ErrorChain;
use pull::Tasks;
use tracing::{debug, warn};

use self::{entry::judge, schedule::Schedule};
use super::HousekeepingMetrics;
use crate::prefetch::{ImageKind, Prefetch};

/// Blobs and images held at once: above that, no blob is marked unwanted.
const MAX_BLOBS: usize = 4_000_000;

/// Where images are pulled by their own digests, nothing shows which platform they are for: a blob
/// used so lately stays in its place, and an image that was asked for alone so lately is wanted.
const PINNED_FOR: Duration = Duration::from_hours(24);

/// Walks over the stored manifests, one at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Ranking {
    cache: Cache,
    prefetch: Prefetch,
    schedule: Arc<Schedule>,
    metrics: HousekeepingMetrics,
    tasks: Tasks,
}

impl Ranking {
    pub(super) fn new(
        cache: Cache,
        prefetch: Prefetch,
        metrics: HousekeepingMetrics,
        tasks: Tasks,
    ) -> Self {
        Self {
            cache,
            prefetch,
            schedule: Arc::new(Schedule::new()),
            metrics,
            tasks,
        }
    }

    /// Starts a walk where one is due. To be called often; returns at once.
    pub(super) fn start(&self) {
        if !self.schedule.begin(|| self.cache.eviction_is_near()) {
            return;
        }
        let ranking = self.clone();
        self.tasks.spawn_blocking(move || {
            let _run = ranking.schedule.run();
            let marked = if ranking.prefetch.is_on() {
                Walk::new(SystemTime::now(), ranking.tasks.clone()).run(&ranking)
            } else {
                // Blobs marked unwanted before prefetching was turned off lose the mark.
                review(&ranking.cache, &ranking.tasks, |_| false)
            };
            match marked {
                Ok(unwanted) => ranking.metrics.count_unwanted(unwanted),
                // The latter was dealt with.
                Err(End::Stopped | End::TooMuch) => {}
                Err(End::Failed(error)) => {
                    warn!(error = %ErrorChain(&error), "the unwanted blobs could not be determined; eviction keeps the last marks");
                }
            }
        });
    }
}

/// Why a walk ends early.
#[derive(Debug)]
enum End {
    /// The process is shutting down.
    Stopped,
    /// There are more blobs than can be held.
    TooMuch,
    Failed(CacheError),
}

impl From<CacheError> for End {
    fn from(error: CacheError) -> Self {
        Self::Failed(error)
    }
}

/// The state of a walk.
struct Walk {
    started: SystemTime,
    tasks: Tasks,
    duty: DutyCycle,
    /// Beginnings of the digests of blobs that belong to something wanted. Two that are alike cost
    /// a blob its place in the order.
    wanted: HashSet<u64>,
    /// Images for platforms that no client pulls, and the time since which none of their blobs may
    /// have been used.
    images: Vec<(Digest, SystemTime)>,
}

impl Walk {
    fn new(started: SystemTime, tasks: Tasks) -> Self {
        Self {
            started,
            tasks,
            duty: DutyCycle::begin(),
            wanted: HashSet::new(),
            images: Vec::new(),
        }
    }

    /// Returns the number of bytes that no client is expected to ask for.
    fn run(mut self, ranking: &Ranking) -> Result<u64, End> {
        let cache = &ranking.cache;
        let marked = self
            .sort_all(ranking)
            .and_then(|()| self.tell(cache))
            .or_else(|end| match end {
                End::TooMuch => {
                    warn!(
                        most = MAX_BLOBS,
                        "there are too many blobs to tell the unwanted ones"
                    );
                    Ok(HashSet::new())
                }
                end => Err(end),
            });
        let unwanted = marked?;
        let is_unwanted = |digest: &Digest| unwanted.contains(&beginning(digest));
        let bytes = review(cache, &self.tasks, is_unwanted)?;
        debug!(
            images = self.images.len(),
            bytes, "marked the unwanted blobs"
        );
        Ok(bytes)
    }

    /// Called for every manifest; rests where that is due. `more` entries are held beside those
    /// here.
    fn step(&self, more: usize) -> Result<(), End> {
        self.duty.rest();
        if self.tasks.is_closing() {
            return Err(End::Stopped);
        }
        let held = self.wanted.len() + self.images.len() + more;
        if held > MAX_BLOBS {
            return Err(End::TooMuch);
        }
        Ok(())
    }

    fn sort_all(&mut self, ranking: &Ranking) -> Result<(), End> {
        let cache = &ranking.cache;
        let mut after = None;
        while let Some((repository, manifests)) = cache.ranking().next_repository(after.as_ref())? {
            self.step(0)?;
            let kinds = ranking.prefetch.kept_kinds(&repository);
            self.sort(cache, &kinds, &manifests)?;
            after = Some(repository);
        }
        Ok(())
    }

    /// Sorts the images of a repository from which `learned` is pulled.
    fn sort(
        &mut self,
        cache: &Cache,
        learned: &[ImageKind],
        manifests: &[Digest],
    ) -> Result<(), End> {
        let mut entries = HashMap::new();
        let (mut images, mut held) = (Vec::new(), 0);
        for digest in manifests {
            self.step(held + entries.len())?;
            let Some(manifest) = inventory::stored(cache, digest)? else {
                continue;
            };
            if manifest.is_index() {
                let used = cache.last_used(digest)?;
                judge(&manifest, used, learned, &mut entries);
            } else {
                let blobs: Vec<u64> = links(&manifest).map(|blob| beginning(&blob)).collect();
                held += 1 + blobs.len();
                images.push((*digest, blobs));
            }
        }
        let lately = self.started - PINNED_FOR;
        let is_pinned = learned.contains(&ImageKind::Any);
        let since = if is_pinned { lately } else { self.started };
        for (digest, blobs) in images {
            let is_unwanted = match entries.get(&digest) {
                Some(entry) if !entry.is_wanted => {
                    !entry.is_asked_for_alone(cache.last_used(&digest)?, lately)
                }
                Some(_) | None => false,
            };
            if is_unwanted {
                self.images.push((digest, since));
            } else {
                self.wanted.extend(blobs);
            }
        }
        Ok(())
    }

    /// Hands the unwanted blobs to the cache. Returns the beginnings of their digests.
    fn tell(&self, cache: &Cache) -> Result<HashSet<u64>, End> {
        let mut unwanted = HashSet::new();
        for (digest, since) in &self.images {
            self.step(unwanted.len())?;
            let Some(image) = inventory::stored(cache, digest)? else {
                continue;
            };
            let blobs: Vec<Digest> = links(&image)
                .filter(|blob| !self.wanted.contains(&beginning(blob)))
                .collect();
            unwanted.extend(blobs.iter().map(beginning));
            cache.ranking().set_unwanted(&blobs, *since)?;
        }
        Ok(unwanted)
    }
}

/// Drops from the unwanted blobs all others. Nothing is changed after shutdown has begun.
fn review(cache: &Cache, tasks: &Tasks, is_unwanted: impl Fn(&Digest) -> bool) -> Result<u64, End> {
    let bytes = cache
        .ranking()
        .review_unwanted(tasks.background_pace(), is_unwanted)?;
    if tasks.is_closing() {
        return Err(End::Stopped);
    }
    Ok(bytes)
}

fn links(image: &Manifest) -> impl Iterator<Item = Digest> {
    image.links().map(|link| link.digest)
}

fn beginning(digest: &Digest) -> u64 {
    let bytes = digest.as_bytes().first_chunk();
    u64::from_le_bytes(*bytes.expect("a digest has more than eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_ends_at_shutdown_and_where_too_much_is_held() {
        let walk = Walk::new(SystemTime::now(), Tasks::default());
        assert!(walk.step(MAX_BLOBS).is_ok());
        assert!(matches!(walk.step(MAX_BLOBS + 1), Err(End::TooMuch)));
        walk.tasks.close();
        assert!(matches!(walk.step(0), Err(End::Stopped)));
    }
}
