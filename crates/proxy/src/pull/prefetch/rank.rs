//! Telling the cache which blobs nobody here is expected to ask for, so that they are evicted before all others.
//!
//! What prefetching would not download again need not be kept: blobs that belong to images of index entries for platforms outside
//! the learned ones, and to nothing else that is stored. An image without an index says no platform, and what nothing is learned
//! for is judged by its use alone. The cache keeps manifests longest in any case.
//!
//! Nothing is learned from a client that asks for the manifest of a platform alone and has its layers already. Such an image is
//! in use all the same, and is told by its index: nobody has asked for that as lately.
//!
//! A walk reads every stored manifest, on a blocking thread. It holds some tens of bytes per blob, rests 200 times as long as it
//! took, and is made only while an eviction is near.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant, SystemTime},
};

use cache::{Cache, CacheError};
use manifest_model::{Digest, Manifest};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    super::{Inner, Pull},
    ANY, PARTS_HOLD, kind_for, kinds,
    warm::platform_of,
};
use crate::{inventory, upstream::Chain};

/// A walk that took a second is followed by a pause of so many seconds.
const PAUSES: u32 = 200;

/// Blobs and images that are held at once: above that, nothing is said about any.
const MOST_BLOBS: usize = 4_000_000;

/// Where images are pulled by their own digests, nobody says what they are for: what was used so lately stays where it is. And
/// an image that was asked for alone so lately is wanted.
const PINNED_HOLDS: Duration = Duration::from_hours(24);

/// When the next walk may begin.
#[derive(Debug)]
pub(super) struct Ranking {
    next: std::sync::Mutex<Next>,
}

#[derive(Debug)]
enum Next {
    At(Instant),
    Running,
}

/// A walk that is under way. It ends with this, however it ends.
#[derive(Debug)]
struct Run<'a> {
    ranking: &'a Ranking,
    started: Instant,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        *self.ranking.next() = Next::At(Instant::now() + self.started.elapsed() * PAUSES);
    }
}

impl Ranking {
    pub(super) fn new() -> Self {
        Self {
            next: std::sync::Mutex::new(Next::At(Instant::now())),
        }
    }

    /// Whether a walk is due. Who is told so makes it within [`Self::run`].
    fn begin(&self, is_near: impl FnOnce() -> bool) -> bool {
        let mut next = self.next();
        let is_due = matches!(*next, Next::At(at) if at <= Instant::now()) && is_near();
        if is_due {
            *next = Next::Running;
        }
        is_due
    }

    fn run(&self) -> Run<'_> {
        Run {
            ranking: self,
            started: Instant::now(),
        }
    }

    fn next(&self) -> std::sync::MutexGuard<'_, Next> {
        let next = self.next.lock();
        next.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

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
                    warn!(error = %Chain(&error), "what is unwanted cannot be told");
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

    /// Asked for every manifest; `more` is held beside what is held here.
    fn go_on(&self, more: usize) -> Result<(), End> {
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
        while let Some((repository, manifests)) = cache.next_repository(after.as_ref())? {
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
            cache.set_unwanted(&blobs, *since)?;
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
    let bytes = cache.review_unwanted(|digest| stop.is_cancelled() || is_unwanted(digest))?;
    if stop.is_cancelled() {
        return Err(End::Stopped);
    }
    Ok(bytes)
}

/// What the indexes of a repository say about an image.
#[derive(Debug, Default)]
struct Entry {
    is_wanted: bool,
    /// When one of them was last asked for.
    index_used: Option<SystemTime>,
}

impl Entry {
    /// Whether somebody has asked for the image itself since `lately`, and not on the way from an index: that would have been
    /// asked for within the time for which a pull's parts are remembered, and what was pulled is learned.
    fn is_asked_for_alone(&self, used: Option<SystemTime>, lately: SystemTime) -> bool {
        let by_index = |used: SystemTime| {
            let index = self.index_used.map(|index| index + PARTS_HOLD);
            index.is_some_and(|until| used <= until)
        };
        used.is_some_and(|used| used >= lately && !by_index(used))
    }
}

/// Notes which entries of an index are for somebody here. One that several indexes list is wanted if one of them says so; one
/// that says no platform is not judged.
fn judge(
    index: &Manifest,
    used: Option<SystemTime>,
    learned: &[String],
    seen: &mut HashMap<Digest, Entry>,
) {
    let platforms: Vec<_> = learned
        .iter()
        .filter_map(|kind| platform_of(kind))
        .collect();
    let chosen: Vec<String> = platforms
        .iter()
        .filter_map(|platform| kind_for(index, platform))
        .collect();
    for (digest, kind) in kinds(index) {
        let fits =
            platforms.is_empty() || chosen.iter().chain(learned).any(|wanted| **wanted == *kind);
        let entry: &mut Entry = seen.entry(digest).or_default();
        entry.is_wanted |= fits;
        entry.index_used = entry.index_used.max(used);
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
        let mut seen = HashMap::new();
        for index in indexes {
            judge(index, None, &learned, &mut seen);
        }
        let digest = Digest::of(Algorithm::Sha256, name.as_bytes());
        seen.get(&digest).map(|entry| entry.is_wanted)
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
    fn an_image_is_asked_for_alone_if_nobody_has_asked_for_its_index_as_lately() {
        let start = SystemTime::now();
        let at = |hours| start + Duration::from_hours(hours);
        let lately = at(10);
        for (index, image, expected) in [
            (Some(8), Some(12), true),
            (Some(12), Some(12), false),
            (Some(12), Some(13), false),
            (Some(13), Some(12), false),
            (Some(7), Some(9), false),
            (None, Some(12), true),
            (Some(8), None, false),
        ] {
            let entry = Entry {
                is_wanted: false,
                index_used: index.map(at),
            };
            let is_alone = entry.is_asked_for_alone(image.map(at), lately);
            assert_eq!(is_alone, expected, "{index:?} {image:?}");
        }
    }

    #[test]
    fn the_last_use_of_any_of_its_indexes_counts() {
        let (early, late) = (SystemTime::UNIX_EPOCH, SystemTime::now());
        let index = index(&[("x", "amd64")]);
        let mut seen = HashMap::new();
        for used in [Some(early), Some(late), None] {
            judge(&index, used, &[], &mut seen);
        }
        let entry = seen.into_values().next().unwrap();
        assert_eq!(entry.index_used, Some(late));
    }

    #[test]
    fn a_walk_ends_at_shutdown_and_where_too_much_is_held() {
        let walk = Walk::new(SystemTime::now(), CancellationToken::new());
        assert!(walk.go_on(MOST_BLOBS).is_ok());
        assert!(matches!(walk.go_on(MOST_BLOBS + 1), Err(End::TooMuch)));
        walk.stop.cancel();
        assert!(matches!(walk.go_on(0), Err(End::Stopped)));
    }

    #[test]
    fn a_walk_is_followed_by_a_pause_that_its_length_decides() {
        let ranking = Ranking::new();
        assert!(!ranking.begin(|| false), "no eviction is near");
        assert!(ranking.begin(|| true));
        assert!(!ranking.begin(|| true), "one is under way");
        let run = ranking.run();
        std::thread::sleep(Duration::from_millis(50));
        drop(run);
        assert!(!ranking.begin(|| true), "it rests for ten seconds");
    }

    #[test]
    fn a_walk_that_panics_is_over() {
        let ranking = Ranking::new();
        assert!(ranking.begin(|| true));
        let walk = std::panic::AssertUnwindSafe(|| {
            let _run = ranking.run();
            panic!("a walk fails");
        });
        std::panic::catch_unwind(walk).unwrap_err();
        assert!(matches!(*ranking.next(), Next::At(_)));
    }
}
