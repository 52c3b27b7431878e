//! OCI image layouts that other tools made, in a folder or a tar: `docker save`, buildx, `ctr`,
//! skopeo, oras, crane, regctl.
//!
//! They have no lock, so one is made of what they hold: the same checks follow as for a bundle. Nothing
//! is unpacked, no link is followed, and no device is read.

mod entries;
mod images;
mod names;

use std::{fs::File, io};

use bundle::{Bundle, LockError, ReadError};
use manifest_model::Digest;

pub(crate) use self::entries::Entries;
use crate::rename::NewPlace;

/// Why a layout of another tool is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// It cannot be read.
    #[error("cannot read the image layout")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this is neither an Archway bundle nor an OCI image layout")]
    NoLayout,
    /// It is compressed.
    #[error("the archive is compressed; unpack it first, for example with gunzip")]
    Compressed,
    /// It is an archive of docker's old format.
    #[error(
        "this is an archive of docker's old format, which does not have the digests of the registry; \
         save it with docker 25 or later, or copy it with skopeo to oci-archive"
    )]
    DockerArchive,
    /// Something has the place of a document or a blob, and is no file.
    #[error("{path} is no regular file")]
    NoFile {
        /// Its place in the layout.
        path: String,
    },
    /// A name is there twice.
    #[error("{path} is there twice")]
    Twice {
        /// The name.
        path: String,
    },
    /// An archive ends within a file.
    #[error("the archive ends within {path}; copy it again")]
    CutShort {
        /// The file.
        path: String,
    },
    /// A document is too large to be one.
    #[error("{path} has {size} bytes, which is too large")]
    TooLarge {
        /// Its place in the layout.
        path: String,
        /// Its bytes.
        size: u64,
    },
    /// A document cannot be understood.
    #[error("index.json cannot be understood")]
    Index(#[from] serde_json::Error),
    /// What `index.json` lists is no manifest.
    #[error("{0} is no manifest")]
    NoManifest(Digest),
    /// An image is not whole.
    #[error("{digest}, which {name} needs, is not in it")]
    Missing {
        /// The blob.
        digest: Digest,
        /// The image.
        name: String,
    },
    /// A blob has another size than its descriptor says.
    #[error("{digest} has {found} bytes, and {expected} are announced")]
    Size {
        /// The blob.
        digest: Digest,
        /// The bytes there are.
        found: u64,
        /// The bytes announced.
        expected: u64,
    },
    /// An image has no whole name.
    #[error(
        "{digest} is listed without a registry and a repository; name them with --as HOST/REPO"
    )]
    NoName {
        /// The manifest.
        digest: Digest,
    },
    /// Two images have one name.
    #[error("two images are called {name}")]
    SameName {
        /// The name.
        name: String,
    },
    /// There is nothing in it.
    #[error("it lists no image")]
    Empty,
    /// What it holds makes no lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What it holds makes no bundle.
    #[error(transparent)]
    Bundle(#[from] ReadError),
}

/// Reads a layout, and makes of what it holds the bundle that it would have been. Where an image has
/// no whole name, it gets that of `place`. Reads all manifests, and nothing else.
pub(crate) fn open(
    file: File,
    place: Option<&NewPlace>,
) -> Result<(Bundle, Entries), ForeignError> {
    let entries = Entries::of(file)?;
    let lock = images::read(&entries, place)?;
    let bundle = Bundle::of_lock(lock.to_bytes(), None)?;
    Ok((bundle, entries))
}
