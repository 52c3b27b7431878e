//! Opening what an operator names: a bundle, its parts, or a layout of another tool.

use bundle::{Bundle, BundleFiles, FilesError, OpenBundle, ReadError};

use crate::{
    error::ImportError,
    foreign::{self, ForeignError},
    rename::NewPlace,
    source::{ForeignLayout, Source},
};

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

/// Reads the head of a bundle, or the manifests of a layout whose images get the names of `place`
/// where they have none of their own. Blocks.
pub fn open(files: &BundleFiles, place: Option<&NewPlace>) -> Result<(Bundle, Source), OpenError> {
    let path = files.path();
    let is_folder = matches!(files, BundleFiles::Whole(path) if path.is_dir());
    let opened = if is_folder { None } else { Some(files.open()) };
    match opened {
        None
        | Some(Err(FilesError::Read {
            source: ReadError::NotABundle,
            ..
        })) => {
            let (bundle, entries) =
                foreign::open(path, place).map_err(|source| OpenError::Foreign {
                    path: path.display().to_string(),
                    source,
                })?;
            Ok((bundle, Source::Foreign(ForeignLayout(entries))))
        }
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
            Ok((bundle, source))
        }
    }
}
