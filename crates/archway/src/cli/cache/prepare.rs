//! `archway cache prepare`: gives the directory of a cache to the user that will serve from it.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, lchown},
    path::{Path, PathBuf},
    str::FromStr,
};

use cache::inspect::Directory;
use clap::Args;

use crate::cli::output::{CommandOutput, Failure};

const HELP: &str = "\
For a folder of the node that a pod serves from (hostPath): it belongs to root until somebody
gives it away. Only the directory itself changes its owner, and only if it is empty or holds a
cache. Needs CAP_CHOWN, and does nothing where the owner is right already.

Exit codes: 0 the directory is ready; 2 it cannot be.

Example:
  archway cache prepare /var/lib/archway --owner 65532:65532";
/// What a file system has at its top without anybody putting it there.
const LOST_AND_FOUND: &str = "lost+found";

/// Create a cache directory and give it to the user that will serve from it
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Prepare {
    /// The directory
    #[arg(value_name = "DIR")]
    path: PathBuf,
    /// The user and the group, as numbers
    #[arg(long, value_name = "UID:GID")]
    owner: Owner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    user: u32,
    group: u32,
}

/// Why the directory cannot be made ready.
#[derive(Debug, thiserror::Error)]
enum Unprepared {
    #[error("cannot create {}", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot look at {}", path.display())]
    Look { path: PathBuf, source: io::Error },
    #[error("{} is no directory", path.display())]
    NoDirectory { path: PathBuf },
    #[error("{} holds other files than a cache, such as {found}: name a folder for the cache alone", path.display())]
    Occupied { path: PathBuf, found: String },
    #[error("cannot give {} to {}:{}; this needs root with CAP_CHOWN", path.display(), owner.user, owner.group)]
    Give {
        path: PathBuf,
        owner: Owner,
        source: io::Error,
    },
}

impl Prepare {
    pub(super) fn run(&self) -> Result<CommandOutput, Failure> {
        let done = prepare(&self.path, self.owner);
        let done = done.map_err(|error| Failure::unusable(&error))?;
        let (path, Owner { user, group }) = (self.path.display(), self.owner);
        Ok(CommandOutput::success(format!(
            "{path}: {done} {user}:{group}\n"
        )))
    }
}

/// What was to do.
fn prepare(path: &Path, owner: Owner) -> Result<&'static str, Unprepared> {
    let look = |source| Unprepared::Look {
        path: path.to_owned(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| Unprepared::Create {
            path: path.to_owned(),
            source,
        })?;
    let found = fs::symlink_metadata(path).map_err(look)?;
    if !found.is_dir() {
        let path = path.to_owned();
        return Err(Unprepared::NoDirectory { path });
    }
    if (found.uid(), found.gid()) == (owner.user, owner.group) {
        return Ok("belongs to");
    }
    if let Some(found) = stranger(path).map_err(look)? {
        let path = path.to_owned();
        return Err(Unprepared::Occupied { path, found });
    }
    lchown(path, Some(owner.user), Some(owner.group)).map_err(|source| Unprepared::Give {
        path: path.to_owned(),
        owner,
        source,
    })?;
    Ok("given to")
}

/// Something in a directory that is no cache.
fn stranger(path: &Path) -> io::Result<Option<String>> {
    if Directory::at(path).is_ok() {
        return Ok(None);
    }
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if name != LOST_AND_FOUND {
            return Ok(Some(name.to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

impl FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text
            .split_once(':')
            .and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)));
        let (user, group) = numbers.ok_or("write two numbers, such as 65532:65532")?;
        Ok(Self { user, group })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner_of(path: &Path) -> Owner {
        let found = fs::metadata(path).unwrap();
        Owner {
            user: found.uid(),
            group: found.gid(),
        }
    }

    #[test]
    fn an_owner_is_two_numbers() {
        let owner = Owner {
            user: 65532,
            group: 1,
        };
        assert_eq!("65532:1".parse(), Ok(owner));
        for wrong in ["", "1", "root:root", "1:", "1:2:3", "-1:1"] {
            assert!(wrong.parse::<Owner>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_folder_is_made_and_a_second_time_left_as_it_is() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("a/b");
        let owner = owner_of(top.path());
        for _ in 0..2 {
            assert_eq!(prepare(&path, owner).unwrap(), "belongs to");
        }
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_not_given_away() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("passwd"), "").unwrap();
        let before = owner_of(top.path());
        let other = Owner {
            user: before.user + 1,
            group: before.group + 1,
        };
        let error = prepare(top.path(), other).unwrap_err();
        assert!(error.to_string().contains("such as passwd"), "{error}");
        assert_eq!(owner_of(top.path()), before);
    }

    #[test]
    fn a_link_is_no_directory() {
        let top = tempfile::tempdir().unwrap();
        let link = top.path().join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        let error = prepare(&link, owner_of(top.path())).unwrap_err();
        assert!(matches!(error, Unprepared::NoDirectory { .. }), "{error}");
    }
}
