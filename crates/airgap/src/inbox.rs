//! A folder into which bundles are put, as by the receiving end of a diode: which of them are
//! complete, and where they go afterwards.
//!
//! Looks at names, lengths and times, at intervals of the caller's: that works on every file system,
//! and a file that somebody else writes over a network raises no event here. A bundle is complete when
//! nothing of it has changed for [`SETTLED`] and its lock calls for no byte that is not there. What is
//! no bundle is taken once it has settled, so that it is refused with the reason.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use bundle::{BundleFiles, FileAccess, FilesError, ReadError};
use serde_json::json;

use crate::import::Imported;

/// How long a file must not have changed to count as written.
const SETTLED: Duration = Duration::from_secs(4);

/// Names of files that are being written.
const UNFINISHED: [&str; 4] = [".partial", ".part", ".tmp", ".filepart"];

/// The folder of what was imported, and of what was not.
const DONE: &str = "done";
const REFUSED: &str = "refused";

/// What is added to the name of a bundle for its report.
const REPORT: &str = ".report.json";

/// The folder, and what was seen in it. One process at a time may look.
#[derive(Debug)]
pub struct Inbox {
    folder: PathBuf,
    seen: HashMap<PathBuf, Seen>,
}

/// The files of a bundle as they were when they changed last.
#[derive(Debug)]
struct Seen {
    files: Vec<(PathBuf, u64, Option<SystemTime>)>,
    since: Instant,
    /// Whether it was said of them what is missing, or they were handed out.
    is_done: bool,
}

/// A bundle that is complete, or something that will never be one.
#[derive(Debug)]
pub struct Ready {
    /// Its files.
    pub files: BundleFiles,
    /// All that goes with it: its parts, and what lies beside them.
    all: Vec<PathBuf>,
}

/// What one look found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is to be imported, in the order of their numbers in their series; each once, unless its
    /// files change.
    pub ready: Vec<Ready>,
    /// Bundles of which something is missing, each with how much is there; told once as long as
    /// nothing changes.
    pub waiting: Vec<(PathBuf, InboxError)>,
}

/// Why a bundle waits.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// Bytes are missing.
    #[error("byte {at} of {total} is not here; bring the rest of the file, or the part with it")]
    Incomplete {
        /// The first byte that is not here.
        at: u64,
        /// How many there are.
        total: u64,
    },
    /// Its head is not here.
    #[error(transparent)]
    Head(FilesError),
}

/// How a bundle of the folder is judged by its files alone.
enum Standing {
    Complete(Option<(String, u64)>),
    Waiting(InboxError),
}

impl Inbox {
    /// A folder that nobody has looked at yet. It is made if need be, with those that bundles go to.
    pub fn open(folder: &Path) -> io::Result<Self> {
        for folder in [folder, &folder.join(DONE), &folder.join(REFUSED)] {
            fs::create_dir_all(folder)?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            seen: HashMap::new(),
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks at the folder. Blocks for a look at each file, and at the head of each new bundle.
    pub fn look(&mut self) -> io::Result<Outcome> {
        let names = self.names()?;
        let mut outcome = Outcome::default();
        let mut known = std::mem::take(&mut self.seen);
        let groups = BundleFiles::group(&names).unwrap_or_default();
        let mut ready = Vec::new();
        for files in groups {
            let all = with_beside(&files, &names);
            let now = states(&all);
            let key = files.path().to_owned();
            let mut seen = match known.remove(&key).filter(|seen| seen.files == now) {
                Some(seen) => seen,
                None => Seen {
                    files: now,
                    since: Instant::now(),
                    is_done: false,
                },
            };
            if !seen.is_done && seen.since.elapsed() >= SETTLED {
                seen.is_done = true;
                match standing(&files) {
                    Standing::Complete(series) => ready.push((series, Ready { files, all })),
                    Standing::Waiting(why) => outcome.waiting.push((key.clone(), why)),
                }
            }
            self.seen.insert(key, seen);
        }
        // What an older one brings, a newer one may build on.
        ready.sort_by(|(a, _), (b, _)| a.cmp(b));
        outcome.ready = ready.into_iter().map(|(_, ready)| ready).collect();
        Ok(outcome)
    }

    /// Moves a bundle to where it belongs now, with a report beside it.
    pub fn put_away(&self, ready: &Ready, imported: Result<&Imported, &str>) -> io::Result<()> {
        let folder = self.folder.join(match imported {
            Ok(_) => DONE,
            Err(_) => REFUSED,
        });
        let report = match imported {
            Ok(imported) => json!({ "imported": imported }),
            Err(reason) => json!({ "refused": reason }),
        };
        let name = ready.files.path().file_name().unwrap_or_default();
        let mut path = folder.join(name).into_os_string();
        path.push(REPORT);
        fs::write(path, format!("{report:#}\n"))?;
        // The bundle itself last: cut short, it is taken once more and put away then.
        for file in ready.all.iter().rev() {
            fs::rename(file, folder.join(file.file_name().unwrap_or_default()))?;
        }
        Ok(())
    }

    /// The files and folders that may be of bundles, by name.
    fn names(&self) -> io::Result<Vec<PathBuf>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_unfinished = UNFINISHED.iter().any(|end| name.ends_with(end));
            if entry.file_type()?.is_file() && !is_unfinished && !name.starts_with('.') {
                names.push(entry.path());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// The files of a bundle, and of `names` what belongs to it: a lock, a signature, sums.
fn with_beside(files: &BundleFiles, names: &[PathBuf]) -> Vec<PathBuf> {
    let mut all = files.paths();
    let is_beside = |name: &&PathBuf| files.lies_beside(name);
    all.extend(names.iter().filter(is_beside).cloned());
    all.sort();
    all.dedup();
    all
}

/// What tells whether files have changed.
fn states(files: &[PathBuf]) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let state = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok();
        let length = metadata.as_ref().map_or(0, fs::Metadata::len);
        let modified = metadata.and_then(|metadata| metadata.modified().ok());
        (path.clone(), length, modified)
    };
    files.iter().map(state).collect()
}

fn standing(files: &BundleFiles) -> Standing {
    match files.open_by(&FileAccess::Paths) {
        Ok(opened) => {
            let total = opened.bundle.layout().size();
            if let Some(at) = opened.pieces.gap(0..total) {
                return Standing::Waiting(InboxError::Incomplete { at, total });
            }
            let lock = opened.bundle.lock();
            let series = lock.series.as_ref().map(ToString::to_string);
            Standing::Complete(series.zip(lock.sequence))
        }
        Err(
            error @ (FilesError::NoLock { .. }
            | FilesError::Read {
                source: ReadError::CutShort { .. },
                ..
            }),
        ) => Standing::Waiting(InboxError::Head(error)),
        // Whatever it is, it is not going to be a bundle: the import says so.
        Err(_) => Standing::Complete(None),
    }
}
