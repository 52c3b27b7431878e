//! Collecting rows that are left over in the index.
//!
//! Files are the truth, so the index is made to follow them: rows without a file are removed, files
//! without a row get one, and then links and tags that lead to no row are removed, with the clients
//! that have pulled them.
//!
//! A removed link that is needed again costs one request to the upstream, and only if another
//! repository has brought the blob meanwhile; a blob that is not stored has to be requested in any
//! case. So everything a repository had is gone once the last of its content has left the disk.
//!
//! In a serving process this goes in small transactions. It spares blobs that are being filled and
//! rows younger than [`MIN_ROW_AGE`].

use std::time::{Duration, SystemTime};

use cache_store::{
    CacheError,
    disk::Disk,
    index::{Index, Pairs},
};
use manifest_model::Digest;
use tracing::warn;

use crate::blobs::Blobs;

/// The least age of a row that is removed for want of a file: the file of a younger one may be
/// about to become visible.
const MIN_ROW_AGE: Duration = Duration::from_mins(10);

/// The numbers of a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Removed rows that had no file.
    pub rows: u64,
    /// Recorded files that had no row.
    pub adopted: u64,
    /// Removed tags whose manifest is gone.
    pub tags: u64,
    /// Removed links that led to no stored blob.
    pub links: u64,
}

/// The other users of a directory while it is collected.
pub(crate) enum Company<'a> {
    /// None.
    Alone,
    /// A serving process, and its answer whether there may be another step.
    Serving(&'a Blobs, &'a dyn Fn() -> bool),
}

impl Company<'_> {
    fn is_running(&self, digest: &Digest) -> bool {
        match self {
            Self::Alone => false,
            Self::Serving(blobs, _) => blobs.is_running(digest),
        }
    }

    /// Asked between steps.
    fn goes_on(&self) -> bool {
        match self {
            Self::Alone => true,
            Self::Serving(_, goes_on) => goes_on(),
        }
    }

    /// Whether a row last used then is old enough to be removed.
    fn is_old_enough(&self, used: SystemTime) -> bool {
        match self {
            Self::Alone => true,
            // A time in the future comes from a clock that was set back, and is no reason to hurry.
            Self::Serving(..) => used.elapsed().is_ok_and(|age| age > MIN_ROW_AGE),
        }
    }
}

/// Makes the index follow the files. Blocks.
pub(crate) fn collect(
    index: &Index,
    disk: &Disk,
    company: &Company<'_>,
) -> Result<Collected, CacheError> {
    let collected = Collected {
        rows: collect_rows(index, disk, company)?,
        adopted: index.adopt(disk, || company.goes_on())?,
        tags: collect_tags(index, company)?,
        links: collect_pairs(&index.links.linked, company)?,
    };
    collect_pairs(&index.links.confirmed, company)?;
    index.attached.sweep(|| company.goes_on())?;
    // Nothing depends on these rows, and the next collection tries again.
    if let Err(error) = index.clients.sweep() {
        warn!(%error, "cannot sweep the clients of manifests that are gone");
    }
    Ok(collected)
}

fn collect_rows(index: &Index, disk: &Disk, company: &Company<'_>) -> Result<u64, CacheError> {
    let (mut removed, mut after) = (0, Vec::new());
    while company.goes_on() {
        let step = index.rows.step(&after, |row| {
            let is_spared = company.is_running(&row.digest) || !company.is_old_enough(row.used);
            Ok(!is_spared && disk.size(&row.digest)?.is_none())
        })?;
        if !step.suspects.is_empty() {
            index.rows.remove_unchanged(&step.suspects)?;
            removed += step.suspects.len() as u64;
        }
        match step.reached {
            Some(key) => after = key,
            None => break,
        }
    }
    Ok(removed)
}

fn collect_tags(index: &Index, company: &Company<'_>) -> Result<u64, CacheError> {
    let (mut removed, mut after) = (0, String::new());
    while company.goes_on() {
        let step = index.tags.step(&after)?;
        if !step.suspects.is_empty() {
            removed += index.tags.remove_stale(&step.suspects)?;
        }
        match step.reached {
            Some(key) => after = key,
            None => break,
        }
    }
    Ok(removed)
}

fn collect_pairs(pairs: &Pairs, company: &Company<'_>) -> Result<u64, CacheError> {
    let (mut removed, mut after) = (0, Vec::new());
    while company.goes_on() {
        let step = pairs.step(&after)?;
        if !step.suspects.is_empty() {
            let is_running = |digest: &Digest| company.is_running(digest);
            removed += pairs.remove_stale(&step.suspects, is_running)?;
        }
        match step.reached {
            Some(key) => after = key,
            None => break,
        }
    }
    Ok(removed)
}
