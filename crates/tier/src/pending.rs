//! What is yet to be written to the bucket. It survives a restart: what a bucket in trouble did not
//! take goes there later.
//!
//! Only names are kept. What they mean is in the cache; a name whose content has gone from there is
//! dropped.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::atomic::{AtomicBool, Ordering},
};

use manifest_model::{Digest, RepoKey, Tag};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::warn;

use crate::metrics::TierMetrics;

/// The file in the folder of the cache.
const FILE: &str = "tier-pending";

/// Names that are kept; more are dropped, and reach the bucket when they are next brought.
const MAX_PENDING: usize = 200_000;

/// Something to be written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// A blob that an upstream has sent.
    Blob(Digest, String),
    /// A manifest of a repository, and the record that it is there.
    Manifest(RepoKey, Digest),
    /// The record of where a tag points.
    Tag(RepoKey, Tag),
}

/// All that is yet to be written.
#[derive(Debug)]
pub(crate) struct Pending {
    file: PathBuf,
    metrics: TierMetrics,
    /// Each with whether somebody is at it.
    table: Mutex<BTreeMap<Due, bool>>,
    is_changed: AtomicBool,
    news: Notify,
}

impl Pending {
    /// What an earlier process has left in `folder`. Blocks.
    pub(crate) fn open(folder: &Path, metrics: TierMetrics) -> Self {
        let file = folder.join(FILE);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                warn!(%error, file = %file.display(), "what is yet to be written to the tier cannot be read");
                String::new()
            }
        };
        let due = text.lines().filter_map(|line| line.parse().ok());
        let table: BTreeMap<Due, bool> = due.map(|due| (due, false)).collect();
        metrics.show_waiting(table.len());
        Self {
            file,
            metrics,
            table: Mutex::new(table),
            is_changed: AtomicBool::new(false),
            news: Notify::new(),
        }
    }

    /// Notes something. `is_begun` keeps others from it until [`Self::put_back`].
    pub(crate) fn add(&self, due: Due, is_begun: bool) {
        let mut table = self.table.lock();
        if table.len() >= MAX_PENDING && !table.contains_key(&due) {
            return;
        }
        table.insert(due, is_begun);
        self.changed(&table);
        drop(table);
        self.news.notify_one();
    }

    /// It is written, or will never be.
    pub(crate) fn done(&self, due: &Due) {
        let mut table = self.table.lock();
        table.remove(due);
        self.changed(&table);
    }

    /// It was not written yet.
    pub(crate) fn put_back(&self, due: &Due) {
        if let Some(is_begun) = self.table.lock().get_mut(due) {
            *is_begun = false;
        }
    }

    /// Up to `limit` of those that nobody is at, for the caller to write.
    pub(crate) fn take(&self, limit: usize) -> Vec<Due> {
        let mut table = self.table.lock();
        let free = table.iter_mut().filter(|(_, is_begun)| !**is_begun);
        free.take(limit)
            .map(|(due, is_begun)| {
                *is_begun = true;
                due.clone()
            })
            .collect()
    }

    /// Waits until something was added since the last call. Cancel safe.
    pub(crate) async fn added(&self) {
        self.news.notified().await;
    }

    fn changed(&self, table: &BTreeMap<Due, bool>) {
        self.is_changed.store(true, Ordering::Relaxed);
        self.metrics.show_waiting(table.len());
    }

    /// Writes the file if anything has changed. Blocks.
    pub(crate) fn save(&self) {
        if !self.is_changed.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut text = String::new();
        for due in self.table.lock().keys() {
            let _ = writeln!(text, "{due}");
        }
        let new = self.file.with_extension("new");
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &self.file));
        if let Err(error) = written {
            self.is_changed.store(true, Ordering::Relaxed);
            warn!(%error, file = %self.file.display(), "what is yet to be written to the tier cannot be kept");
        }
    }
}

impl std::fmt::Display for Due {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blob(digest, upstream) => write!(formatter, "blob {digest} {upstream}"),
            Self::Manifest(repository, digest) => {
                write!(formatter, "manifest {repository} {digest}")
            }
            Self::Tag(repository, tag) => write!(formatter, "tag {repository} {tag}"),
        }
    }
}

impl FromStr for Due {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["blob", digest, upstream] => Ok(Self::Blob(
                digest.parse().map_err(drop)?,
                upstream.to_owned(),
            )),
            ["manifest", repository, digest] => Ok(Self::Manifest(
                repository.parse().map_err(drop)?,
                digest.parse().map_err(drop)?,
            )),
            ["tag", repository, tag] => Ok(Self::Tag(
                repository.parse().map_err(drop)?,
                tag.parse().map_err(drop)?,
            )),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::*;

    fn blob(text: &str) -> Due {
        let digest = Digest::of(Algorithm::Sha256, text.as_bytes());
        Due::Blob(digest, "docker.io".to_owned())
    }

    #[test]
    fn what_is_due_survives_a_restart_and_what_is_done_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Pending::open(folder.path(), TierMetrics::default());
        let pending = open();
        let repository: RepoKey = "docker.io/library/hello".parse().unwrap();
        let digest = Digest::of(Algorithm::Sha512, b"manifest");
        let due = [
            blob("one"),
            Due::Manifest(repository.clone(), digest),
            Due::Tag(repository, "latest".parse().unwrap()),
        ];
        for one in &due {
            pending.add(one.clone(), true);
        }
        pending.add(blob("two"), false);
        pending.done(&blob("two"));
        pending.save();
        let mut left = open().take(10);
        left.sort();
        assert_eq!(left, due);
    }

    #[test]
    fn nobody_takes_what_another_is_at() {
        let folder = tempfile::tempdir().unwrap();
        let pending = Pending::open(folder.path(), TierMetrics::default());
        pending.add(blob("one"), true);
        assert_eq!(pending.take(10), []);
        pending.put_back(&blob("one"));
        assert_eq!(pending.take(10), [blob("one")]);
        assert_eq!(pending.take(10), []);
    }

    #[test]
    fn a_torn_file_loses_its_torn_line_alone() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{}\nblob sha256:0123", blob("one"));
        fs::write(folder.path().join(FILE), text).unwrap();
        let pending = Pending::open(folder.path(), TierMetrics::default());
        assert_eq!(pending.take(10), [blob("one")]);
    }
}
