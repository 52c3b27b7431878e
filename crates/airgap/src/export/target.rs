//! Whether a bundle fits where it is to be written: looked at when it is planned, before the first byte
//! of it is pulled.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use cache::inspect::FileSystem;
use rustix::fs::fstatfs;

use crate::room::share_extents;

/// The type of FAT (`man 2 statfs`), and the longest file that it holds.
const FAT: u64 = 0x4d44;
const MAX_FAT_FILE: u64 = u32::MAX as u64;

/// Why a bundle does not fit.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The file system is too full.
    #[error(
        "what is to be written has {needed} bytes, and the file system of {} has {free} free; make room on \
         it, write the bundle elsewhere, or carry less, as with --since",
        folder.display()
    )]
    NoSpace {
        /// Where it was to be written.
        folder: PathBuf,
        /// The bytes to be written, without the headers of the tar.
        needed: u64,
        /// The bytes that are free.
        free: u64,
    },
    /// The file system has no file as long.
    #[error(
        "the bundle has {longest} bytes, and {} is on a FAT file system, which holds no file of 4 GiB; \
         add --split 4GiB",
        folder.display()
    )]
    TooLong {
        /// Where it was to be written.
        folder: PathBuf,
        /// The bytes of its longest file.
        longest: u64,
    },
}

/// Fails if `needed` bytes, in files of at most `longest`, do not fit into `folder`. What is cloned from
/// the directory at `cache` takes no room. A folder that cannot be looked at is left to the write.
pub fn fits(folder: &Path, cache: &Path, needed: u64, longest: u64) -> Result<(), TargetError> {
    let (Ok(target), Ok(system)) = (File::open(folder), FileSystem::of(folder)) else {
        return Ok(());
    };
    let kind = fstatfs(&target).ok();
    let kind = kind.and_then(|stat| u64::try_from(stat.f_type).ok());
    if kind == Some(FAT) && longest > MAX_FAT_FILE {
        let folder = folder.to_owned();
        return Err(TargetError::TooLong { folder, longest });
    }
    let is_cloned = File::open(cache).is_ok_and(|cache| share_extents(&target, &cache));
    if needed > system.free && !is_cloned {
        let (folder, free) = (folder.to_owned(), system.free);
        return Err(TargetError::NoSpace {
            folder,
            needed,
            free,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_the_file_system_cannot_hold_is_refused_with_both_numbers() {
        let (folder, cache) = (TempDir::new().expect("a folder"), Path::new("/proc"));
        fits(folder.path(), cache, 1, 1).expect("one byte");
        let error = fits(folder.path(), cache, u64::MAX, u64::MAX).expect_err("it is too large");
        let text = error.to_string();
        assert!(
            text.contains(&format!("has {} bytes", u64::MAX)) && text.contains(" free; make room"),
            "{text}"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_left_to_the_write() {
        let nowhere = Path::new("/nowhere/at/all");
        fits(nowhere, nowhere, u64::MAX, u64::MAX).expect("nothing is known of it");
    }
}
