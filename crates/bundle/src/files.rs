//! The files of a bundle on a disk or stick: one, or parts with what lies beside them.
//!
//! | file | content |
//! |---|---|
//! | `site.tar` | a whole bundle |
//! | `site.tar.001`, ... | its parts |
//! | `site.lock.json` | the lock, beside the parts |
//! | `site.lock.json.minisig` | the lock's signature, if there is one |
//! | `site.tar.sha256` | the sums of all parts, for `sha256sum -c` |

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::{
    access::FileAccess,
    layout::SIGNATURE_BYTES,
    lock::{LockError, MAX_LOCK_BYTES},
    parts::{Chain, PartsError, Pieces, part_of},
    read::{Bundle, ReadError},
};

/// What the name of a sum file ends with.
const SUMS: &str = ".sha256";
/// What the name of a lock file ends with.
const LOCK: &str = ".lock.json";
/// What the name of a signature ends with.
const MINISIG: &str = ".minisig";
/// What the name of a bundle ends with.
const TAR: &str = ".tar";

/// The files of one bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleFiles {
    /// The bundle in one file.
    Whole(PathBuf),
    /// Some of its parts, by number.
    Parts {
        /// The common name without the number.
        stem: PathBuf,
        /// The parts.
        parts: BTreeMap<u64, PathBuf>,
    },
}

/// Why files cannot be used as a bundle.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// One cannot be opened or read.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is no bundle, or a damaged one.
    #[error("{}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: ReadError,
    },
    /// There are parts, but not the first one with the lock, nor the lock itself.
    #[error(
        "{} has the lock, and is not here; name it too, or put {} beside the parts",
        first.display(),
        lock.display()
    )]
    NoLock {
        /// The first part.
        first: PathBuf,
        /// The name of the lock.
        lock: PathBuf,
    },
    /// No bundle was named.
    #[error("{} lies beside a bundle; name the bundle, or its parts", path.display())]
    NoBundle {
        /// What was named.
        path: PathBuf,
    },
    /// The parts do not fit the lock.
    #[error("{}", stem.display())]
    Parts {
        /// The common name of the parts.
        stem: PathBuf,
        /// The cause.
        source: PartsError,
    },
}

/// A bundle whose head was read, and the files with its blobs.
#[derive(Debug)]
pub struct OpenBundle {
    /// The bundle.
    pub bundle: Bundle,
    /// What is at hand of its bytes.
    pub pieces: Pieces,
}

impl BundleFiles {
    /// Groups paths: the parts of one bundle belong together, in one folder or, with different
    /// numbers, in several: a stick each. Sums, locks and signatures are found where they are needed,
    /// and may be named too, as `site.*` does, but not alone.
    pub fn group(paths: &[PathBuf]) -> Result<Vec<Self>, FilesError> {
        let mut groups: Vec<Self> = Vec::new();
        for path in paths {
            let name = name_of(path);
            if is_beside(&name) {
                continue;
            }
            let Some((stem, number)) = part_of(&name) else {
                groups.push(Self::Whole(path.clone()));
                continue;
            };
            let stem = path.with_file_name(stem);
            let mut known = groups.iter_mut();
            if let Some(parts) = known.find_map(|group| group.takes(&stem, number)) {
                parts.entry(number).or_insert_with(|| path.clone());
            } else {
                let parts = BTreeMap::from([(number, path.clone())]);
                groups.push(Self::Parts { stem, parts });
            }
        }
        match paths.first() {
            Some(path) if groups.is_empty() => Err(FilesError::NoBundle { path: path.clone() }),
            _ => Ok(groups),
        }
    }

    /// The parts that one with this stem and number belongs to.
    fn takes(&mut self, other: &Path, number: u64) -> Option<&mut BTreeMap<u64, PathBuf>> {
        match self {
            Self::Parts { stem, parts }
                if stem_key(stem) == stem_key(other)
                    || (stem_key(Path::new(&name_of(stem)))
                        == stem_key(Path::new(&name_of(other)))
                        && !parts.contains_key(&number)) =>
            {
                Some(parts)
            }
            _ => None,
        }
    }

    /// The name of the bundle for people.
    pub fn path(&self) -> &Path {
        match self {
            Self::Whole(path) | Self::Parts { stem: path, .. } => path,
        }
    }

    /// The file of the bundle's first bytes, if it is at hand.
    pub fn first(&self) -> Option<&Path> {
        match self {
            Self::Whole(path) => Some(path),
            Self::Parts { parts, .. } => parts.get(&1).map(PathBuf::as_path),
        }
    }

    /// The paths of all of it that is there: the bundle, or its parts with the lock and the signature
    /// beside them.
    pub fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::Whole(path) => vec![path.clone()],
            Self::Parts { stem, parts } => {
                let access = FileAccess::Paths;
                let lock = lock_beside(stem, parts, &access);
                let signature = lock
                    .as_ref()
                    .and_then(|lock| access.find(&added(lock, MINISIG)));
                let parts = parts.values().cloned();
                parts.chain(lock).chain(signature).collect()
            }
        }
    }

    /// Whether a file is one of those that lie beside this bundle: its sums, its lock or the lock's
    /// signature.
    pub fn lies_beside(&self, path: &Path) -> bool {
        let bundle = self.path();
        let beside = [lock_path(bundle), signature_path(bundle), sums_path(bundle)];
        let mut beside = beside.iter().map(|beside| stem_key(beside));
        beside.any(|beside| beside == stem_key(path))
    }

    /// Reads the lock, and finds the place of each part.
    pub fn open(&self) -> Result<OpenBundle, FilesError> {
        self.open_by(&FileAccess::Paths)
    }

    /// As [`Self::open`], with the files opened by `access`.
    pub fn open_by(&self, access: &FileAccess) -> Result<OpenBundle, FilesError> {
        let open = |path: &Path| access.open(path).map_err(|source| open_error(path, source));
        match self {
            Self::Whole(path) => {
                let (file, bundle) = open_file_by(path, access)?;
                let length = file.metadata().map_err(|source| open_error(path, source))?;
                let pieces = Pieces::whole(file, length.len());
                Ok(OpenBundle { bundle, pieces })
            }
            Self::Parts { stem, parts } => {
                let bundle = head_of(stem, parts, access)?;
                let files = parts
                    .iter()
                    .map(|(&number, path)| Ok((number, open(path)?)));
                let files = files.collect::<Result<Vec<_>, FilesError>>()?;
                let placed = Pieces::place(files, bundle.layout());
                let pieces = placed.map_err(|source| FilesError::Parts {
                    stem: stem.clone(),
                    source,
                })?;
                Ok(OpenBundle { bundle, pieces })
            }
        }
    }
}

/// The lock of a bundle from its parts, else from the file beside them.
fn head_of(
    stem: &Path,
    parts: &BTreeMap<u64, PathBuf>,
    access: &FileAccess,
) -> Result<Bundle, FilesError> {
    if let Some(first) = parts.get(&1) {
        match Bundle::open(&mut Chain::new(consecutive(parts, access)?)) {
            // The lock is longer than the parts that are here.
            Err(ReadError::CutShort { .. }) => {}
            read => return read.map_err(|source| read_error(first, source)),
        }
    }
    match lock_beside(stem, parts, access) {
        Some(path) => read_lock_by(&path, access),
        None => Err(FilesError::NoLock {
            first: crate::parts::part_name(&stem.to_string_lossy(), 1).into(),
            lock: lock_path(stem),
        }),
    }
}

/// The lock beside one of the parts.
fn lock_beside(
    stem: &Path,
    parts: &BTreeMap<u64, PathBuf>,
    access: &FileAccess,
) -> Option<PathBuf> {
    let name = name_of(&lock_path(stem));
    let mut beside = parts.values().map(|part| part.with_file_name(&name));
    beside.find_map(|lock| access.find(&lock))
}

/// A whole bundle in one file, which is left at the first blob.
pub fn open_file(path: &Path) -> Result<(File, Bundle), FilesError> {
    open_file_by(path, &FileAccess::Paths)
}

fn open_file_by(path: &Path, access: &FileAccess) -> Result<(File, Bundle), FilesError> {
    let mut file = access
        .open(path)
        .map_err(|source| open_error(path, source))?;
    let bundle = Bundle::open(&mut file).map_err(|source| read_error(path, source))?;
    Ok((file, bundle))
}

/// The bundle of a lock in a file of its own, with the signature beside it.
pub fn read_lock(path: &Path) -> Result<Bundle, FilesError> {
    read_lock_by(path, &FileAccess::Paths)
}

fn read_lock_by(path: &Path, access: &FileAccess) -> Result<Bundle, FilesError> {
    let failed = |source| open_error(path, source);
    let file = access.open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size > MAX_LOCK_BYTES {
        return Err(read_error(path, LockError::TooLong { size }.into()));
    }
    let mut bytes = Vec::new();
    let mut read = file.take(MAX_LOCK_BYTES);
    read.read_to_end(&mut bytes).map_err(failed)?;
    let signature = match access.find(&added(path, MINISIG)) {
        // One that cannot be read is not none.
        Some(beside) => {
            let text = signature(&beside, access);
            Some(text.map_err(|source| open_error(&beside, source))?)
        }
        None => None,
    };
    Bundle::of_lock(bytes, signature).map_err(|source| read_error(path, source))
}

/// The text of a signature in a file of its own; it takes no more room than in a bundle.
fn signature(path: &Path, access: &FileAccess) -> io::Result<String> {
    let mut text = String::new();
    let mut file = access.open(path)?.take(SIGNATURE_BYTES);
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// `site.lock.json` of `site.tar`.
pub fn lock_path(bundle: &Path) -> PathBuf {
    let name = name_of(bundle);
    let cut = name.len().saturating_sub(TAR.len());
    let is_tar = name
        .get(cut..)
        .is_some_and(|end| end.eq_ignore_ascii_case(TAR));
    let stem = if is_tar { &name[..cut] } else { &name };
    bundle.with_file_name(format!("{stem}{LOCK}"))
}

/// `site.lock.json.minisig` of `site.tar`.
pub fn signature_path(bundle: &Path) -> PathBuf {
    added(&lock_path(bundle), MINISIG)
}

/// `site.tar.sha256` of `site.tar`.
pub fn sums_path(bundle: &Path) -> PathBuf {
    added(bundle, SUMS)
}

fn added(path: &Path, end: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn is_beside(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [SUMS, LOCK, MINISIG].iter().any(|end| name.ends_with(end))
}

fn consecutive(
    parts: &BTreeMap<u64, PathBuf>,
    access: &FileAccess,
) -> Result<Vec<File>, FilesError> {
    let numbered = (1..).map_while(|number| parts.get(&number));
    let open = |path: &PathBuf| access.open(path).map_err(|source| open_error(path, source));
    numbered.map(open).collect()
}

fn stem_key(stem: &Path) -> String {
    stem.to_string_lossy().to_ascii_lowercase()
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn open_error(path: &Path, source: io::Error) -> FilesError {
    let path = path.to_owned();
    FilesError::Open { path, source }
}

fn read_error(path: &Path, source: ReadError) -> FilesError {
    let path = path.to_owned();
    FilesError::Read { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_one_bundle_belong_together_and_what_lies_beside_them_is_no_bundle() {
        let paths = [
            "usb/site.tar.002",
            "usb/site.lock.json",
            "other.tar",
            "usb/site.tar.sha256",
            "usb/SITE.TAR.001",
            "usb/site.lock.json.minisig",
            "second/site.tar.001",
            "third/site.tar.003",
        ];
        let groups = BundleFiles::group(&paths.map(PathBuf::from)).unwrap();
        let found: Vec<_> = groups
            .iter()
            .map(|group| match group {
                BundleFiles::Whole(path) => (path.display().to_string(), 0),
                BundleFiles::Parts { stem, parts } => (stem.display().to_string(), parts.len()),
            })
            .collect();
        let expected = [
            ("usb/site.tar".to_owned(), 3),
            ("other.tar".to_owned(), 0),
            ("second/site.tar".to_owned(), 1),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_lies_beside_a_bundle_is_none_by_itself() {
        let error = BundleFiles::group(&["site.lock.json".into()]).unwrap_err();
        assert!(error.to_string().contains("name the bundle"), "{error}");
    }

    #[test]
    fn the_files_beside_a_bundle_have_its_name() {
        let bundle = Path::new("usb/site.tar");
        assert_eq!(lock_path(bundle), Path::new("usb/site.lock.json"));
        assert_eq!(
            signature_path(bundle),
            Path::new("usb/site.lock.json.minisig")
        );
        assert_eq!(sums_path(bundle), Path::new("usb/site.tar.sha256"));
        assert_eq!(lock_path(Path::new("a")), Path::new("a.lock.json"));
    }
}
