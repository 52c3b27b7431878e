//! The directory that containerd takes for a registry, and those that it hides.

use std::io;

use protocol::host::Host;

use crate::{
    containerd::{HostDirectory, Root, Version},
    family::containerd::{self as family, DEFAULT},
};

/// Why a node's files do not tell where its pulls go.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// One cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl CheckError {
    pub(super) fn read(path: &str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }
}

/// What was found for a registry.
#[derive(Debug)]
pub(super) struct Looked {
    /// The first directory that is there.
    pub(super) taken: HostDirectory,
    /// Those that would have been taken without it, the next one first.
    pub(super) hidden: Vec<HostDirectory>,
}

/// Looks as containerd does: through the folders in their order, in each for the registry's own
/// names and then for the directory for all. What is in the directory does not matter.
pub(super) fn look_up(
    root: &Root,
    folders: &[&str],
    registry: &Host,
    version: Option<Version>,
) -> Result<Option<Looked>, CheckError> {
    let mut names = vec![
        family::directory(registry.as_str()),
        registry.as_str().to_owned(),
        DEFAULT.to_owned(),
    ];
    names.dedup();
    let mut found = Vec::new();
    for folder in folders {
        for name in &names {
            let path = format!("{folder}/{name}");
            let read = HostDirectory::read(root, &path, version);
            found.extend(read.map_err(CheckError::read(&path))?);
        }
    }
    let mut found = found.into_iter();
    Ok(found.next().map(|taken| Looked {
        taken,
        hidden: found.collect(),
    }))
}
