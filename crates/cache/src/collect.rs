//! Collecting what is left over in the index.
//!
//! Files are the truth, so the index is made to follow them: rows without a file go, files without a row get one, and then links
//! and tags that lead to no row go, and who has pulled them is forgotten. A link that went and is needed again costs one question to the upstream, and only where
//! another repository has brought the blob meanwhile; a blob that is not stored has to be asked for in any case. So whatever a
//! repository held is forgotten when the last of its content has left the disk.

use std::time::{Duration, SystemTime};

use manifest_model::Digest;
use tracing::warn;

use crate::{
    Cache,
    disk::Disk,
    error::CacheError,
    index::{Index, Outcome, decode_tag},
};

/// How old a row without a file has to be: its file may be about to become visible.
const SETTLED: Duration = Duration::from_mins(10);

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Rows dropped that had no file.
    pub rows: u64,
    /// Files recorded that had no row.
    pub adopted: u64,
    /// Tags dropped whose manifest is gone.
    pub tags: u64,
    /// Links dropped that led to nothing stored.
    pub links: u64,
}

/// Who else works on the directory while it is collected.
pub(crate) enum Company<'a> {
    /// Nobody.
    Alone,
    /// A serving process, for as long as there may be another step.
    Serving(&'a Cache, &'a dyn Fn() -> bool),
}

impl Company<'_> {
    fn is_running(&self, digest: &Digest) -> bool {
        match self {
            Self::Alone => false,
            Self::Serving(cache, _) => cache.blobs().is_running(digest),
        }
    }

    /// Drops the rows of tags; what is remembered of them goes with them.
    fn drop_tags(&self, index: &Index, suspects: &[String]) -> Outcome<u64> {
        let drop = || index.drop_tags(suspects);
        match self {
            Self::Alone => drop(),
            Self::Serving(cache, _) => {
                let tags = suspects.iter().filter_map(|key| decode_tag(key));
                cache.hot().tags_change(tags, drop)
            }
        }
    }

    /// Asked between steps.
    fn goes_on(&self) -> bool {
        match self {
            Self::Alone => true,
            Self::Serving(_, goes_on) => goes_on(),
        }
    }

    fn settled(&self, used: SystemTime) -> bool {
        match self {
            Self::Alone => true,
            // A time in the future is a clock that was set back, and no reason to hurry.
            Self::Serving(..) => used.elapsed().is_ok_and(|age| age > SETTLED),
        }
    }
}

impl Cache {
    /// Brings the index in line with the files; see [`Collected`]. Takes a while on a large cache, and nobody waits for it:
    /// its transactions are small, and what is being filled or was stored just now is left alone. `goes_on` is asked between
    /// them, and may block to pace the work; once it says no, this ends with what it has done by then.
    pub async fn collect(
        &self,
        goes_on: impl Fn() -> bool + Send + 'static,
    ) -> Result<Collected, CacheError> {
        self.blocking(move |cache| {
            cache.set_back()?;
            let company = Company::Serving(cache, &goes_on);
            let disk = cache.blobs().disk();
            disk.drop_old_partials(|digest| company.is_running(digest))?;
            let collected = collect(cache.index(), disk, &company)?;
            cache.after_growth()?;
            Ok(collected)
        })
        .await
    }
}

/// Blocks.
pub(crate) fn collect(
    index: &Index,
    disk: &Disk,
    company: &Company<'_>,
) -> Result<Collected, CacheError> {
    let collected = Collected {
        rows: rows(index, disk, company)?,
        adopted: index.adopt(disk, || company.goes_on())?,
        tags: tags(index, company)?,
        links: links(index, company)?,
    };
    // What it counts hangs on nothing, and it is tried again with the next collection.
    if let Err(error) = index.sweep_clients() {
        warn!(%error, "who has pulled what is gone could not be forgotten");
    }
    Ok(collected)
}

fn rows(index: &Index, disk: &Disk, company: &Company<'_>) -> Result<u64, CacheError> {
    let (mut dropped, mut after) = (0, Vec::new());
    while company.goes_on() {
        let step = index.step_rows(&after, |row| {
            let spared = company.is_running(&row.digest) || !company.settled(row.used);
            Ok(!spared && disk.size(&row.digest)?.is_none())
        })?;
        if !step.suspects.is_empty() {
            index.forget(&step.suspects)?;
            dropped += step.suspects.len() as u64;
        }
        match step.reached {
            Some(key) => after = key,
            None => break,
        }
    }
    Ok(dropped)
}

fn tags(index: &Index, company: &Company<'_>) -> Result<u64, CacheError> {
    let (mut dropped, mut after) = (0, String::new());
    while company.goes_on() {
        let step = index.step_tags(&after)?;
        if !step.suspects.is_empty() {
            dropped += company.drop_tags(index, &step.suspects)?;
        }
        match step.reached {
            Some(key) => after = key,
            None => break,
        }
    }
    Ok(dropped)
}

fn links(index: &Index, company: &Company<'_>) -> Result<u64, CacheError> {
    let (mut dropped, mut after) = (0, Vec::new());
    while company.goes_on() {
        let step = index.step_links(&after)?;
        if !step.suspects.is_empty() {
            dropped += index.drop_links(&step.suspects, |digest| company.is_running(digest))?;
        }
        match step.reached {
            Some(key) => after = key,
            None => break,
        }
    }
    Ok(dropped)
}
