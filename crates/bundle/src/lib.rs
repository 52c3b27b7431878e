//! Bundles: files that carry images across an air gap and keep every digest.
//!
//! A bundle is one tar that is a valid OCI image layout. Every byte of it follows from its [`Lock`]
//! and the blobs the lock names: the same lock makes the same file, so a part of it can be made
//! again alone, and an interrupted export continues where it ended. The SHA-256 of the lock is the
//! bundle's id.
//!
//! Owns the [`Plan`] of an export, the lock, the [`Layout`] of the file, how to [`write()`] it, and its
//! [`reader`](Bundle).
//! Refuses caches, upstreams and command lines: it takes blobs from a [`Contents`] and gives them
//! to whoever reads.
//!
//! Reading needs no tar library. The reader takes the lock, lays the file out again and compares:
//! whatever a hostile file holds beside that (paths, links, devices, sizes that lie) differs from
//! the layout and is refused where it differs.

mod access;
mod contents;
mod copy;
mod diff;
mod documents;
mod files;
mod gathered;
mod inventory;
mod layout;
mod lock;
mod parts;
mod plan;
mod read;
mod series;
mod signature;
mod stream;
mod tar_header;
mod verify;
mod write;

pub use self::{
    access::FileAccess,
    contents::Contents,
    copy::copy_range,
    diff::{Difference, Holding},
    files::{
        BundleFiles, FilesError, OpenBundle, lock_path, open_file, read_lock, signature_path,
        sums_path,
    },
    gathered::gathered,
    inventory::{INVENTORY_FORMAT, Inventory, InventoryError, NamedDigest},
    layout::{Layout, LayoutError, SIGNATURE_BYTES},
    lock::{
        Attached, Blob, Child, DockerImage, FORMAT, Image, IndexContent, Lock, LockError,
        MAX_LOCK_BYTES, Place, PlatformName, Presence,
    },
    parts::{Chain, MAX_PARTS, PartsError, Pieces, part_name, part_of, part_ranges},
    plan::{AttachedScope, Catalog, Plan, PlanError, Selection},
    read::{Bundle, ReadError},
    series::{NotASeries, SeriesName},
    signature::{KeyNumber, NotAKey, PublicKey, SignatureError, named, signer, trusted_comment},
    stream::{StreamError, each_blob},
    verify::{Damage, verify},
    write::{Output, WriteError, write},
};

#[cfg(test)]
mod tests;
