//! What an export asks of the Archway that runs on its directory.

use std::error::Error;

use manifest_model::{Digest, Manifest, Reference};
use protocol::image_name::ImageName;

/// The cause of a failure, which only its text tells.
pub type Cause = Box<dyn Error + Send + Sync>;

/// The Archway that runs on the directory of an export. This crate knows no HTTP, so it is a trait.
pub trait Running {
    /// Whether anything of `name` can come: an offline upstream has nothing, and asking would only be
    /// noted as a wish.
    fn can_pull(&self, name: &ImageName) -> bool;

    /// A manifest as it is, an index whole.
    fn manifest(&self, name: &ImageName, reference: &Reference) -> Result<Manifest, PullError>;

    /// The digests that the upstream lists as referring to `subject`; none where it has no such list.
    fn referrers(&self, name: &ImageName, subject: &Digest) -> Result<Vec<Digest>, PullError>;

    /// Has these pulled, of which the blobs have so many bytes. The answer has their order.
    fn pull(&self, parts: &[Part], bytes: u64) -> Vec<Result<(), PullError>>;

    /// Keeps these from eviction, stored or not, until this is dropped. Returns when none of them is on
    /// its way to the disk any more, or after a minute.
    fn hold(&self, digests: &[Digest]) -> Result<(), Cause>;
}

/// Something to be pulled for an image.
#[derive(Clone, Debug)]
pub struct Part {
    /// The image, whose repository has it.
    pub image: ImageName,
    /// What it is.
    pub digest: Digest,
    /// Where a registry has it.
    pub kind: PartKind,
}

/// What a digest is, for a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// A manifest or an index.
    Manifest,
    /// A config or a layer.
    Blob,
}

/// Why something was not pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The upstream has no such thing.
    #[error(transparent)]
    Absent(Cause),
    /// It did not come.
    #[error(transparent)]
    Failed(Cause),
    /// It has only passed through, or is not on the disk after a minute.
    #[error(
        "it came, and is not stored: is the cache large enough, and its disk? If both are, export again"
    )]
    NotStored,
}
