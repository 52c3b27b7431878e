//! Bytes and their lifetimes: what Archway keeps on disk, what is on its way there, and what it forgets.
//!
//! The crate knows digests, repositories as opaque keys, and nothing of HTTP. Its parts:
//!
//! - **Blobs** are files named by their digest. The file is the truth: what stands under `blobs/` was hashed on the way in and
//!   matched. [`Cache::join`] is the only door to them.
//! - A **fill** is a running download, one per digest. Its single writer owns a [`Fill`]; everyone who wants the bytes, the one
//!   who started it too, reads the growing file through a [`Follower`]. The last [`HOLD_BACK`] bytes stay invisible until the
//!   digest has matched, so nobody can take a corrupt body for a whole one. A fill does not depend on its followers: it runs on
//!   to its end when the last of them has gone, bounded by [`Options::max_fills`] and by the timeouts of whoever feeds it. Its
//!   bytes may come in any order; cut off, by the source or by our own end, it is gone on with where it was.
//! - The **index** (an embedded store) holds what the files cannot say: which repository links which digest, where tags point,
//!   media types, and when a blob was last used. It is written before a file becomes visible and after one is gone, so a crash
//!   leaves at worst a row without a file. Lost or damaged, it is built anew from the files,
//!   and from the copy of its names that is made now and then ([`Cache::copy_names`]).
//! - **Collecting** makes the index follow the files ([`Cache::collect`]), and [`inspect`] is how a directory is looked at and
//!   cleaned up from outside.
//! - **Eviction** keeps the sum of all blobs and running fills under [`Options::max_size`] and leaves
//!   [`Options::min_free`] of the file system to others: first what the caller said nobody wants ([`Cache::set_unwanted`]), then
//!   the least recently used, manifests last, never what is being read. The blobs of an image count as used with its manifest.

mod blobs;
mod cache;
mod clients;
mod collect;
mod disk;
mod duty_cycle;
mod error;
mod eviction;
mod hot;
mod index;
pub mod inspect;
mod learned;
mod names;
mod open_file;
mod ranking;
mod read;
mod repository;
mod sniff;
mod survey;

pub use blobs::{
    Blob, BlobStream, Closed, Fill, FillWriter, Follower, HOLD_BACK, Joined, ReadBy, Spans, Wishes,
};
pub use cache::{Cache, Options, Usage};
pub use collect::Collected;
pub use duty_cycle::DutyCycle;
pub use error::{Bound, CacheError, FillError, ReadError, SourceError};
pub use index::{Clients, Learned, TagEntry, TagRow};
pub use open_file::OpenFile;
pub use repository::RepoKey;
