//! Telling the cache which blobs nobody here is expected to ask for, so that they are evicted before all others.
//!
//! What prefetching would not download again need not be kept: blobs that belong to images of index entries for platforms outside
//! the learned ones, and to nothing else that is stored. An image without an index says no platform, and what nothing is learned
//! for is judged by its use alone. The cache keeps manifests longest in any case.
//!
//! Nothing is learned from a client that asks for the manifest of a platform alone and has its layers already. Such an image is
//! in use all the same, and is told by its index: nobody has asked for that as lately.
//!
//! A walk reads every stored manifest, on a blocking thread, and takes a tenth of a core meanwhile. It holds some tens of bytes per
//! blob, is followed by a pause 20 times as long, and is made only while an eviction is near.

mod entry;
mod schedule;

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use cache::{Cache, CacheError, DutyCycle};
use manifest_model::{Digest, Manifest};
use protocol::error_chain::ErrorChain;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::entry::judge;
pub(super) use self::schedule::Ranking;
use super::{
    super::{Inner, Pull, leisure},
    ANY,
};
use crate::inventory;

/// Blobs and images that are held at once: above that, nothing is said about any.
const MOST_BLOBS: usize = 4_000_000;

/// Where images are pulled by their own digests, nobody says what they are for: what was used so lately stays where it is. And
/// an image that was asked for alone so lately is wanted.
const PINNED_HOLDS: Duration = Duration::from_hours(24);

impl Pull {
    /// Starts a walk where one is due. To be called often; returns at once.
    pub fn rank_blobs(&self) {
        let Inner {
            cache, prefetch, ..
        } = &*self.inner;
        if !prefetch.ranking.begin(|| cache.eviction_is_near()) {
            return;
        }
        let pull = self.clone();
        self.inner.tasks.spawn_blocking(move || {
            let Inner {
                cache,
                prefetch,
                metrics,
                ..
            } = &*pull.inner;
            let _run = prefetch.ranking.run();
            let stop = &prefetch.stop;
            let told = if prefetch.is_on() {
                Walk::new(SystemTime::now(), stop.clone()).run(&pull)
            } else {
                // What was said before it was turned off holds no longer.
                review(cache, stop, |_| false)
            };
            match told {
                Ok(unwanted) => metrics.count_unwanted(unwanted),
                // The latter was dealt with.
                Err(End::Stopped | End::TooMuch) => {}
                Err(End::Failed(error)) => {
                    warn!(error = %ErrorChain(&error), "what is unwanted cannot be told");
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
    /// There is more than can be held.
    TooMuch,
    Failed(CacheError),
}

impl From<CacheError> for End {
    fn from(error: CacheError) -> Self {
        Self::Failed(error)
    }
}

/// What is known at one point of a walk.
struct Walk {
    started: SystemTime,
    stop: CancellationToken,
    duty: DutyCycle,
    /// Beginnings of the digests of blobs that belong to something wanted. Two that are alike cost a blob its place in the order.
    wanted: HashSet<u64>,
    /// Images for platforms nobody pulls, and since when one of their blobs must not have been used.
    images: Vec<(Digest, SystemTime)>,
}

impl Walk {
    fn new(started: SystemTime, stop: CancellationToken) -> Self {
        Self {
            started,
            stop,
            duty: DutyCycle::begin(),
            wanted: HashSet::new(),
            images: Vec::new(),
        }
    }

    /// The answer is the number of bytes that nobody is expected to ask for.
    fn run(mut self, pull: &Pull) -> Result<u64, End> {
        let cache = &pull.inner.cache;
        let told = self
            .look_at_all(pull)
            .and_then(|()| self.tell(cache))
            .or_else(|end| match end {
                End::TooMuch => {
                    warn!(
                        most = MOST_BLOBS,
                        "too many blobs to tell which are unwanted"
                    );
                    Ok(HashSet::new())
                }
                end => Err(end),
            });
        let unwanted = told?;
        let is_unwanted = |digest: &Digest| unwanted.contains(&beginning(digest));
        let bytes = review(cache, &self.stop, is_unwanted)?;
        debug!(images = self.images.len(), bytes, "told what is unwanted");
        Ok(bytes)
    }

    /// Asked for every manifest, and rests where that is due; `more` is held beside what is held here.
    fn go_on(&self, more: usize) -> Result<(), End> {
        self.duty.rest();
        if self.stop.is_cancelled() {
            return Err(End::Stopped);
        }
        let held = self.wanted.len() + self.images.len() + more;
        if held > MOST_BLOBS {
            return Err(End::TooMuch);
        }
        Ok(())
    }

    fn look_at_all(&mut self, pull: &Pull) -> Result<(), End> {
        let cache = &pull.inner.cache;
        let mut after = None;
        while let Some((repository, manifests)) = cache.ranking().next_repository(after.as_ref())? {
            self.go_on(0)?;
            let kinds = pull.learned_for(&repository);
            self.look(cache, &kinds, &manifests)?;
            after = Some(repository);
        }
        Ok(())
    }

    /// Sorts the images of a repository from which `learned` is pulled.
    fn look(&mut self, cache: &Cache, learned: &[String], manifests: &[Digest]) -> Result<(), End> {
        let mut entries = HashMap::new();
        let (mut images, mut held) = (Vec::new(), 0);
        for digest in manifests {
            self.go_on(held + entries.len())?;
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
        let lately = self.started - PINNED_HOLDS;
        let is_pinned = learned.iter().any(|kind| kind == ANY);
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

    /// Hands the unwanted blobs to the cache. The answer is the beginnings of their digests.
    fn tell(&self, cache: &Cache) -> Result<HashSet<u64>, End> {
        let mut unwanted = HashSet::new();
        for (digest, since) in &self.images {
            self.go_on(unwanted.len())?;
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

/// As the cache does it; once it is to stop, nothing is changed any more.
fn review(
    cache: &Cache,
    stop: &CancellationToken,
    is_unwanted: impl Fn(&Digest) -> bool,
) -> Result<u64, End> {
    let bytes = cache
        .ranking()
        .review_unwanted(leisure(stop), is_unwanted)?;
    if stop.is_cancelled() {
        return Err(End::Stopped);
    }
    Ok(bytes)
}

fn links(image: &Manifest) -> impl Iterator<Item = Digest> {
    image.links().map(|link| link.digest)
}

fn beginning(digest: &Digest) -> u64 {
    let bytes = digest.as_bytes().first_chunk();
    u64::from_le_bytes(*bytes.expect("no digest is as short as eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_ends_at_shutdown_and_where_too_much_is_held() {
        let walk = Walk::new(SystemTime::now(), CancellationToken::new());
        assert!(walk.go_on(MOST_BLOBS).is_ok());
        assert!(matches!(walk.go_on(MOST_BLOBS + 1), Err(End::TooMuch)));
        walk.stop.cancel();
        assert!(matches!(walk.go_on(0), Err(End::Stopped)));
    }
}
