//! One import, from the judgement of its lock to the moment it becomes visible.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bundle::{Bundle, Lock};
use cache::{Allowance, Arrival, Cache, CacheError, Intake};
use manifest_model::Digest;
use serde::{Deserialize, Serialize};

use crate::{
    arrival,
    error::ImportError,
    judged::Judged,
    open::Opened,
    room,
    rules::{Rules, is_stored},
    source::Source,
};

/// A bundle that may come in: it was judged by its lock.
#[derive(Debug)]
pub struct Import {
    cache: Cache,
    rules: Arc<Rules>,
    bundle: Bundle,
    source: Source,
    judged: Judged,
    missing: HashSet<Digest>,
    new_bytes: u64,
}

/// What an import brings, or would bring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The stored ones that were damaged and came again.
    pub mended: u64,
    /// The tags that go, as `HOST/REPOSITORY:TAG`.
    pub pruned: Vec<String>,
    /// What was allowed for it that is refused as a rule.
    pub allowed: Vec<Allowance>,
}

impl Import {
    /// Judges a bundle by its lock: reads nothing else and changes nothing. Blocks for a look at
    /// each blob that the lock lists.
    pub fn new(cache: &Cache, rules: Arc<Rules>, opened: Opened) -> Result<Self, ImportError> {
        let Opened { bundle, source, .. } = opened;
        let judged = Judged::of(cache, &rules, &bundle)?;
        let (mut missing, mut new_bytes) = (HashSet::new(), 0_u64);
        for blob in bundle.lock().carried() {
            if !is_stored(cache, &blob.digest, blob.size)? {
                missing.insert(blob.digest);
                new_bytes = new_bytes.saturating_add(blob.size);
            }
        }
        room::check(&bundle, &source, cache, new_bytes)?;
        Ok(Self {
            cache: cache.clone(),
            rules,
            bundle,
            source,
            judged,
            missing,
            new_bytes,
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
            mended: 0,
            pruned: self.judged.pruned.names(),
            allowed: self.judged.row.allowed.clone(),
        }
    }

    /// The bytes that will be read: of what comes, and of what is stored, to see that it is sound.
    pub fn bytes(&self) -> u64 {
        let sizes = self.bundle.lock().carried().map(|blob| blob.size);
        sizes.fold(0, u64::saturating_add)
    }

    /// Brings the bundle in. `progress` is called with the number of bytes that were read since its
    /// last call. Dropping the future stops the work before its next blob; what has come stays.
    pub async fn run(
        self,
        progress: impl Fn(u64) + Send + 'static,
    ) -> Result<Imported, ImportError> {
        let (mut imported, cache) = (self.preview(), self.cache.clone());
        let wanted = Wanted::default();
        let still_wanted = Arc::clone(&wanted.0);
        let goes_on = move || still_wanted.load(Ordering::Relaxed);
        let arrived = blocking(move || self.bring(&progress, &goes_on)).await?;
        imported.mended = arrived.mended;
        let id = imported.id;
        let show = move || {
            // Looked at for what is absent alone, so it may be there a moment earlier.
            cache.imports().leave_out(&id, &arrived.left_out)?;
            Ok(cache.imports().complete(&arrived.arrival)?)
        };
        blocking(show).await?;
        Ok(imported)
    }

    /// Stores all blobs, which nobody can read yet.
    fn bring(
        self,
        progress: &dyn Fn(u64),
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Arrived, ImportError> {
        let (cache, lock) = (self.cache, self.bundle.lock());
        self.judged.begin(&cache, lock)?;
        let mut intake = cache.imports().intake();
        let missing = missing(lock, &intake, progress, goes_on)?;
        let mended = missing.difference(&self.missing).count() as u64;
        let source = self.source;
        source.bring(&self.bundle, &missing, &mut intake, progress, goes_on)?;
        for blob in &lock.blobs {
            if !is_stored(&cache, &blob.digest, blob.size)? {
                let digest = blob.digest;
                return Err(ImportError::Gone { digest });
            }
        }
        Ok(Arrived {
            arrival: self.judged.arrival(&cache, &self.rules, lock)?,
            left_out: arrival::left_out(lock),
            mended,
        })
    }
}

/// What of a bundle is to come: all that it carries and is not stored, or not as it should be. What is
/// stored is hashed once more, since a bundle that brings the same is the one chance to mend it. What
/// it only builds on is taken as it is, as for a client.
fn missing(
    lock: &Lock,
    intake: &Intake,
    progress: &dyn Fn(u64),
    goes_on: &dyn Fn() -> bool,
) -> Result<HashSet<Digest>, ImportError> {
    let mut missing = HashSet::new();
    for blob in lock.carried() {
        if !goes_on() {
            return Err(ImportError::Stopped);
        }
        if !intake.has_sound(&blob.digest, blob.size, progress)? {
            missing.insert(blob.digest);
        }
    }
    Ok(missing)
}

/// All that is left to do once the blobs are here.
struct Arrived {
    arrival: Arrival,
    left_out: Vec<Digest>,
    mended: u64,
}

/// Whether anybody waits for an import. Dropped, nobody does.
struct Wanted(Arc<AtomicBool>);

impl Default for Wanted {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(CacheError::Interrupted(error).into()))
}
