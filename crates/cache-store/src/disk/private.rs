//! Files and folders that no other user of the machine can read.
//!
//! They hold private images, and who can write them decides what clients get: files have mode 0600
//! and folders 0700 whatever the umask is. What root makes here (the `archway cache` commands)
//! belongs to the owner of the folder it is in: the server has to be able to use it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown},
    path::Path,
};

use rustix::fs::OFlags;

use crate::error::CacheError;

pub(super) const FILE_MODE: u32 = 0o600;
pub(super) const FOLDER_MODE: u32 = 0o700;
pub(super) const ROOT: u32 = 0;

/// Whether this process may use the directories of all users.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().as_raw() == ROOT
}

/// Options that create a file for this user alone. They follow no link: root would give away, or
/// empty, what it leads to.
pub(super) fn file() -> OpenOptions {
    let mut options = File::options();
    options.mode(FILE_MODE);
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Creates a file or empties it.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    open(path, file().write(true).create(true).truncate(true))
}

/// Opens a file with options of [`file()`].
pub(super) fn open(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let file = options.open(path)?;
    if is_root()
        && let Some(owner) = folders_owner(path)?
    {
        fchown(&file, Some(owner.0), Some(owner.1))?;
    }
    Ok(file)
}

/// Makes an empty file where there is none, for a library that opens it by its path.
pub(crate) fn touch(path: &Path) -> io::Result<()> {
    open(path, file().append(true).create(true)).map(drop)
}

/// Makes a folder where there is none. Those above it are made as the umask has them.
pub fn folder(path: &Path) -> Result<(), CacheError> {
    // Root follows no link of another user's.
    let look = if is_root() {
        fs::symlink_metadata
    } else {
        fs::metadata
    };
    if look(path).is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    let make = || {
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        DirBuilder::new().mode(FOLDER_MODE).create(path)?;
        if is_root()
            && let Some((user, group)) = folders_owner(path)?
        {
            chown(path, Some(user), Some(group))?;
        }
        // The umask may have taken even our own bits.
        fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE))
    };
    make().map_err(CacheError::io("create", path))
}

/// The owner of the folder that `path` is in, if that is not root.
fn folders_owner(path: &Path) -> io::Result<Option<(u32, u32)>> {
    let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    else {
        return Ok(None);
    };
    let parent = fs::metadata(parent)?;
    Ok((parent.uid() != ROOT).then(|| (parent.uid(), parent.gid())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_makes_in_the_folder_of_another_user_is_that_users() {
        let above = tempfile::tempdir().unwrap();
        if !is_root() {
            // Only root can give a folder away.
            return;
        }
        chown(above.path(), Some(1234), Some(1235)).unwrap();
        let (file, inner) = (above.path().join("file"), above.path().join("inner"));
        create(&file).unwrap();
        folder(&inner).unwrap();
        let (secret, link) = (above.path().join("secret"), above.path().join("lock"));
        fs::write(&secret, "of root").unwrap();
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        assert!(create(&link).is_err() && folder(&link).is_err());
        assert_eq!(fs::read(&secret).unwrap(), b"of root");
        for path in [&file, &inner] {
            let made = fs::metadata(path).unwrap();
            assert_eq!((made.uid(), made.gid()), (1234, 1235), "{}", path.display());
        }
    }
}
