//! Bytes and their lifetimes: the blobs Archway stores, those it is downloading, and when they go.
//!
//! The crate owns the cache directory and everything in it. It refuses HTTP: it knows digests, and
//! repositories as opaque keys, but no URL, header or status code.
//!
//! - **Blobs** are files named by their digest. The files are the truth: every file under `blobs/`
//!   was hashed on its way in and matched. [`Cache::join`] is the only door to them.
//! - A **fill** is a running download, one per digest. Its only writer owns a [`Fill`]; every
//!   reader, the one that started it included, reads the growing file through a [`Follower`]. The
//!   last [`HOLD_BACK`] bytes stay hidden until the digest has matched, so nobody can take a
//!   corrupt body for a whole one. A fill does not depend on its followers: it runs to its end
//!   after the last of them has left, bounded by [`Options::max_fills`] and by the timeouts of its
//!   source. Its bytes may come in any order. An interrupted fill resumes where it stopped.
//! - The **index** (an embedded store) holds what the files cannot tell: which repository links
//!   which digest, where tags point, media types, and when a blob was last used. It is written
//!   before a file becomes visible and after one is deleted, so a crash leaves at worst a row
//!   without a file. A lost or damaged index is rebuilt from the files and from its **snapshot**
//!   ([`Cache::write_snapshot`]).
//! - **Eviction** keeps the sum of all blobs and running fills under [`Options::max_size`] and
//!   leaves [`Options::min_free`] bytes of the file system to others. Blobs that the caller has
//!   marked as unwanted go first ([`Cache::ranking`]), then the least recently used, manifests
//!   last, and never a blob that is being read. The blobs of an image count as used with its
//!   manifest.
//! - **Collecting** makes the index follow the files ([`Cache::collect`]), and [`inspect`] shows
//!   and cleans up a directory from outside.
//!
//! Each part owns its state, and [`Cache`] is a front over the parts. Imports point down only. Read
//! these files first, from the ground up: `disk`, `blobs`, `index`, `storage`, `fill`, `cache`.
//!
//! Each verb for an end has one meaning here:
//!
//! | verb | its object |
//! |---|---|
//! | evict | a stored blob that nobody reads, to make room |
//! | discard | a damaged blob, even while somebody reads it |
//! | unpublish | a file's name under `blobs/`; its space stays taken |
//! | delete | a file, with its space |
//! | remove | a row of the index, or an entry of a map |
//! | sweep | all leftovers of one kind: files at a start, rows past their time |
//! | forget | a copy in memory; the disk keeps its own |
//! | close | an open file that nobody reads |

mod blobs;
mod blocking;
mod cache;
mod collect;
mod disk;
mod duty_cycle;
mod error;
mod fill;
mod index;
pub mod inspect;
mod manifest_file;
mod open_file;
mod repository;
mod spans;
mod storage;
mod uses;

pub use blobs::{Blob, BlobStream, Follower, HOLD_BACK, ReadBy, ReadDemands};
pub use cache::{Cache, Joined};
pub use collect::Collected;
pub use duty_cycle::DutyCycle;
pub use error::{Bound, CacheError, FillError, ReadError, SourceError};
pub use fill::{Closed, Fill, FillWriter};
pub use index::{ClientCount, Clients, Learned, LearnedKind, Ranking, TagEntry, TagRow};
pub use open_file::OpenFile;
pub use repository::RepoKey;
pub use spans::Spans;
pub use storage::{Options, Usage};
