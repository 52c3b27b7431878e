//! The cache directory: its files, and the index of what the files cannot tell.
//!
//! Owns the layout of the directory ([`disk`]), the index and its snapshot ([`index`]), and what
//! makes a file a manifest ([`manifest_file`]). Refuses to know who reads a blob, how it arrives and
//! when it goes: that is `cache`, its only user, whose head has the words and rules of both.
//!
//! All calls block for as long as the disk takes. A blob is published after its row is written, and
//! its row removed after it: a crash leaves at worst a row without a file.

pub mod disk;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod index;
pub mod manifest_file;

pub use error::{Bound, CacheError};
pub use manifest_model::{RepoKey, Spans};
