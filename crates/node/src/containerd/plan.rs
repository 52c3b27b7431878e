//! What has to change so that containerd uses Archway, or so that all is as it was before.

mod apply;
mod remove;

use std::{fmt, io};

use self::{apply::Builder, remove::Remover};
use super::{
    ConfigTomlError, CriConfig, HostDirectory, Root,
    directory::HOSTS_TOML,
    disk::{Disk, DiskError},
    edit::{self, EditError},
};
use crate::{Settings, family::containerd::FOLDER};

/// The file in a tree of ours that says so.
const MARK: (&str, &str) = (
    "made-by-archway",
    "\
containerd 2.1 and later may take its two folders, joined by a colon, for one path. This directory
makes that path lead to the first folder. `archway client-config remove containerd` takes it away.
",
);

/// The changes that are needed, in the order that is right at every moment, and what stands in the
/// way of others.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// None: all is as it should be.
    pub(super) changes: Vec<Change>,
    /// Files that are left as they are, though they should change.
    pub(super) faults: Vec<PlanError>,
}

/// A change of one file or directory of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A folder that is missing.
    Folder(String),
    /// A file in a directory that is there.
    Write {
        /// The file.
        path: String,
        /// All of it.
        text: String,
    },
    /// A directory with its `hosts.toml`.
    Directory {
        /// The directory.
        path: String,
        /// The file in it.
        text: String,
    },
    /// A link to a registry's directory in another folder, which would be hidden otherwise.
    Link {
        /// The link.
        path: String,
        /// Where it leads, from its own folder.
        target: String,
    },
    /// The tree that makes a path with a colon lead to the folder before the colon: the way round
    /// containerd's mistake.
    Workaround {
        /// The directory whose name ends with the colon.
        path: String,
        /// The folders in it, each in the one before.
        folders: Vec<String>,
        /// The link in the last of them.
        link: String,
        /// Where it leads.
        target: String,
    },
    /// A file, a link or a directory goes.
    Remove(String),
}

/// Why a file is left as it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlanError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// What.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Archway's table cannot get into it, or out of it.
    #[error("{path} is left as it is: {source}")]
    Edit {
        /// Which.
        path: String,
        /// Why.
        source: EditError,
    },
    /// Another program keeps it.
    #[error("{0} is a symbolic link, so another program keeps that file; let that one write it")]
    Linked(String),
    /// A link leads to what is not there, or not mounted below the root.
    #[error(
        "{0} is behind a link to what is not there; make that, or mount it too where this runs in a container"
    )]
    Dangling(String),
    /// It is ours, and a file of others names it.
    #[error("{path} stays, because {by} names it; take it out there")]
    Named {
        /// The file that stays.
        path: String,
        /// The one that names it.
        by: String,
    },
    /// Which folders are to be looked through is not known, but for containerd's own.
    #[error("only the folders of containerd's defaults were looked through")]
    Config(#[source] ConfigTomlError),
    /// Somebody else has what we would make.
    #[error("{0} is there and is not Archway's; remove it, or set `config_path` to one directory")]
    Foreign(String),
}

impl Plan {
    /// What is needed for the containerd of `cri` to use Archway.
    pub(super) fn apply(root: &Root, cri: &CriConfig, settings: &Settings) -> Self {
        let mut folders = cri.directories();
        if folders.is_empty() {
            // Where it should look, once it is told to.
            folders.push(FOLDER);
        }
        let mut builder = Builder::new(root, settings);
        builder.authority();
        let names = builder.registries(&folders);
        if cri.is_misread() {
            builder.workaround(&cri.path, folders[0]);
        }
        let mut plan = builder.finish();
        if let Some(names) = names {
            // An earlier run may have been for other registries.
            plan.append(Remover::sparing(root, names).blocks(&folders));
        }
        plan
    }

    /// What is needed for everything to be as if Archway had never been. Of `cri` are the folders
    /// that `config.toml` names; where it cannot be read, those of containerd's defaults are looked
    /// through, and the fault is among the others.
    pub(super) fn remove(root: &Root, cri: Result<CriConfig, ConfigTomlError>) -> Self {
        Remover::new(root).everything(cri)
    }

    fn append(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.faults.extend(other.faults);
    }

    /// Makes the changes. On an error the later ones are not made.
    pub(super) fn carry_out(&self, root: &Root) -> Result<(), DiskError> {
        self.carry_out_on(&Disk::default(), root)
    }

    fn carry_out_on(&self, disk: &Disk, root: &Root) -> Result<(), DiskError> {
        self.changes
            .iter()
            .try_for_each(|change| change.make(disk, root))
    }
}

impl Change {
    fn make(&self, disk: &Disk, root: &Root) -> Result<(), DiskError> {
        match self {
            Self::Folder(path) => disk.make_folder(&root.behind(path)),
            Self::Write { path, text } => disk.write(&root.at(path), text),
            Self::Directory { path, text } => {
                disk.write_directory(&root.at(path), HOSTS_TOML, text)
            }
            Self::Link { path, target } => disk.link(&root.at(path), target),
            Self::Workaround {
                path,
                folders,
                link,
                target,
            } => {
                let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
                disk.write_tree(&root.at(path), &folders, (link, target), MARK)
            }
            Self::Remove(path) => disk.remove(&root.at(path)),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(formatter, "make {path}"),
            Self::Write { path, .. } => write!(formatter, "write {path}"),
            Self::Directory { path, .. } => write!(formatter, "write {path}/{HOSTS_TOML}"),
            Self::Link { path, target } => write!(formatter, "link {path} to {target}"),
            Self::Workaround { path, .. } => write!(
                formatter,
                "make {path}, so that containerd's mistaken path leads to the right folder"
            ),
            Self::Remove(path) => write!(formatter, "remove {path}"),
        }
    }
}

fn directories(root: &Root, folder: &str) -> Result<Vec<HostDirectory>, PlanError> {
    HostDirectory::all(root, folder, None).map_err(read(folder))
}

fn read(path: &str) -> impl FnOnce(io::Error) -> PlanError {
    let path = path.to_owned();
    move |source| PlanError::Read { path, source }
}

/// The file of a directory, unless another program keeps it.
fn file_of(root: &Root, found: &HostDirectory) -> Result<String, PlanError> {
    let path = found.file();
    if root.real(&found.path).is_none() {
        return Err(PlanError::Dangling(path));
    }
    if root.at(&path).is_symlink() {
        return Err(PlanError::Linked(path));
    }
    Ok(path)
}

fn cut(found: &HostDirectory) -> Result<Option<edit::Cut>, EditError> {
    found.text.as_deref().map_or(Ok(None), edit::cut)
}

#[cfg(test)]
mod tests;
