//! Why a bundle is not imported.

use std::io;

use bundle::{SignatureError, StreamError};
use cache::{CacheError, IntakeError};
use manifest_model::Digest;

/// Why a bundle is not imported. Nothing of it is visible then.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is for an upstream that the site has not configured.
    #[error(
        "the bundle holds {name}, but the configuration has no upstream {host}; add [upstream.\"{host}\"]"
    )]
    NotConfigured {
        /// The image.
        name: String,
        /// Its upstream.
        host: String,
    },
    /// The images cannot be given another name.
    #[error(transparent)]
    Rename(#[from] RenameError),
    /// No trusted key has signed it.
    #[error("see [bundles] trusted_keys, or add --unsigned to import it all the same")]
    Signature(#[from] SignatureError),
    /// The site has a later bundle of its series, or another one with its number.
    #[error(
        "the bundle is number {sequence} of the series {series}, and number {later} ({id}) is here \
         already; add --allow-older to go back"
    )]
    Older {
        /// The series.
        series: String,
        /// The number of the bundle.
        sequence: u64,
        /// That of the bundle that is here.
        later: u64,
        /// Its id.
        id: Digest,
    },
    /// What it leaves out is not here.
    #[error(
        "the bundle leaves out {missing} of its {total} blobs, which this cache should have and has \
         not, {first} for one, of {name}; import the bundles it builds on first: {requires}"
    )]
    NoBase {
        /// How many are not here.
        missing: usize,
        /// How many it lists.
        total: usize,
        /// One of them.
        first: Digest,
        /// An image that needs it, or the first one of the bundle.
        name: String,
        /// The ids of the bundles it builds on.
        requires: String,
    },
    /// It would not fit beside what other bundles pin.
    #[error(
        "the bundle has {needed} bytes and other bundles pin {pinned}, but cache.max_size is \
         {max_size}; raise it, or remove a bundle"
    )]
    TooLarge {
        /// The bytes of all it lists.
        needed: u64,
        /// The bytes that others pin and it does not list.
        pinned: u64,
        /// The bound.
        max_size: u64,
    },
    /// The file system has no room for it.
    #[error(
        "{needed} bytes are to be written, and the file system of the cache has {free} free beyond \
         cache.min_free; make room on it"
    )]
    NoSpace {
        /// The bytes to be written.
        needed: u64,
        /// The bytes that are free, or can be made so.
        free: u64,
    },
    /// There is nothing to prune by.
    #[error("--prune compares with earlier bundles of the series, and this bundle has no series")]
    NoSeries,
    /// Some of its bytes are not at hand.
    #[error(
        "{missing} of the bundle's {total} blobs are in a part that is not here; what is here was \
         stored, so import the other parts, or all of them, next"
    )]
    Incomplete {
        /// Blobs that are not whole in the parts at hand.
        missing: usize,
        /// Blobs it carries.
        total: usize,
    },
    /// The source ended, or is not what the lock says.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A blob was not taken.
    #[error("what is stored of the bundle stays; {} and run the import again", remedy(.0))]
    Intake(#[from] IntakeError),
    /// A blob went while others arrived.
    #[error("the blob {digest} was removed from the cache during the import; run it again")]
    Gone {
        /// The blob.
        digest: Digest,
    },
    /// A manifest is none, or not here.
    #[error(
        "{name} cannot be made visible: {digest} is no manifest, or its stored copy is damaged; \
         run `archway cache verify --repair` and the import again"
    )]
    NoManifest {
        /// The image.
        name: String,
        /// What should be a manifest.
        digest: Digest,
    },
    /// A manifest names a blob that the lock does not list.
    #[error(
        "{name} cannot be made visible: its manifest names {digest}, which the bundle does not \
         list; export it again"
    )]
    Hole {
        /// The image.
        name: String,
        /// What the manifest names.
        digest: Digest,
    },
    /// It was stopped: its caller left, or the process ends.
    #[error("the import was stopped; what has come stays, so run it again to go on")]
    Stopped,
    /// It is not one file that blobs could be served from.
    #[error("only a bundle in one file can be served as it is; join its parts, or import it")]
    NoFile,
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl ImportError {
    /// Whether the bundle is damaged, incomplete or refused; else this site could not take it.
    pub fn is_of_the_bundle(&self) -> bool {
        match self {
            Self::NotConfigured { .. }
            | Self::TooLarge { .. }
            | Self::NoSpace { .. }
            | Self::NoSeries
            | Self::Rename(_)
            | Self::Stopped
            | Self::NoFile
            | Self::Cache(_) => false,
            Self::Intake(error) => !is_want_of_room(error),
            Self::Signature(_)
            | Self::Older { .. }
            | Self::NoBase { .. }
            | Self::Incomplete { .. }
            | Self::Stream(_)
            | Self::Gone { .. }
            | Self::NoManifest { .. }
            | Self::Hole { .. } => true,
        }
    }
}

/// Whether a blob was not taken because the disk or the cache is full.
fn is_want_of_room(error: &IntakeError) -> bool {
    match error {
        IntakeError::Copy { source, .. } => matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ),
        IntakeError::Storage { .. } => true,
        IntakeError::Corrupt { .. } => false,
    }
}

/// What helps after a blob was not taken.
fn remedy(error: &IntakeError) -> &'static str {
    match error {
        IntakeError::Copy { .. } | IntakeError::Storage { .. } => "remove the cause",
        IntakeError::Corrupt { .. } => "copy the bundle again",
    }
}

/// Why the images of a bundle cannot be brought under another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenameError {
    /// It is no place for images.
    #[error("write a registry and a repository, such as registry.example/team/app")]
    Form,
    /// One name for many repositories would mix them.
    #[error("--as gives one repository another name, and the bundle holds {0}")]
    Many(usize),
}
