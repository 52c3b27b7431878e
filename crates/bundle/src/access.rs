//! Where the files of a bundle are opened: by their paths, or among those that another process has
//! opened and handed over.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek},
    path::{Path, PathBuf},
};

/// The name of standard input among files.
const STDIN: &str = "-";

/// Where files are opened.
#[derive(Debug, Default)]
pub enum FileAccess {
    /// By their paths; `-` is standard input.
    #[default]
    Paths,
    /// Among these, each under the path by which another process has opened it.
    Handed(BTreeMap<PathBuf, File>),
}

impl FileAccess {
    /// A file, at its beginning. One that was handed over has one position for all who read it.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        let Self::Handed(files) = self else {
            return File::open(path);
        };
        let file = files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let mut file = file.try_clone()?;
        match file.rewind() {
            // A pipe has no beginning to return to.
            Err(error) if error.kind() != io::ErrorKind::NotSeekable => Err(error),
            _ => Ok(file),
        }
    }

    /// What `-` stands for.
    pub fn pipe(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Paths => Box::new(io::stdin()),
            Self::Handed(_) => Box::new(self.open(Path::new(STDIN))?),
        })
    }

    /// Whether a path is that of standard input.
    pub fn is_pipe(path: &Path) -> bool {
        path == Path::new(STDIN)
    }

    /// Whether a path leads to a folder.
    pub fn is_folder(&self, path: &Path) -> bool {
        match self {
            Self::Paths => path.is_dir(),
            Self::Handed(files) => files
                .get(path)
                .and_then(|file| file.metadata().ok())
                .is_some_and(|metadata| metadata.is_dir()),
        }
    }

    /// The file of this name, in whatever case a FAT or an ISO file system has made of it.
    pub(crate) fn find(&self, path: &Path) -> Option<PathBuf> {
        let is_it = |other: &Path| name(other).eq_ignore_ascii_case(&name(path));
        match self {
            Self::Handed(files) if files.contains_key(path) => Some(path.to_owned()),
            Self::Handed(files) => {
                let mut beside = files.keys().filter(|other| other.parent() == path.parent());
                beside.find(|other| is_it(other)).cloned()
            }
            Self::Paths if path.exists() => Some(path.to_owned()),
            Self::Paths => {
                let folder = path.parent().filter(|folder| *folder != Path::new(""));
                let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
                let mut entries = entries.filter_map(Result::ok).map(|entry| entry.path());
                entries.find(|entry| is_it(entry))
            }
        }
    }
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
