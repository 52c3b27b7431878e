//! Opening what an operator names: a bundle, its parts, a pipe, or a layout of another tool.

use std::{
    io,
    path::{Path, PathBuf},
};

use bundle::{Bundle, BundleFiles, FileAccess, FilesError, OpenBundle, ReadError};

use crate::{
    error::ImportError,
    foreign::{self, ForeignError},
    rename::NewPlace,
    source::{ForeignLayout, Source},
};

/// Something to be imported, with its head read.
#[derive(Debug)]
pub struct Opened {
    /// How people call it: its path, or that of its parts without their numbers.
    pub path: PathBuf,
    /// What it says that it holds.
    pub bundle: Bundle,
    /// Its bytes.
    pub source: Source,
}

/// Why there is nothing to import.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The files are no bundle, or a damaged one.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// It is a layout of another tool that is not taken.
    #[error("{path}")]
    Foreign {
        /// The file or folder.
        path: String,
        /// Why.
        source: ForeignError,
    },
    /// Some of it is missing.
    #[error("{path}")]
    Cut {
        /// The file.
        path: String,
        /// What of it.
        source: ImportError,
    },
}

impl OpenError {
    /// Whether the bundle is damaged, incomplete or refused; else it could not be looked at.
    pub fn is_of_the_bundle(&self) -> bool {
        match self {
            Self::Files(FilesError::Parts { .. }) | Self::Foreign { .. } | Self::Cut { .. } => true,
            Self::Files(_) => false,
        }
    }
}

/// Opens all that was named, `-` last, so that a wrong one is found before the first import. Images
/// of layouts get the names of `place` where they have none of their own. Blocks.
pub fn open_all(
    paths: &[PathBuf],
    access: &FileAccess,
    place: Option<&NewPlace>,
) -> Result<Vec<Opened>, OpenError> {
    let (pipes, files): (Vec<_>, Vec<_>) = paths
        .iter()
        .cloned()
        .partition(|path| FileAccess::is_pipe(path));
    let mut opened = Vec::new();
    if !files.is_empty() {
        for files in BundleFiles::group(&files)? {
            opened.push(open(&files, access, place)?);
        }
    }
    if let Some(path) = pipes.into_iter().next() {
        opened.push(open_pipe(path, access)?);
    }
    Ok(opened)
}

/// Reads the head of a bundle, or the manifests of a layout. Blocks.
pub fn open(
    files: &BundleFiles,
    access: &FileAccess,
    place: Option<&NewPlace>,
) -> Result<Opened, OpenError> {
    let path = files.path().to_owned();
    let is_folder = matches!(files, BundleFiles::Whole(path) if access.is_folder(path));
    let opened = if is_folder {
        None
    } else {
        Some(files.open_by(access))
    };
    let (bundle, source) = match opened {
        None
        | Some(Err(FilesError::Read {
            source: ReadError::NotABundle,
            ..
        })) => open_foreign(&path, access, place)?,
        Some(opened) => {
            let OpenBundle { bundle, pieces } = opened?;
            let source = match files {
                BundleFiles::Whole(_) => Source::whole(pieces, &bundle),
                BundleFiles::Parts { .. } => Ok(Source::Files(pieces)),
            };
            let source = source.map_err(|source| OpenError::Cut {
                path: path.display().to_string(),
                source,
            })?;
            (bundle, source)
        }
    };
    Ok(Opened {
        path,
        bundle,
        source,
    })
}

fn open_foreign(
    path: &Path,
    access: &FileAccess,
    place: Option<&NewPlace>,
) -> Result<(Bundle, Source), OpenError> {
    let file = access
        .open(path)
        .map_err(|source| cannot_open(path, source))?;
    let (bundle, entries) = foreign::open(file, place).map_err(|source| OpenError::Foreign {
        path: path.display().to_string(),
        source,
    })?;
    Ok((bundle, Source::Foreign(ForeignLayout(entries))))
}

fn open_pipe(path: PathBuf, access: &FileAccess) -> Result<Opened, OpenError> {
    let mut input = access.pipe().map_err(|source| cannot_open(&path, source))?;
    let bundle = Bundle::open(&mut input).map_err(|source| FilesError::Read {
        path: path.clone(),
        source,
    })?;
    Ok(Opened {
        path,
        bundle,
        source: Source::Pipe(input),
    })
}

fn cannot_open(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    FilesError::Open { path, source }.into()
}
