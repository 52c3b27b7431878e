//! Why a bundle command failed.

use std::{error::Error, io, path::PathBuf};

use airgap::{ExportPlanError, TargetError};
use bundle::{FilesError, LayoutError, MAX_PARTS, PlanError, ReadError, WriteError};
use cache::{CacheError, inspect::Unread};
use client::ClientError;

use crate::cli::image_list::ImageListError;

/// Why a bundle cannot be signed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignError {
    #[error("cannot use the secret key {}", path.display())]
    Key {
        path: PathBuf,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("cannot sign the lock")]
    Signature(#[source] minisign::PError),
    #[error("the signature of {} goes into its first part; name that one", path.display())]
    NotFirst { path: PathBuf },
    #[error("cannot write the signature into {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// Why a bundle cannot be split or joined.
#[derive(Debug, thiserror::Error)]
pub(super) enum SplitError {
    #[error("{} has {length} bytes, and its lock calls for {total}; copy it again", path.display())]
    Length {
        path: PathBuf,
        length: u64,
        total: u64,
    },
    #[error("name the parts of one bundle")]
    NotOne,
    #[error("{count} parts are too many; with a larger size there are at most {MAX_PARTS}")]
    TooMany { count: u64 },
    #[error("the part of {} with byte {at} is missing", path.display())]
    Missing { path: PathBuf, at: u64 },
    #[error("{} exists already; remove it, or name another file", path.display())]
    Exists { path: PathBuf },
    #[error("cannot copy the bytes of the bundle")]
    Copy(#[source] io::Error),
    #[error(transparent)]
    Bundle(WriteError),
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    File(#[from] FilesError),
}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    #[error("none of the listed images is stored\n{}", notes.trim_end())]
    NothingStored { notes: String },
    #[error(
        "cannot tell what is stored; name the configuration of the server that runs on the directory \
         with --config, so that it can be asked, or stop it; if none runs, try `archway cache gc`"
    )]
    Unread { source: Unread },
    #[error("{reasons}\nthe bundle of this lock cannot be made again without that")]
    Missing { reasons: String },
    #[error(transparent)]
    Live(Box<ClientError>),
    #[error("there are {count} parts, so there is no part {number}")]
    NoPart { number: u64, count: u64 },
    #[error("the lock of the export is not valid")]
    Lock { source: ReadError },
    #[error(transparent)]
    List(#[from] ImageListError),
    #[error(transparent)]
    Split(#[from] SplitError),
    #[error("cannot write {}", path.display())]
    Output { path: PathBuf, source: io::Error },
    #[error("{} exists already; remove it, or name another file", path.display())]
    Exists { path: PathBuf },
    #[error(
        "{} is left from an interrupted export; add --resume to continue it, or remove it",
        path.display()
    )]
    Interrupted { path: PathBuf },
    #[error(
        "{} is of another export; remove it, or give the images and flags it was begun with",
        path.display()
    )]
    OtherExport { path: PathBuf },
    #[error("SOURCE_DATE_EPOCH is \"{text}\"; it must be seconds since 1970, up to the year 9999")]
    Epoch { text: String },
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    File(#[from] FilesError),
    #[error(transparent)]
    Plan(#[from] ExportPlanError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<PlanError> for ExportError {
    fn from(error: PlanError) -> Self {
        Self::Plan(error.into())
    }
}

impl From<ClientError> for ExportError {
    fn from(error: ClientError) -> Self {
        Self::Live(Box::new(error))
    }
}
