//! The count of what stored blobs are and whose they are: a walk over the manifests, which takes a
//! tenth of a core meanwhile. It is made only where somebody asks for its result.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use admin_api::{CacheUse, Share, Time};
use cache::{Cache, CacheError, Class, RepoKey};
use manifest_model::{Digest, ImageConfig, Manifest};
use parking_lot::Mutex;
use protocol::error_chain::ErrorChain;
use pull::Tasks;
use tracing::warn;

/// How long a count holds.
const HOLDS_FOR: Duration = Duration::from_mins(10);

/// Blobs that are told apart, in all divisions: some 40 bytes each.
const MAX_SEEN: usize = 1_000_000;

/// Repositories that are told.
const MAX_REPOSITORIES: usize = 50;

/// Platforms that are told apart; the others are one.
const MAX_PLATFORMS: usize = 32;

/// The last count. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surveys(Arc<Mutex<Counting>>);

#[derive(Debug, Default)]
struct Counting {
    last: CacheUse,
    began: Option<Instant>,
    is_running: bool,
}

impl Surveys {
    /// The last count; another one begins if it is old.
    pub(crate) fn latest(&self, cache: &Cache, tasks: &Tasks) -> CacheUse {
        let mut counting = self.0.lock();
        let is_due = counting
            .began
            .is_none_or(|began| began.elapsed() > HOLDS_FOR);
        if is_due && !counting.is_running {
            counting.is_running = true;
            counting.began = Some(Instant::now());
            self.clone().start(cache.clone(), tasks);
        }
        counting.last.clone()
    }

    fn start(self, cache: Cache, tasks: &Tasks) {
        let goes_on = tasks.background_pace();
        tasks.spawn_blocking(move || {
            let counted = Walk::new(&cache, &goes_on).run();
            let mut counting = self.0.lock();
            counting.is_running = false;
            match counted {
                Ok(Some(counted)) => counting.last = counted,
                Ok(None) => {}
                Err(error) => {
                    warn!(error = %ErrorChain(&error), "what the disk is used for could not be counted");
                }
            }
        });
    }
}

/// A sum.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    bytes: u64,
    blobs: u64,
}

impl Sum {
    fn add(&mut self, size: u64) {
        self.bytes += size;
        self.blobs += 1;
    }
}

/// What a blob is counted in beside all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Division {
    All,
    Upstream(u16),
    Platform(u16),
}

struct Walk<'a, G> {
    cache: &'a Cache,
    goes_on: &'a G,
    seen: HashSet<(Digest, Division)>,
    kinds: HashMap<&'static str, Sum>,
    classes: HashMap<&'static str, Sum>,
    upstreams: Vec<(String, Sum)>,
    platforms: Vec<(String, Sum)>,
    repositories: Vec<(String, Sum)>,
}

impl<'a, G: Fn() -> bool> Walk<'a, G> {
    fn new(cache: &'a Cache, goes_on: &'a G) -> Self {
        Self {
            cache,
            goes_on,
            seen: HashSet::new(),
            kinds: HashMap::new(),
            classes: HashMap::new(),
            upstreams: Vec::new(),
            platforms: Vec::new(),
            repositories: Vec::new(),
        }
    }

    /// `None` if it was stopped, or there is more than can be told apart.
    fn run(mut self) -> Result<Option<CacheUse>, CacheError> {
        let mut after = None;
        while let Some((repository, manifests)) =
            self.cache.ranking().next_repository(after.as_ref())?
        {
            if !self.repository(&repository, &manifests)? {
                return Ok(None);
            }
            after = Some(repository);
        }
        Ok(Some(self.told()))
    }

    /// `false` if it is not to go on.
    fn repository(
        &mut self,
        repository: &RepoKey,
        manifests: &[Digest],
    ) -> Result<bool, CacheError> {
        let upstream = place(
            &mut self.upstreams,
            repository.upstream(),
            usize::from(u16::MAX),
        );
        let (mut sum, mut own) = (Sum::default(), HashSet::new());
        let mut platforms: HashMap<Digest, String> = HashMap::new();
        let mut images = Vec::new();
        for digest in manifests {
            if !(self.goes_on)() || self.seen.len() > MAX_SEEN {
                return Ok(false);
            }
            let Some(manifest) = self.cache.peek_manifest(digest)? else {
                continue;
            };
            if manifest.is_index() {
                for entry in manifest.entries() {
                    if let Some(platform) = &entry.platform {
                        platforms.insert(entry.digest, platform.normalized().to_string());
                    }
                }
                self.count(*digest, "index", (upstream, None), (&mut sum, &mut own))?;
            } else {
                images.push(manifest);
            }
        }
        for image in images {
            if !(self.goes_on)() {
                return Ok(false);
            }
            let platform = match platforms.get(&image.digest()) {
                Some(platform) => Some(platform.clone()),
                None => self.platform_of(&image)?,
            };
            let platform = platform.map(|name| place(&mut self.platforms, &name, MAX_PLATFORMS));
            let config = image.config().map(|config| config.digest);
            let of = (upstream, platform);
            self.count(image.digest(), "manifest", of, (&mut sum, &mut own))?;
            for link in image.links() {
                let kind = if Some(link.digest) == config {
                    "config"
                } else {
                    "layer"
                };
                self.count(link.digest, kind, of, (&mut sum, &mut own))?;
            }
        }
        self.repositories.push((repository.to_string(), sum));
        if self.repositories.len() > 4 * MAX_REPOSITORIES {
            largest_first(&mut self.repositories);
            self.repositories.truncate(MAX_REPOSITORIES);
        }
        Ok(true)
    }

    fn count(
        &mut self,
        digest: Digest,
        kind: &'static str,
        (upstream, platform): (usize, Option<usize>),
        (sum, own): (&mut Sum, &mut HashSet<Digest>),
    ) -> Result<(), CacheError> {
        let Some(blob) = self.cache.ranked(&digest)? else {
            return Ok(());
        };
        if own.insert(digest) {
            sum.add(blob.size);
        }
        let short = |place: usize| u16::try_from(place).unwrap_or(u16::MAX);
        if self.seen.insert((digest, Division::All)) {
            self.kinds.entry(kind).or_default().add(blob.size);
            let class = class(blob.class);
            self.classes.entry(class).or_default().add(blob.size);
        }
        if self
            .seen
            .insert((digest, Division::Upstream(short(upstream))))
        {
            self.upstreams[upstream].1.add(blob.size);
        }
        if let Some(platform) = platform
            && self
                .seen
                .insert((digest, Division::Platform(short(platform))))
        {
            self.platforms[platform].1.add(blob.size);
        }
        Ok(())
    }

    /// The platform in the config of an image that no index lists.
    fn platform_of(&self, image: &Manifest) -> Result<Option<String>, CacheError> {
        let Some(config) = image.config() else {
            return Ok(None);
        };
        let limit = ImageConfig::MAX_BYTES as u64;
        let Some(bytes) = self.cache.peek_bytes(&config.digest, limit)? else {
            return Ok(None);
        };
        let config = ImageConfig::parse(&bytes).ok();
        let platform = config.and_then(|config| config.platform().cloned());
        let named = platform.filter(|platform| !platform.architecture.is_empty());
        Ok(named.map(|platform| platform.to_string()))
    }

    fn told(mut self) -> CacheUse {
        let usage = self.cache.usage();
        let all = |sums: &HashMap<&'static str, Sum>| {
            let bytes: u64 = sums.values().map(|sum| sum.bytes).sum();
            let blobs: u64 = sums.values().map(|sum| sum.blobs).sum();
            (bytes, blobs)
        };
        let (bytes, blobs) = all(&self.kinds);
        let other = Sum {
            bytes: usage.bytes.saturating_sub(bytes),
            blobs: usage.blobs.saturating_sub(blobs),
        };
        if other.blobs > 0 {
            self.kinds.insert("other", other);
        }
        let named = |sums: HashMap<&'static str, Sum>| {
            let sums = sums.into_iter().map(|(name, sum)| (name.to_owned(), sum));
            shares(sums.collect(), usize::MAX)
        };
        CacheUse {
            classes: named(self.classes),
            kinds: named(self.kinds),
            platforms: shares(self.platforms, usize::MAX),
            upstreams: shares(self.upstreams, usize::MAX),
            repositories: shares(self.repositories, MAX_REPOSITORIES),
            counted: Some(Time::now()),
            ..CacheUse::default()
        }
    }
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Unwanted => "unwanted",
        Class::Probation => "probation",
        Class::Blob => "used_again",
        Class::Manifest => "manifests",
        Class::Pinned => "pinned",
    }
}

/// The place of a name, which is added if there is room; else that of all further ones.
fn place(sums: &mut Vec<(String, Sum)>, name: &str, most: usize) -> usize {
    if let Some(at) = sums.iter().position(|(known, _)| known == name) {
        return at;
    }
    if sums.len() < most {
        sums.push((name.to_owned(), Sum::default()));
        return sums.len() - 1;
    }
    "other".clone_into(&mut sums[most - 1].0);
    most - 1
}

fn largest_first(sums: &mut [(String, Sum)]) {
    sums.sort_by(|(a, x), (b, y)| y.bytes.cmp(&x.bytes).then(a.cmp(b)));
}

fn shares(mut sums: Vec<(String, Sum)>, most: usize) -> Vec<Share> {
    largest_first(&mut sums);
    sums.truncate(most);
    let shares = sums.into_iter().map(|(name, sum)| Share {
        name,
        bytes: sum.bytes,
        blobs: sum.blobs,
    });
    shares.collect()
}
