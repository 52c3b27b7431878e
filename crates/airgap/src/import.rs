//! One import, from the judgement of its lock to the moment it becomes visible.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bundle::Bundle;
use cache::{Allowance, Arrival, BundleRow, Cache, CacheError, CarriedName, Stage};
use manifest_model::{Digest, RepoKey, Tag};

use crate::{
    arrival,
    error::ImportError,
    rename::{Destination, destinations},
    room,
    rules::{Pruned, Rules, check_base, is_stored},
    source::Source,
};

/// A bundle that may come in: it was judged by its lock.
#[derive(Debug)]
pub struct Import {
    cache: Cache,
    rules: Arc<Rules>,
    bundle: Bundle,
    source: Source,
    row: BundleRow,
    missing: HashSet<Digest>,
    new_bytes: u64,
    pruned: Pruned,
}

/// What an import brings, or would bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The bundle's id.
    pub id: Digest,
    /// The images it names.
    pub images: u64,
    /// The blobs it lists.
    pub blobs: u64,
    /// Those of them that were not here.
    pub new_blobs: u64,
    /// Their bytes.
    pub new_bytes: u64,
    /// The tags that go.
    pub pruned: Vec<(RepoKey, Tag)>,
    /// What was allowed for it that is refused as a rule.
    pub allowed: Vec<Allowance>,
}

impl Import {
    /// Judges a bundle by its lock: reads nothing else and changes nothing. Blocks for a look at
    /// each blob that the lock lists.
    pub fn new(
        cache: &Cache,
        rules: Arc<Rules>,
        bundle: Bundle,
        source: Source,
    ) -> Result<Self, ImportError> {
        let known = cache.imports().all()?;
        let lock = bundle.lock();
        let signer = rules.signer(&bundle)?;
        let destinations = destinations(&lock.images, rules.place.as_ref())?;
        rules.check_names(&destinations)?;
        let is_older = rules.is_older(&bundle, &known)?;
        check_base(lock, cache)?;
        let pruned = rules.pruned(&bundle, &destinations, &known)?;
        let (mut missing, mut new_bytes) = (HashSet::new(), 0_u64);
        for blob in lock.carried() {
            if !is_stored(cache, &blob.digest, blob.size)? {
                missing.insert(blob.digest);
                new_bytes = new_bytes.saturating_add(blob.size);
            }
        }
        room::check(&bundle, &source, cache, new_bytes)?;
        let mut allowed = Vec::new();
        if signer.is_none() && !rules.trusted.is_empty() {
            allowed.push(Allowance::Unsigned);
        }
        if is_older {
            allowed.push(Allowance::Older);
        }
        let series = lock.series.as_ref().map(ToString::to_string);
        let row = BundleRow {
            id: bundle.id(),
            stage: Stage::Arriving,
            since: now(),
            series: series.zip(lock.sequence),
            signer: signer.map(|key| key.to_string()),
            allowed,
            images: lock.images.len() as u64,
            names: destinations.iter().flat_map(carried_names).collect(),
        };
        let is_here = |known: &BundleRow| known.id == row.id && known.stage == Stage::Imported;
        let here = known.into_iter().find(is_here);
        Ok(Self {
            cache: cache.clone(),
            row: match here {
                Some(here) => again(row, here),
                None => row,
            },
            rules,
            bundle,
            source,
            missing,
            new_bytes,
            pruned,
        })
    }

    /// What it will bring.
    pub fn preview(&self) -> Imported {
        let lock = self.bundle.lock();
        Imported {
            id: self.bundle.id(),
            images: lock.images.len() as u64,
            blobs: lock.blobs.len() as u64,
            new_blobs: self.missing.len() as u64,
            new_bytes: self.new_bytes,
            pruned: self.pruned.tags.clone(),
            allowed: self.row.allowed.clone(),
        }
    }

    /// Brings the bundle in. `progress` is called with the number of bytes that came since its last
    /// call. Dropping the future leaves the work on the blocking pool running: it ends as if it had
    /// been awaited, but for the last step, which is not begun.
    pub async fn run(
        self,
        progress: impl Fn(u64) + Send + 'static,
    ) -> Result<Imported, ImportError> {
        let (imported, cache) = (self.preview(), self.cache.clone());
        let arrived = blocking(move || self.bring(&progress)).await?;
        let Arrived { arrival, left_out } = arrived;
        // Looked at for what is absent alone, so it may be there a moment earlier.
        cache.leave_out(&imported.id, left_out).await?;
        let complete = move || Ok(cache.imports().complete(&arrival)?);
        blocking(complete).await?;
        Ok(imported)
    }

    /// Stores all blobs, which nobody can read yet.
    fn bring(self, progress: &dyn Fn(u64)) -> Result<Arrived, ImportError> {
        let Self {
            cache,
            rules,
            bundle,
            source,
            row,
            missing,
            pruned,
            ..
        } = self;
        let lock = bundle.lock();
        let blobs: Vec<Digest> = lock.blobs.iter().map(|blob| blob.digest).collect();
        cache.imports().begin(&row, &blobs)?;
        let mut intake = cache.imports().intake();
        source.bring(&bundle, &missing, &mut intake, progress)?;
        for blob in &lock.blobs {
            if !is_stored(&cache, &blob.digest, blob.size)? {
                let digest = blob.digest;
                return Err(ImportError::Gone { digest });
            }
        }
        let destinations = destinations(&lock.images, rules.place.as_ref())?;
        let manifests = arrival::manifests(lock, &destinations, &cache)?;
        Ok(Arrived {
            arrival: Arrival {
                bundle: BundleRow {
                    stage: Stage::Imported,
                    since: now(),
                    ..row
                },
                manifests,
                replaced: pruned.bundles,
                pruned: pruned.tags,
            },
            left_out: arrival::left_out(lock),
        })
    }
}

/// All that is left to do once the blobs are here.
struct Arrived {
    arrival: Arrival,
    left_out: Vec<Digest>,
}

/// The row of a bundle that is here already: nothing of it becomes invisible, and it keeps the
/// names that its images have from an earlier import, which may be others with `--as`.
fn again(row: BundleRow, here: BundleRow) -> BundleRow {
    let mut names = here.names;
    let known: HashSet<_> = names.iter().cloned().collect();
    let new = row.names.into_iter();
    names.extend(new.filter(|name| !known.contains(name)));
    BundleRow {
        stage: here.stage,
        since: here.since,
        names,
        ..row
    }
}

/// The names of an image and of what is attached to it.
fn carried_names<'a>(
    destination: &'a Destination<'_>,
) -> impl Iterator<Item = CarriedName> + use<'a> {
    let repository = &destination.repository;
    let image = CarriedName::new(repository, destination.tag, destination.image.digest);
    let attached = destination.image.attached.iter();
    let attached = attached.map(|attached| {
        let tag = attached.tag.as_ref();
        CarriedName::new(repository, tag, attached.digest)
    });
    [image].into_iter().chain(attached)
}

/// Seconds since 1970 by this machine's clock, which may be wrong: shown, and used for nothing else.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(CacheError::Interrupted(error).into()))
}
