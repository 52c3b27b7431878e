//! The directories of registries below a folder such as `/etc/containerd/certs.d`.

use std::{fs, io};

use super::{HostsFault, HostsFile, Root, Version, disk};

/// The file that counts.
pub(super) const HOSTS_TOML: &str = "hosts.toml";

/// A directory, for one registry or for all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostDirectory {
    /// Its name: `docker.io`, `registry.example_5000_`, `_default`.
    pub(crate) name: String,
    /// Its path on the node.
    pub(crate) path: String,
    /// The `hosts.toml` in it.
    pub(crate) text: Option<String>,
    /// What containerd makes of it.
    pub(crate) content: Content,
}

/// What containerd makes of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Its `hosts.toml`.
    Hosts(HostsFile),
    /// Its `hosts.toml` is put aside: no mirror.
    Faulty(HostsFault),
    /// Certificates for the registry itself, in docker's layout: no mirror.
    Certificates {
        /// `*.crt`
        authorities: Vec<String>,
        /// `*.cert`, and its `*.key` if there is one.
        pairs: Vec<(String, Option<String>)>,
    },
    /// Nothing: no mirror, not even that of `_default`.
    Empty,
}

impl HostDirectory {
    /// Reads the directory at `path`; `None` if there is none.
    pub(crate) fn read(
        root: &Root,
        path: &str,
        version: Option<Version>,
    ) -> io::Result<Option<Self>> {
        match fs::metadata(root.behind(path)) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        let text = root.read(&format!("{path}/{HOSTS_TOML}"))?;
        let content = match text.as_deref() {
            None | Some("") => certificates(root, path)?,
            Some(text) => match HostsFile::parse(text, version) {
                Ok(file) => Content::Hosts(file),
                Err(fault) => Content::Faulty(fault),
            },
        };
        let path = path.to_owned();
        Ok(Some(Self {
            name,
            path,
            text,
            content,
        }))
    }

    /// The path of its `hosts.toml` on the node.
    pub(crate) fn file(&self) -> String {
        format!("{}/{HOSTS_TOML}", self.path)
    }

    /// All directories of a folder, by name; none if there is no such folder.
    pub(crate) fn all(
        root: &Root,
        folder: &str,
        version: Option<Version>,
    ) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for name in names(root, folder)? {
            // What was left aside by a kill is nobody's.
            if !name.starts_with(disk::ASIDE) {
                found.extend(Self::read(root, &format!("{folder}/{name}"), version)?);
            }
        }
        Ok(found)
    }
}

/// The names in a folder, sorted; none if there is no such folder.
pub(super) fn names(root: &Root, folder: &str) -> io::Result<Vec<String>> {
    let listing = match fs::read_dir(root.behind(folder)) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in listing {
        // A name that is no text is the name of no registry.
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

pub(super) fn certificates(root: &Root, path: &str) -> io::Result<Content> {
    let names = names(root, path)?;
    let ending = |end: &str| -> Vec<String> {
        let all = names.iter().filter(|name| name.ends_with(end));
        all.cloned().collect()
    };
    let authorities = ending(".crt");
    let pairs: Vec<_> = ending(".cert")
        .into_iter()
        .map(|cert| {
            let key = format!("{}.key", cert.trim_end_matches(".cert"));
            let key = names.contains(&key).then_some(key);
            (cert, key)
        })
        .collect();
    Ok(if authorities.is_empty() && pairs.is_empty() {
        Content::Empty
    } else {
        Content::Certificates { authorities, pairs }
    })
}
