//! Telling the cache which blobs nobody here is expected to ask for, so that they are evicted before all others.
//!
//! What prefetching would not download again need not be kept: blobs that belong to images of index entries for platforms outside
//! the learned ones, and to nothing else that is stored. An image without an index says no platform, and what nothing is learned
//! for is judged by its use alone. The cache keeps manifests longest in any case.
//!
//! A walk reads every stored manifest, on a blocking thread. It holds eight bytes per blob, and the pause behind it is as much
//! longer as it took; near the bound of the cache only.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant, SystemTime},
};

use cache::{Cache, CacheError};
use manifest_model::{Digest, Manifest};
use tracing::{debug, warn};

use super::{super::Pull, ANY, kind_for, kinds, warm::platform_of};
use crate::{inventory, upstream::Chain};

/// The share of the cache's bound below which no eviction is near, as numerator and denominator.
const NEAR: (u64, u64) = (3, 4);

/// A walk that took a second is followed by a pause of so many seconds.
const PAUSES: u32 = 200;

/// Blobs that can be told apart: above that, nothing is said about any.
const MOST_BLOBS: usize = 4_000_000;

/// Where images are pulled by their own digests, nobody says what they are for: what was used so lately stays where it is.
const PINNED_HOLDS: Duration = Duration::from_hours(24);

/// When the next walk may begin.
#[derive(Debug)]
pub(super) struct Ranking {
    next: std::sync::Mutex<Next>,
    near: u64,
}

#[derive(Debug)]
enum Next {
    At(Instant),
    Running,
}

impl Ranking {
    pub(super) fn new(low_water: u64) -> Self {
        Self {
            next: std::sync::Mutex::new(Next::At(Instant::now())),
            near: low_water / NEAR.1 * NEAR.0,
        }
    }

    /// Whether a walk is due. Who is told so ends it with [`Self::ended`].
    fn begin(&self, bytes: u64) -> bool {
        let mut next = self.next();
        let is_due = bytes >= self.near && matches!(*next, Next::At(at) if at <= Instant::now());
        if is_due {
            *next = Next::Running;
        }
        is_due
    }

    fn ended(&self, took: Duration) {
        *self.next() = Next::At(Instant::now() + took * PAUSES);
    }

    fn next(&self) -> std::sync::MutexGuard<'_, Next> {
        let next = self.next.lock();
        next.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Pull {
    /// Starts a walk where one is due. To be called often; returns at once.
    pub fn rank_blobs(&self) {
        let (prefetch, usage) = (&self.inner.prefetch, self.inner.cache.usage());
        if !prefetch.ranking.begin(usage.bytes) {
            return;
        }
        let pull = self.clone();
        self.inner.tasks.spawn_blocking(move || {
            let started = Instant::now();
            let told = if pull.inner.prefetch.is_on() {
                Walk::new(SystemTime::now()).run(&pull)
            } else {
                // What was said before it was turned off holds no longer.
                pull.inner.cache.review_unwanted(|_| false)
            };
            match told {
                Ok(unwanted) => pull.inner.metrics.count_unwanted(unwanted),
                Err(error) => {
                    warn!(error = %Chain(&error), "what is unwanted cannot be told");
                }
            }
            pull.inner.prefetch.ranking.ended(started.elapsed());
        });
    }
}

/// What is known at one point of a walk.
struct Walk {
    started: SystemTime,
    /// Beginnings of the digests of blobs that belong to something wanted. Two that are alike cost a blob its place in the order.
    wanted: HashSet<u64>,
    /// Images for platforms nobody pulls, and since when one of their blobs must not have been used.
    images: Vec<(Digest, SystemTime)>,
}

impl Walk {
    fn new(started: SystemTime) -> Self {
        Self {
            started,
            wanted: HashSet::new(),
            images: Vec::new(),
        }
    }

    /// The answer is the number of bytes that nobody is expected to ask for.
    fn run(mut self, pull: &Pull) -> Result<u64, CacheError> {
        let cache = &pull.inner.cache;
        let stop = &pull.inner.prefetch.stop;
        let mut after = None;
        while let Some((repository, manifests)) = cache.next_repository(after.as_ref())? {
            if stop.is_cancelled() {
                return Ok(0);
            }
            let kinds = pull.learned_for(&repository);
            self.look(cache, &kinds, &manifests)?;
            if self.wanted.len() > MOST_BLOBS {
                warn!(
                    most = MOST_BLOBS,
                    "too many blobs to tell which are unwanted"
                );
                return cache.review_unwanted(|_| false);
            }
            after = Some(repository);
        }
        let unwanted = self.tell(cache)?;
        let bytes = cache.review_unwanted(|digest| unwanted.contains(&beginning(digest)))?;
        debug!(images = self.images.len(), bytes, "told what is unwanted");
        Ok(bytes)
    }

    /// Sorts the images of a repository from which `learned` is pulled.
    fn look(
        &mut self,
        cache: &Cache,
        learned: &[String],
        manifests: &[Digest],
    ) -> Result<(), CacheError> {
        let mut is_wanted = HashMap::new();
        let mut images = Vec::new();
        for digest in manifests {
            let Some(manifest) = inventory::stored(cache, digest)? else {
                continue;
            };
            if manifest.is_index() {
                judge(&manifest, learned, &mut is_wanted);
            } else {
                let blobs: Vec<u64> = links(&manifest).map(|blob| beginning(&blob)).collect();
                images.push((*digest, blobs));
            }
        }
        let is_pinned = learned.iter().any(|kind| kind == ANY);
        let since = if is_pinned {
            self.started - PINNED_HOLDS
        } else {
            self.started
        };
        for (digest, blobs) in images {
            if is_wanted.get(&digest) == Some(&false) {
                self.images.push((digest, since));
            } else {
                self.wanted.extend(blobs);
            }
        }
        Ok(())
    }

    /// Hands the unwanted blobs to the cache. The answer is the beginnings of their digests.
    fn tell(&self, cache: &Cache) -> Result<HashSet<u64>, CacheError> {
        let mut unwanted = HashSet::new();
        for (digest, since) in &self.images {
            let Some(image) = inventory::stored(cache, digest)? else {
                continue;
            };
            let blobs: Vec<Digest> = links(&image)
                .filter(|blob| !self.wanted.contains(&beginning(blob)))
                .collect();
            unwanted.extend(blobs.iter().map(beginning));
            cache.set_unwanted(&blobs, *since)?;
        }
        Ok(unwanted)
    }
}

/// Notes which entries of an index are for somebody here. One that several indexes list is wanted if one of them says so; one
/// that says no platform is not judged.
fn judge(index: &Manifest, learned: &[String], is_wanted: &mut HashMap<Digest, bool>) {
    let platforms: Vec<_> = learned
        .iter()
        .filter_map(|kind| platform_of(kind))
        .collect();
    let chosen: Vec<String> = platforms
        .iter()
        .filter_map(|platform| kind_for(index, platform))
        .collect();
    for (entry, kind) in kinds(index) {
        let fits =
            platforms.is_empty() || chosen.iter().chain(learned).any(|wanted| **wanted == *kind);
        *is_wanted.entry(entry).or_default() |= fits;
    }
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
    use manifest_model::Algorithm;

    use super::*;

    fn index(entries: &[(&str, &str)]) -> Manifest {
        let entry = |(name, architecture): &(&str, &str)| {
            let digest = Digest::of(Algorithm::Sha256, name.as_bytes());
            let platform = match *architecture {
                "" => String::new(),
                architecture => {
                    format!(r#","platform":{{"os":"linux","architecture":"{architecture}"}}"#)
                }
            };
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":1{platform}}}"#
            )
        };
        let entries: Vec<_> = entries.iter().map(entry).collect();
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}}"#,
            entries.join(",")
        );
        Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap()
    }

    fn judged(indexes: &[Manifest], learned: &[&str], name: &str) -> Option<bool> {
        let learned: Vec<String> = learned.iter().map(ToString::to_string).collect();
        let mut is_wanted = HashMap::new();
        for index in indexes {
            judge(index, &learned, &mut is_wanted);
        }
        let digest = Digest::of(Algorithm::Sha256, name.as_bytes());
        is_wanted.get(&digest).copied()
    }

    #[test]
    fn an_entry_is_wanted_if_a_platform_that_is_pulled_would_choose_it() {
        let indexes = [index(&[("x", "amd64"), ("z", "s390x"), ("none", "")])];
        for (learned, name, expected) in [
            (&["linux/amd64"][..], "x", Some(true)),
            (&["linux/amd64"], "z", Some(false)),
            (&["linux/amd64/v3"], "x", Some(true)),
            (&["linux/amd64"], "none", None),
            (&[], "z", Some(true)),
            (&[ANY], "z", Some(true)),
            (&[ANY, "linux/amd64"], "z", Some(false)),
        ] {
            assert_eq!(
                judged(&indexes, learned, name),
                expected,
                "{learned:?} {name}"
            );
        }
    }

    #[test]
    fn one_index_that_wants_an_entry_is_enough() {
        let one = index(&[("shared", "s390x")]);
        let other = index(&[("shared", "amd64")]);
        for indexes in [[one.clone(), other.clone()], [other, one]] {
            assert_eq!(judged(&indexes, &["linux/amd64"], "shared"), Some(true));
        }
    }

    #[test]
    fn a_walk_is_followed_by_a_pause_that_its_length_decides() {
        let ranking = Ranking::new(100);
        assert!(!ranking.begin(74), "no eviction is near");
        assert!(ranking.begin(75));
        assert!(!ranking.begin(100), "one is under way");
        ranking.ended(Duration::ZERO);
        assert!(ranking.begin(100));
        ranking.ended(Duration::from_mins(1));
        assert!(!ranking.begin(100));
    }
}
