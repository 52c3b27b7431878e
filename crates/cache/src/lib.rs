//! Bytes and their lifetimes: the blobs Archway stores, those it is downloading, and when they go.
//!
//! Owns what is stored and what is arriving; [`cache_store`] below it has the directory and the
//! index. Refuses HTTP: it knows digests and repositories, but no URL or status.
//!
//! - **Blobs** are files named by their digest. Each was hashed on its way in: the files are the
//!   truth. [`Cache::join`] is the only door to them.
//! - A **fill** is a running download, one per digest, with one writer, its [`Fill`]. All who read it
//!   have a [`Follower`]. The last [`HOLD_BACK`] bytes stay hidden until the digest has matched, so
//!   nobody can take a corrupt body for a whole one. It goes on when its followers leave, unless the
//!   caller needs its place ([`Fill::audience`]), and resumes after an interruption.
//! - The **index** (an embedded store) holds what the files cannot tell: links, tags, media types,
//!   last uses. It is written before a file becomes visible and after one is deleted: a crash leaves
//!   at worst a row without a file. Lost, it is rebuilt from the files and its **snapshot**
//!   ([`Cache::write_snapshot`]).
//! - **Eviction** keeps the sum of all blobs and running fills under [`Options::max_size`] and
//!   leaves [`Options::min_free`] bytes to others. Unwanted blobs go first ([`Cache::ranking`]), then
//!   those not used since they came, then the least recently used, manifests last, and never a blob
//!   that is being read or that a bundle [pins](Imports). The blobs of an image count as used with
//!   its manifest.
//! - **Collecting** makes the index follow the files; [`inspect`] shows a directory from outside.
//!
//! Each part owns its state, and [`Cache`] is a front over them. Read, from the ground up:
//! `cache_store`, `blobs`, `storage`, `fill`, `cache`.
//!
//! Each verb for an end has one meaning. To *evict* a stored blob makes room; to *discard* takes a
//! damaged one, even while it is read. *Unpublish* a name under `blobs/`, *delete* a file with its
//! space, *remove* a row, *sweep* leftovers, *forget* a copy in memory, *close* an idle open file.

mod blobs;
mod blocking;
mod cache;
mod collect;
mod duty_cycle;
mod error;
mod fill;
mod hold;
mod imports;
pub mod inspect;
mod intake;
mod open_file;
mod storage;
mod uses;

pub use cache_store::{
    Bound, CacheError,
    index::{
        Allowance, Arrival, ArrivedManifest, BundleRow, CarriedName, Class, ClientCount, Clients,
        KeptAnswer, Learned, LearnedKind, LearnedPlace, ListedBundle, NextRow, Ranking, Stage,
        TagEntry, TagRow,
    },
};

pub use blobs::{Arrived, Blob, BlobStream, Follower, HOLD_BACK, ReadBy, ReadDemands};
pub use cache::{Cache, Joined};
pub use collect::Collected;
pub use duty_cycle::DutyCycle;
pub use error::{FillError, ReadError, SourceError};
pub use fill::{Audience, Closed, Fill, FillWriter};
pub use hold::Hold;
pub use imports::Imports;
pub use intake::{Intake, IntakeError};
pub use manifest_model::{RepoKey, Spans};
pub use open_file::OpenFile;
pub use storage::{EvictionReason, Options, Usage};
