//! Changes of the node's files, each of which is there or not, whenever the process is killed.
//!
//! What is written is synced before it gets its name, and the name before the change counts as
//! done. What a kill leaves behind has a name that begins with [`ASIDE`], which no registry has and
//! containerd never looks for; the next run takes it away.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
};

use rustix::fs::{RenameFlags, XattrFlags, renameat_with};

/// How the names of what is not yet, or no longer, there begin.
pub(super) const ASIDE: &str = ".archway-";

const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;
/// More than any label has.
const MAX_ATTRIBUTE: usize = 64 * 1024;

/// A change of the node's files failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}", path.display())]
pub struct DiskError {
    /// As a verb.
    what: &'static str,
    /// Of what.
    path: PathBuf,
    /// Why.
    source: io::Error,
}

/// The node's disk. In a test it can stop before any call.
#[derive(Debug, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    pub(super) calls: std::cell::Cell<usize>,
    /// The call that is not made, nor any after it.
    #[cfg(test)]
    pub(super) dies_at: Option<usize>,
}

impl Disk {
    /// Writes a file, in place of one that is there, whose owner, mode and labels it keeps.
    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), DiskError> {
        self.write_file(path, text).map_err(failed("write", path))
    }

    fn write_file(&self, path: &Path, text: &str) -> io::Result<()> {
        let there = match fs::symlink_metadata(path) {
            Ok(there) if there.is_symlink() => return Err(io::Error::other(LINK)),
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let aside = aside(path);
        self.take_away(&aside)?;
        self.new_file(&aside, text, there.as_ref().map(|there| (path, there)))?;
        self.call(|| fs::rename(&aside, path))?;
        self.sync_folder_of(path)
    }

    /// Makes a directory that has a file from its first moment on.
    pub(super) fn write_directory(
        &self,
        path: &Path,
        file: &str,
        text: &str,
    ) -> Result<(), DiskError> {
        let make = || {
            let aside = aside(path);
            self.take_away(&aside)?;
            self.new_folder(&aside)?;
            self.new_file(&aside.join(file), text, None)?;
            self.call(|| sync(&File::open(&aside)?))?;
            self.appear(&aside, path)
        };
        make().map_err(failed("make", path))
    }

    /// Makes a symbolic link.
    pub(super) fn link(&self, path: &Path, target: &str) -> Result<(), DiskError> {
        let make = || {
            let aside = aside(path);
            self.take_away(&aside)?;
            self.call(|| symlink(target, &aside))?;
            self.appear(&aside, path)
        };
        make().map_err(failed("link", path))
    }

    /// Makes a directory, and below it `folders` and in the last of them a link and a file.
    pub(super) fn write_tree(
        &self,
        path: &Path,
        folders: &[&str],
        link: (&str, &str),
        file: (&str, &str),
    ) -> Result<(), DiskError> {
        let make = || {
            let aside = aside(path);
            self.take_away(&aside)?;
            self.new_folder(&aside)?;
            self.new_file(&aside.join(file.0), file.1, None)?;
            let mut folder = aside.clone();
            for name in folders {
                folder.push(name);
                self.new_folder(&folder)?;
            }
            self.call(|| symlink(link.1, folder.join(link.0)))?;
            for made in folder.ancestors().take(folders.len() + 1) {
                self.call(|| sync(&File::open(made)?))?;
            }
            self.appear(&aside, path)
        };
        make().map_err(failed("make", path))
    }

    /// Makes a folder and those above it, where there are none. It may be empty: nobody looks for
    /// registries in it before they have a name.
    pub(super) fn make_folder(&self, path: &Path) -> Result<(), DiskError> {
        let make = || {
            let missing: Vec<_> = path.ancestors().take_while(|path| !path.exists()).collect();
            for folder in missing.into_iter().rev() {
                self.new_folder(folder)?;
                self.sync_folder_of(folder)?;
            }
            Ok(())
        };
        make().map_err(failed("make", path))
    }

    /// Removes a file, a link or a directory with all in it; what is not there is removed already.
    /// A directory is out of sight before any file in it goes.
    pub(super) fn remove(&self, path: &Path) -> Result<(), DiskError> {
        let remove = || {
            let there = match fs::symlink_metadata(path) {
                Ok(there) => there,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            if there.is_dir() {
                let aside = aside(path);
                self.take_away(&aside)?;
                self.call(|| fs::rename(path, &aside))?;
                self.take_away(&aside)?;
            } else {
                self.call(|| fs::remove_file(path))?;
            }
            self.sync_folder_of(path)
        };
        remove().map_err(failed("remove", path))
    }

    /// Removes what a killed run has left at `path`, which is nobody else's by its name.
    fn take_away(&self, path: &Path) -> io::Result<()> {
        let gone = match fs::symlink_metadata(path) {
            Ok(there) if there.is_dir() => self.call(|| fs::remove_dir_all(path)),
            Ok(_) => self.call(|| fs::remove_file(path)),
            Err(error) => Err(error),
        };
        match gone {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn new_folder(&self, path: &Path) -> io::Result<()> {
        self.call(|| fs::create_dir(path))?;
        self.call(|| fs::set_permissions(path, fs::Permissions::from_mode(DIRECTORY_MODE)))
    }

    /// Writes and syncs a file that is not there, with what belongs to a file beside its bytes.
    fn new_file(
        &self,
        path: &Path,
        text: &str,
        like: Option<(&Path, &Metadata)>,
    ) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(FILE_MODE);
        let mut file = self.call(|| options.open(path))?;
        let mode = like.map_or(FILE_MODE, |(_, there)| there.mode() & 0o7777);
        if let Some((_, there)) = like {
            self.call(|| keep_owner(path, there))?;
        }
        self.call(|| file.set_permissions(fs::Permissions::from_mode(mode)))?;
        if let Some((like, _)) = like {
            self.call(|| copy_attributes(like, &file))?;
        }
        self.call(|| file.write_all(text.as_bytes()))?;
        self.call(|| sync(&file))
    }

    /// Gives something that was made aside its name, unless somebody has it.
    fn appear(&self, aside: &Path, path: &Path) -> io::Result<()> {
        let cwd = rustix::fs::CWD;
        self.call(|| {
            Ok(renameat_with(
                cwd,
                aside,
                cwd,
                path,
                RenameFlags::NOREPLACE,
            )?)
        })?;
        self.sync_folder_of(path)
    }

    fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(path);
        self.call(|| sync(&File::open(folder)?))
    }

    /// Makes a call that changes something.
    #[cfg_attr(
        not(test),
        expect(clippy::unused_self, reason = "tests count the calls")
    )]
    fn call<T>(&self, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        #[cfg(test)]
        {
            self.calls.set(self.calls.get() + 1);
            if self.dies_at.is_some_and(|at| self.calls.get() >= at) {
                return Err(io::Error::other("killed"));
            }
        }
        call()
    }
}

/// Tests end processes, not machines.
fn sync(file: &File) -> io::Result<()> {
    if cfg!(test) { Ok(()) } else { file.sync_all() }
}

const LINK: &str =
    "it is a symbolic link, so another program keeps this file; let that one write it";

/// The name that something has until it is whole.
fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{ASIDE}{name}"))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    let path = path.to_owned();
    move |source| DiskError { what, path, source }
}

/// Without the right to give files away, the process owns what it writes.
fn keep_owner(path: &Path, there: &Metadata) -> io::Result<()> {
    match chown(path, Some(there.uid()), Some(there.gid())) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

/// Copies the extended attributes, `SELinux` labels among them. A file system may have none, and a
/// process no right to set them; the file is then as a new one is.
fn copy_attributes(like: &Path, file: &File) -> io::Result<()> {
    let mut names = vec![0; MAX_ATTRIBUTE];
    let Ok(length) = rustix::fs::listxattr(like, names.as_mut_slice()) else {
        return Ok(());
    };
    let mut value = vec![0; MAX_ATTRIBUTE];
    for name in names[..length]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
    {
        let Ok(length) = rustix::fs::getxattr(like, name, value.as_mut_slice()) else {
            continue;
        };
        match rustix::fs::fsetxattr(file, name, &value[..length], XattrFlags::empty()) {
            Ok(())
            | Err(
                rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::PERM | rustix::io::Errno::ACCESS,
            ) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_mode_and_its_labels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts.toml");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        rustix::fs::setxattr(&path, "user.label", b"system_u", XattrFlags::empty()).unwrap();
        Disk::default().write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        let mut value = vec![0; 100];
        let length = rustix::fs::getxattr(&path, "user.label", value.as_mut_slice()).unwrap();
        assert_eq!(&value[..length], b"system_u");
    }

    #[test]
    fn a_link_is_another_programs_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts.toml");
        fs::write(folder.path().join("theirs"), "old").unwrap();
        symlink("theirs", &path).unwrap();
        let error = Disk::default().write(&path, "new").unwrap_err();
        assert!(
            error.source.to_string().contains("another program"),
            "{error:?}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    }

    #[test]
    fn a_name_that_somebody_took_meanwhile_is_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("_default");
        fs::create_dir(&path).unwrap();
        assert!(
            Disk::default()
                .write_directory(&path, "hosts.toml", "x")
                .is_err()
        );
        assert!(fs::read_dir(&path).unwrap().next().is_none());
    }
}
