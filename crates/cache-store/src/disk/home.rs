//! The folder of the cache: the configured directory, or one inside it, and whose it may be.
//!
//! A directory of another user is refused: that user could read what is cached and change what
//! clients get. A directory of root's is one that an administrator or Kubernetes gave: its mode is
//! theirs, so the cache gets a folder of its own in it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tracing::{info, warn};

use super::{
    lock,
    private::{self, FILE_MODE, FOLDER_MODE, ROOT},
};
use crate::error::CacheError;

/// The folder of the cache in a directory of root's.
const INNER: &str = "archway";

/// What lies in the folder of a cache. The lock is the last to move.
const CONTENTS: [&str; 5] = ["ingest", "names.jsonl", "index.redb", "blobs", "lock"];

/// Whose directory it is, as far as that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belonging {
    Ours,
    Roots,
    Anothers,
}

impl Belonging {
    fn of(owner: u32, us: u32) -> Self {
        match owner {
            _ if owner == us => Self::Ours,
            ROOT => Self::Roots,
            _ => Self::Anothers,
        }
    }
}

/// The folder of the cache in the configured directory, made if need be: the directory itself, or
/// one inside a directory of root's. What an older version left beside it moves there.
pub(super) fn home(root: &Path) -> Result<PathBuf, CacheError> {
    if !root.exists() {
        private::folder(root)?;
    }
    let us = rustix::process::geteuid().as_raw();
    match belonging(root, us)? {
        (Belonging::Ours, _) => {
            close(root);
            Ok(root.into())
        }
        (Belonging::Roots, _) => {
            let inner = root.join(INNER);
            private::folder(&inner)?;
            let (inners, owner) = belonging(&inner, us)?;
            if inners != Belonging::Ours {
                return Err(foreign(&inner, owner));
            }
            close(&inner);
            move_in(root, &inner)?;
            Ok(inner)
        }
        (Belonging::Anothers, owner) => Err(foreign(root, owner)),
    }
}

/// The folder of an existing cache in the configured directory.
pub fn existing_home(root: &Path) -> PathBuf {
    let inner = root.join(INNER);
    if !root.join("blobs").exists() && inner.join("blobs").exists() {
        return inner;
    }
    root.into()
}

fn belonging(path: &Path, us: u32) -> Result<(Belonging, u32), CacheError> {
    let owner = fs::metadata(path)
        .map_err(CacheError::io("stat", path))?
        .uid();
    Ok((Belonging::of(owner, us), owner))
}

fn foreign(path: &Path, owner: u32) -> CacheError {
    CacheError::Foreign {
        path: path.into(),
        owner,
    }
}

/// Takes a folder of ours from all other users, with the files that an older version left readable.
fn close(folder: &Path) {
    let inner = ["blobs", "ingest", "index.redb", "names.jsonl"];
    let inner = inner.iter().map(|name| folder.join(name));
    for path in std::iter::once(folder.to_path_buf()).chain(inner) {
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        let mode = if metadata.is_dir() {
            FOLDER_MODE
        } else {
            FILE_MODE
        };
        if metadata.mode() & 0o777 == mode {
            continue;
        }
        // Some file systems have no modes: those of a phone's card, or a share of Windows.
        if let Err(error) = fs::set_permissions(&path, Permissions::from_mode(mode)) {
            warn!(path = %path.display(), %error, "cannot take a part of the cache from other users");
        }
    }
}

/// Moves what an older version stored in the directory itself. An interrupted move goes on at the
/// next start.
fn move_in(root: &Path, inner: &Path) -> Result<(), CacheError> {
    if !root.join("lock").exists() {
        return Ok(());
    }
    let _lock = lock::own(root)?;
    for name in CONTENTS {
        let (from, to) = (root.join(name), inner.join(name));
        if from.exists() && !to.exists() {
            fs::rename(&from, &to).map_err(CacheError::io("move", from))?;
        }
    }
    info!(path = %inner.display(), "moved the cache into a folder of its own: the directory is root's");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_directory_is_ours_roots_or_anothers() {
        for (owner, us, expected) in [
            (1000, 1000, Belonging::Ours),
            (0, 0, Belonging::Ours),
            (0, 1000, Belonging::Roots),
            (1001, 1000, Belonging::Anothers),
            (1000, 0, Belonging::Anothers),
        ] {
            assert_eq!(Belonging::of(owner, us), expected, "{owner} {us}");
        }
    }

    #[test]
    fn what_an_older_version_left_open_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("cache");
        fs::create_dir_all(root.join("blobs/sha256")).unwrap();
        fs::write(root.join("index.redb"), "").unwrap();
        fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(root.join("index.redb"), Permissions::from_mode(0o644)).unwrap();
        assert_eq!(home(&root).unwrap(), root);
        assert_eq!(mode(&root), 0o700);
        assert_eq!(mode(&root.join("blobs")), 0o700);
        assert_eq!(mode(&root.join("index.redb")), 0o600);
    }

    #[test]
    fn what_lies_in_a_directory_of_roots_moves_into_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (root, inner) = (folder.path().to_path_buf(), folder.path().join(INNER));
        for name in ["blobs/sha256", "ingest", "archway"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        for name in ["lock", "index.redb", "blobs/sha256/a"] {
            fs::write(root.join(name), name).unwrap();
        }
        move_in(&root, &inner).unwrap();
        assert!(inner.join("blobs/sha256/a").exists() && inner.join("index.redb").exists());
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1, "nothing stays");
        assert_eq!(existing_home(&root), inner);
        move_in(&root, &inner).unwrap();
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        if !private::is_root() {
            // Only root can give a directory away; the rule itself is tested above.
            return;
        }
        chown(folder.path(), Some(1234), Some(1235)).unwrap();
        let refused = home(folder.path());
        assert!(
            matches!(refused, Err(CacheError::Foreign { owner: 1234, .. })),
            "{refused:?}"
        );
    }
}
